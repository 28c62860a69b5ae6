"""Celery's side of `make bench-queue`: durable queue and messages, confirmed when published, acknowledged when done.

    celery_bench.py URL prepare | fill N | single N | drain N CONCURRENCY | latency N GAP_MS

CELERY_BROKER_URL is its RabbitMQ. URL, the Postgres of the others, is not used. A drain ends when the last job has run,
which is a little before its acknowledgement.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time

import billiard
import celery

_, _, what, *rest = sys.argv
numbers = [int(text) for text in rest]
WARM = 50

app = celery.Celery("bench", broker=os.environ["CELERY_BROKER_URL"])
app.conf.update(
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_ignore_result=True,
    task_default_queue="work",
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
)
ended = multiprocessing.Value("l", 0)
# When each job began, by the clock that all processes share.
begun = multiprocessing.Array("d", numbers[0] + WARM if what == "latency" else 1)


@app.task
def work(number):
    with ended.get_lock():
        ended.value += 1


@app.task
def note(number):
    begun[number] = time.monotonic()
    with ended.get_lock():
        ended.value += 1


def say(answer):
    """Ends this process, and the worker's, which have nothing more to write."""
    os.write(1, f"{json.dumps(answer)}\n".encode())
    for child in billiard.active_children():
        os.kill(child.pid, signal.SIGKILL)
    os._exit(0)


def at_work(concurrency, then):
    """Runs a worker in this process, and `then` beside it."""
    threading.Thread(target=then, daemon=True).start()
    with contextlib.redirect_stdout(sys.stderr):
        app.worker_main(["worker", "--loglevel=ERROR", f"--concurrency={concurrency}", "--without-gossip",
                         "--without-mingle", "--without-heartbeat"])


def until(jobs):
    while ended.value < jobs:
        time.sleep(0.002)


def drain():
    begin = time.monotonic()

    def watch():
        until(numbers[0])
        say({"jobs": numbers[0], "seconds": time.monotonic() - begin})

    at_work(numbers[1], watch)


def latency():
    def offer():
        committed = []
        with app.producer_pool.acquire(block=True) as producer:
            for number in range(numbers[0] + WARM):
                time.sleep(numbers[1] / 1000)
                committed.append(time.monotonic())
                note.apply_async((number,), producer=producer)
        until(len(committed))
        say({"waits_ms": [max(0, (b - c)) * 1000 for b, c in zip(begun, committed)][WARM:]})

    at_work(8, offer)


def publish():
    begin = time.monotonic()
    with app.producer_pool.acquire(block=True) as producer:
        for number in range(numbers[0]):
            work.apply_async((number,), producer=producer)
    say({"jobs": numbers[0], "seconds": time.monotonic() - begin})


if what == "prepare":
    app.control.purge()
    print("{}")
elif what in ("fill", "single"):
    publish()
else:
    {"drain": drain, "latency": latency}[what]()
