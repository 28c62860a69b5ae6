#!/usr/bin/env python3
"""Compares Darkroom with Django + Celery + Pillow and with pg-boss + sharp, from the upload to the stored renditions. `make bench-e2e
CORPUS=dir` calls it. All make the same renditions of the same files, with the same Postgres (fsync on) and S3 server; each run has a
database, a bucket and a directory of its own. Rates are the medians of ROUNDS rounds (3), in which the systems take turns.

    ONLY=a,b     only these cases: small, photos, one, mixed, idle
    SYSTEMS=a;b  only systems whose names contain one of these
    LATENCY=0,80 milliseconds that the S3 server waits before each request (0,20,80)
    SCALE=0.5    fewer images, or more (1)
    BEFORE=dir   the binaries of an earlier commit take part too
    WRITE=1      writes the tables into docs/performance.md too

CORPUS holds photos/ (JPEG photographs) and kodak/ (768x512). From the environment: DARKROOM_TEST_DATABASE_URL (a superuser's), BIN (the
directory of the release binaries), PEERS (where node_modules and a Python venv are, or are to be).
"""

import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import systems

systems.install()

import psycopg  # noqa: E402, these need the venv
from PIL import Image  # noqa: E402

import measure  # noqa: E402

HERE = pathlib.Path(__file__).parent.absolute()
CORPUS = pathlib.Path(os.environ["CORPUS"]).absolute()
ADMIN = os.environ["DARKROOM_TEST_DATABASE_URL"]
ROUNDS, SCALE = int(os.environ.get("ROUNDS", "3")), float(os.environ.get("SCALE", "1"))
LATENCIES = [int(text) for text in os.environ.get("LATENCY", "0,20,80").split(",")]
CLIENTS, CONNECTIONS, WARM = 2, 4, 16
NAMES = (f"e2e_{n}" for n in itertools.count(1))


class Case:
    """`task`: a width, for one JPEG, or "standard". `images`: how many Darkroom is measured with."""

    def __init__(self, title, files, task, images, latencies):
        self.title, self.files, self.task, self.images, self.latencies = title, files, task, images, latencies


def cases():
    photos = [str(file) for file in sorted((CORPUS / "photos").glob("*.jpg")) if 11.5e6 < pixels(file) < 24.5e6][:6]
    small = small_files()
    mixed = [small[n % len(small)] if n % 20 else photos[n // 20 % len(photos)] for n in range(20 * len(photos))]
    return {
        "small": Case("Small pictures, 768 × 512, to one JPEG 512 wide", small, 512, 2000, LATENCIES),
        "photos": Case("Photographs of 12 to 24 megapixels to the standard set, eight renditions", photos, "standard", 40, LATENCIES),
        "one": Case("The same photographs to one JPEG 1600 wide", photos, 1600, 240, LATENCIES),
        "mixed": Case("Small pictures with 5 % photographs among them, each to one JPEG 1600 wide", mixed, 1600, 1200, LATENCIES[:1]),
        "idle": Case("One small picture after the other, to one JPEG 512 wide", small, 512, 200, LATENCIES[:1]),
    }


def pixels(file):
    with Image.open(file) as picture:
        return picture.width * picture.height


def small_files():
    """Kodak's pictures as JPEG."""
    folder = systems.PEERS / "small"
    folder.mkdir(exist_ok=True)
    for file in sorted((CORPUS / "kodak").glob("*.png")):
        path = folder / f"{file.stem}.jpg"
        if not path.exists() and Image.open(file).width == 768:
            Image.open(file).convert("RGB").save(path, quality=90)
    return [str(file) for file in sorted(folder.iterdir())]


class S3:
    """An S3 server in a process of its own; `stop` returns its requests."""

    def __init__(self, latency):
        names = ("BUCKET_URL", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        # Says its environment, and lives until its standard input ends.
        script = f"echo {' '.join('$' + name for name in names)}; exec cat"
        command = [systems.BIN / "darkroom-dev", "bucket", "--latency", str(latency), "--", "sh", "-c", script]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.environment = dict(zip(names, self.process.stdout.readline().split(), strict=True))

    def stop(self):
        self.process.stdin.close()
        text = self.process.stdout.read()
        self.process.wait()
        return int(text.rpartition("requests=")[2] or 0)


class Clients:
    """Processes that upload. `go` lets them."""

    def __init__(self, system, case, count, first=0, one_by_one=False):
        self.processes, processes = [], 1 if one_by_one else CLIENTS
        for n in range(processes):
            part = count // processes + (n < count % processes)
            arguments = {"address": system.address, "path": system.path, "files": case.files, "fields": system.fields(case.task),
                         "first": first + n, "count": part, "connections": 1 if one_by_one else CONNECTIONS}
            if one_by_one:
                arguments["status"] = system.status
            process = subprocess.Popen([sys.executable, HERE / "client.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            process.stdin.write(json.dumps(arguments) + "\n")
            process.stdin.flush()
            self.processes.append(process)
        for process in self.processes:
            assert process.stdout.readline() == "ready\n"

    def go(self):
        for process in self.processes:
            process.stdin.write("\n")
            process.stdin.flush()

    def results(self):
        outputs = [process.communicate()[0] for process in self.processes]
        if any(process.returncode for process in self.processes):
            raise RuntimeError("an upload failed")
        return [result for output in outputs for result in json.loads(output)]


def await_all(connection, system):
    """Waits until nothing is left to render; returns how many statements that took."""
    statements = 2
    while connection.execute(system.pending).fetchone()[0] > 0:
        statements += 1
        time.sleep(0.05)
    if (failed := connection.execute(system.failed).fetchone()[0]) > 0:
        raise RuntimeError(f"{failed} images failed")
    return statements


def measured(system_type, case, latency, is_idle):
    """One run: what was measured, as a dict."""
    database = next(NAMES)
    with psycopg.connect(ADMIN, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {database}")
    url = ADMIN.rsplit("/", 1)[0] + "/" + database
    s3 = S3(latency)
    images = max(20, round(case.images * SCALE * (1 if is_idle else system_type.share)))
    try:
        with tempfile.TemporaryDirectory() as directory, system_type(url, s3.environment, pathlib.Path(directory)) as system, \
                psycopg.connect(url, autocommit=True) as connection:
            warm = Clients(system, case, WARM)
            warm.go()
            known = {image for image, *_ in warm.results()}
            await_all(connection, system)
            postgres = parent(connection.execute("SELECT pg_backend_pid()").fetchone()[0])
            connection.execute("CHECKPOINT")
            clients = Clients(system, case, images, one_by_one=is_idle)
            roots = {**system.roots(), "postgres": postgres, "S3": s3.process.pid}
            memory = measure.Memory(list(system.roots().values()))
            counts, before = measure.counted(connection), measure.Usage(roots, system.split)
            memory.start()
            clients.go()
            uploads = clients.results()
            polls = await_all(connection, system)
            kinds, busy, kernel = measure.Usage(roots, system.split).since(before)
            peak, after = memory.stop(), measure.counted(connection)
            finished = {image: at for image, at in connection.execute(system.finished).fetchall() if image not in known}
            rendering = connection.execute(system.rendering).fetchone()[0] if system.rendering else None
        requests = s3.stop()
    finally:
        s3.process.kill()
        with psycopg.connect(ADMIN, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {database} WITH (FORCE)")
    assert len(finished) == len(uploads) == images
    begun = min(start for _, start, *_ in uploads)
    ready = [ready or finished[image] - start for image, start, _, ready in uploads]
    processor = {kind: 1000 * sum(times) / images for kind, times in kinds.items()}
    if rendering is not None:
        processor["render"] = 1000 * rendering
        processor["worker"] -= processor["render"]
    return {
        "rate": images / (max(finished.values()) - begun), "upload": [1000 * took for _, _, took, _ in uploads],
        "ready": [1000 * seconds for seconds in ready], "processor": processor, "busy": busy, "kernel": 1000 * kernel / images,
        "memory": peak, "commits": (after[0] - counts[0] - polls) / images, "wal": (after[1] - counts[1]) / images,
        "syncs": (after[2] - counts[2]) / images, "requests": requests / (images + WARM),
    }


def parent(pid):
    return measure.processes()[pid][0]


def median(runs, read):
    return statistics.median(read(run) for run in runs)


def part(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


KINDS = ["api", "worker", "render", "broker", "postgres", "S3"]


def table(case, runs, is_idle):
    """`runs`: (latency, system) to its rounds."""
    own = next(iter(runs))[1]
    lines = [f"### {case.title}", "",
             "| S3 waits | | images/s | Darkroom is | of 0 ms | cores busy | upload p50 / p99 ms | ready p50 / p99 ms | peak MiB |",
             "|---|---|---|---|---|---|---|---|---|"]
    for (latency, system), rounds in runs.items():
        rate = median(rounds, lambda run: run["rate"])
        ours = median(runs[latency, own], lambda run: run["rate"])
        base = median(runs[case.latencies[0], system], lambda run: run["rate"])
        times = [" / ".join(f"{median(rounds, lambda run: part(run[key], share)):,.1f}" for share in (0.5, 0.99))
                 for key in ("upload", "ready")]
        lines.append(f"| {latency} ms | {system} | {rate:.1f} | {'' if system == own else f'{ours / rate:.2f} ×'} "
                     f"| {rate / base:.2f} | {median(rounds, lambda run: run['busy']):.0%} | {times[0]} | {times[1]} "
                     f"| {median(rounds, lambda run: run['memory']):.0f} |")
    lines += ["", "Processor time an image in ms, and what an image costs Postgres and S3:", "",
              "| S3 waits | | all | but rendering | " + " | ".join(KINDS) + " | in the kernel, whole machine | transactions | WAL bytes | WAL syncs "
              "| S3 requests |", "|---" * (len(KINDS) + 9) + "|"]
    for (latency, system), rounds in runs.items():
        kinds = {kind: median(rounds, lambda run: run["processor"].get(kind, 0)) for kind in KINDS}
        each = " | ".join(f"{kinds[kind]:.2f}" if kinds[kind] else "" for kind in KINDS)
        everything = sum(kinds.values())
        rest = f"{everything - kinds['render']:.2f}" if kinds["render"] else ""
        counts = " | ".join(f"{median(rounds, lambda run: run[key]):{form}}" for key, form in
                            [("kernel", ".2f"), ("commits", ".2f"), ("wal", ",.0f"), ("syncs", ".2f"), ("requests", ".2f")])
        lines.append(f"| {latency} ms | {system} | {everything:.2f} | {rest} | {each} | {counts} |")
    return "\n".join(lines) + "\n"


def into_page(name, text):
    """Replaces the part of docs/performance.md between two comments."""
    page = HERE.parent.parent / "docs/performance.md"
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    head, found, rest = page.read_text().partition(begin)
    if found:
        page.write_text(head + begin + "\n" + text + "\n" + end + rest.partition(end)[2])


def main():
    everything, found = cases(), systems.found()
    for name in os.environ.get("ONLY", ",".join(everything)).split(","):
        case, runs = everything[name], {}
        for _ in range(ROUNDS):
            for latency in case.latencies:
                for system, system_type in found.items():
                    run = measured(system_type, case, latency, name == "idle")
                    runs.setdefault((latency, system), []).append(run)
                    print(f"{name}, {latency} ms, {system}: {run['rate']:.1f} images/s, cores {run['busy']:.0%} busy",
                          file=sys.stderr, flush=True)
        runs = {key: runs[key] for key in itertools.product(case.latencies, found)}
        text = table(case, runs, name == "idle")
        print(text, flush=True)
        if os.environ.get("WRITE"):
            into_page(name, text)


main()
