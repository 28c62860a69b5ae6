"""Procrastinate's side of `make bench-queue`.

    procrastinate_bench.py URL prepare | fill N | single N | drain N CONCURRENCY
"""

import asyncio
import json
import logging
import sys
import time

import procrastinate

url, what, *rest = sys.argv[1:]
numbers = [int(text) for text in rest]
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, min_size=4, max_size=20))
logging.disable(logging.WARNING)


@app.task(name="work")
async def work(number):
    pass


async def main():
    async with app.open_async():
        begin = time.perf_counter()
        if what == "prepare":
            await app.schema_manager.apply_schema_async()
        elif what == "fill":
            for at in range(0, numbers[0], 1000):
                batch = [{"number": at + n} for n in range(min(1000, numbers[0] - at))]
                await work.batch_defer_async(*batch)
        elif what == "single":
            for number in range(numbers[0]):
                await work.defer_async(number=number)
        elif what == "drain":
            await app.run_worker_async(concurrency=numbers[1], wait=False, install_signal_handlers=False)
        jobs = numbers[0] if numbers else 0
        print(json.dumps({"jobs": jobs, "seconds": time.perf_counter() - begin}))


asyncio.run(main())
