#!/usr/bin/env python3
"""Compares Darkroom's queue with others, side by side on one Postgres. `make bench-queue` calls it.

Every figure is the median of ROUNDS rounds (3), in which the systems take turns; every run has a database of its own, and
vacuums, analyses and checkpoints it before it works. Darkroom (its pruning off), pg-boss, Procrastinate and apalis keep
finished jobs, graphile-worker deletes them.

    FULL=1     also with a million pending and a million finished jobs
    CHURN=N    instead of all else: N jobs in twenty parts one after the other in one database, and the rate of each part
    ONLY=a,b   only these sections: enqueue, drain, touch, latency, crash, full, long (a job of ten minutes)

    BEFORE=p   p, the queue_bench of an earlier commit, takes part too
    PEERS=     nothing else takes part

From the environment: DARKROOM_TEST_DATABASE_URL (a superuser's), QUEUE_BENCH (the program of
crates/queue/examples/queue_bench.rs), PEERS (where node_modules and a Python venv are, or are to be). Celery takes part where
rabbitmq-server is installed.
"""

import atexit
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
ADMIN = os.environ["DARKROOM_TEST_DATABASE_URL"]
PEERS = os.environ["PEERS"] and pathlib.Path(os.environ["PEERS"]).absolute()
ROUNDS = int(os.environ.get("ROUNDS", "3"))
OURS = ("darkroom", "before")
NAMES = (f"bench_{n}" for n in itertools.count(1))


def install():
    """Returns how each system is called."""
    commands = {name: [os.environ["QUEUE_BENCH"], name] for name in ("darkroom", "apalis")}
    if before := os.environ.get("BEFORE"):
        commands["before"] = [before, "darkroom"]
    if not PEERS:
        return {name: command for name, command in commands.items() if name in OURS}
    PEERS.mkdir(parents=True, exist_ok=True)
    if shutil.which("npm"):
        for name in ("package.json", "graphile.mjs", "pgboss.mjs"):
            shutil.copy(HERE / name, PEERS / name)
        if not (PEERS / "node_modules").exists():
            subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=PEERS, check=True)
        commands["graphile"] = ["node", str(PEERS / "graphile.mjs")]
        commands["pg-boss"] = ["node", str(PEERS / "pgboss.mjs")]
    else:
        print("no npm: without graphile-worker and pg-boss")
    venv = PEERS / "venv"
    try:
        if not venv.exists():
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
            packages = ["procrastinate>=3.5", "psycopg[binary]", "celery>=5.5"]
            subprocess.run([venv / "bin/pip", "install", "--quiet", *packages], check=True)
        commands["procrastinate"] = [str(venv / "bin/python"), str(HERE / "procrastinate_bench.py")]
        if rabbitmq():
            commands["celery"] = [str(venv / "bin/python"), str(HERE / "celery_bench.py")]
        else:
            print("no rabbitmq-server: without Celery")
    except subprocess.CalledProcessError:
        print("no venv: without Procrastinate and Celery")
    return commands


def rabbitmq():
    """Starts a RabbitMQ of our own, with its data beside the peers', and stops it in the end. Whether there is one."""
    if not shutil.which("rabbitmq-server"):
        return False
    home = PEERS / "rabbitmq"
    home.mkdir(exist_ok=True)
    environment = {
        **os.environ, "HOME": str(home), "RABBITMQ_NODENAME": "darkroom_bench@localhost", "RABBITMQ_NODE_PORT": "56720",
        "RABBITMQ_MNESIA_BASE": str(home), "RABBITMQ_LOG_BASE": str(home), "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_DIST_PORT": "56721", "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
    }
    # Debian's wrapper of the name wants its own user.
    server = next(iter(pathlib.Path("/usr/lib/rabbitmq/bin").glob("rabbitmq-server")), "rabbitmq-server")
    log = open(home / "log", "w")
    running = subprocess.Popen([server], env=environment, stdout=log, stderr=log, start_new_session=True)
    atexit.register(lambda: (os.killpg(running.pid, signal.SIGKILL), running.wait()))
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", 56720)):
            os.environ["CELERY_BROKER_URL"] = "amqp://guest:guest@127.0.0.1:56720//"
            return True
        if running.poll() is not None:
            break
        time.sleep(0.1)
    print(f"rabbitmq-server does not start: see {home / 'log'}")
    return False


COMMANDS = install()


def psql(url, sql):
    command = ["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", url, "-c", sql]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def settle(url):
    """Nothing of what a database was filled with is left to do when it is measured."""
    psql(url, "VACUUM ANALYZE")
    psql(url, "CHECKPOINT")


class Database:
    """An empty database, prepared for a system, that is dropped in the end."""

    def __init__(self, system):
        self.system, self.name = system, next(NAMES)
        psql(ADMIN, f"CREATE DATABASE {self.name}")
        self.url = ADMIN.rsplit("/", 1)[0] + "/" + self.name

    def __enter__(self):
        self.run("prepare")
        return self

    def __exit__(self, *_):
        psql(ADMIN, f"DROP DATABASE {self.name} WITH (FORCE)")

    def run(self, *arguments):
        command = [*COMMANDS[self.system], self.url, *map(str, arguments)]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        return json.loads(ran.stdout.strip().splitlines()[-1])

    def rate(self, *arguments):
        """Jobs a second."""
        answer = self.run(*arguments)
        return answer["jobs"] / answer["seconds"]

    def cost(self):
        """WAL bytes, commits and dead rows so far. Sessions tell their counts when they end."""
        while psql(ADMIN, f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{self.name}'") != "0":
            pass
        sql = """SELECT pg_current_wal_lsn() - '0/0',
            (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
            (SELECT coalesce(sum(n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables)"""
        return [float(figure) for figure in psql(self.url, sql).split("|")]


def show(title, unit, figures, base="darkroom"):
    """A table: what each system did, and Darkroom's ratio to it. `figures`: (system, mode) to a list."""
    print(f"\n### {title}\n\n| system | mode | {unit} | of the rounds | Darkroom is |\n|---|---|---|---|---|")
    own = {mode: statistics.median(values) for (system, mode), values in figures.items() if system == base}
    for (system, mode), values in figures.items():
        middle = statistics.median(values)
        against = own.get(mode) or max(own.values())
        ratio = "" if system == base else f"{against / middle:.2f} ×"
        rounds = " ".join(f"{value:,.0f}" for value in values)
        print(f"| {system} | {mode} | {middle:,.0f} | {rounds} | {ratio} |", flush=True)


def rounds(runs):
    """Calls each of `runs`, a dict of (system, mode) to a function, ROUNDS times in turn."""
    runs = {key: run for key, run in runs.items() if key[0] in COMMANDS}
    figures = {key: [] for key in runs}
    for _ in range(ROUNDS):
        for key, run in runs.items():
            figures[key].append(run())
    return figures


def enqueue(system, what, jobs):
    def run():
        with Database(system) as database:
            return database.rate(what, jobs)
    return run


def commits(jobs, *mode):
    def run():
        with Database("darkroom") as database:
            return database.rate("commits", jobs, *mode)
    return run


def drain(system, jobs, *mode, costs=None):
    def run():
        with Database(system) as database:
            database.run("fill", jobs)
            settle(database.url)
            before = database.cost()
            rate = database.rate("drain", jobs, *mode)
            if costs is not None:
                costs[system, mode] = [(b - a) / jobs for a, b in zip(before, database.cost())]
            return rate
    return run


def section_enqueue():
    jobs = {"darkroom": 200_000, "before": 200_000, "graphile": 200_000, "pg-boss": 50_000, "procrastinate": 20_000, "apalis": 50_000}
    runs = {(system, "1,000 a call"): enqueue(system, "fill", count) for system, count in jobs.items()}
    show("Enqueue, many at once", "jobs/s", rounds(runs))
    jobs = {"darkroom": 3000, "before": 3000, "graphile": 3000, "pg-boss": 3000, "procrastinate": 1000, "celery": 3000}
    runs = {(system, "one a transaction"): enqueue(system, "single", count) for system, count in jobs.items()}
    show("Enqueue, one by one, one connection", "jobs/s", rounds(runs))
    after, inside = ("darkroom", "notified after the commit"), ("darkroom", "notified in the transaction")
    figures = rounds({after: commits(20_000, 16), inside: commits(20_000, 16, "inside")})
    show("Enqueue, one a transaction, 16 connections, beside an idle worker", "commits/s", figures)
    print(f"\nNotified after it: {statistics.median(figures[after]) / statistics.median(figures[inside]):.2f} ×")


def section_drain():
    costs = {}
    runs = {}
    for mode, jobs, own, theirs in [
        ("concurrency 1", 4000, (1, 0), (1, 0)),
        ("concurrency 8", 20_000, (8, 0), (8, 0)),
        ("concurrency 64", 60_000, (64, 0), (64, 0)),
        ("concurrency 64, batched", 150_000, (64, 512), (64, 500)),
    ]:
        for system in OURS:
            runs[system, mode] = drain(system, jobs, *own, costs=costs)
        runs["graphile", mode] = drain("graphile", jobs if "batched" in mode else jobs // 3, *theirs, costs=costs)
    runs["pg-boss", "4 loops, batches of 100"] = drain("pg-boss", 30_000, 4, 100, costs=costs)
    runs["procrastinate", "concurrency 64"] = drain("procrastinate", 1500, 64, costs=costs)
    runs["celery", "8 processes, acknowledged late"] = drain("celery", 10_000, 8)
    runs["apalis", "batches of 100"] = drain("apalis", 20_000, 64, 100, costs=costs)
    show("No-op jobs, until every end is durable", "jobs/s", rounds(runs))
    print("\n| system | arguments of drain | WAL bytes a job | commits a job | rows updated or deleted a job |\n|---|---|---|---|---|")
    for (system, mode), (wal, commits, dead) in costs.items():
        print(f"| {system} | {' '.join(map(str, mode))} | {wal:,.0f} | {commits:.3f} | {dead:.2f} |")


def section_touch():
    runs = {}
    for mode, own, theirs in [("concurrency 8", (8, 0), (8, 0)), ("concurrency 64", (64, 0), (64, 0))]:
        for system in OURS:
            runs[system, mode] = drain(system, 15_000, *own, "touch")
        runs["graphile", mode] = drain("graphile", 10_000, *theirs, "touch")
    show("Jobs that update one row (Darkroom: in the transaction that ends the job)", "jobs/s", rounds(runs))


def section_latency():
    print("\n### From the call of commit to the start of the handler\n")
    print("| system | a job every | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|")
    for gap, jobs in [(20, 500), (1, 5000)]:
        for system in [name for name in (*OURS, "graphile", "celery") if name in COMMANDS]:
            with Database(system) as database:
                waits = sorted(database.run("latency", jobs, gap)["waits_ms"])
            p50, p99 = (waits[int(len(waits) * part)] for part in (0.5, 0.99))
            print(f"| {system} | {gap} ms | {p50:.2f} | {p99:.2f} | {waits[-1]:.2f} |", flush=True)


def section_crash():
    with Database("darkroom") as database:
        waits = database.run("crash", 10)["waits_ms"]
    print(f"\nA worker dies, another begins its job: {min(waits) / 1000:.1f} to {max(waits) / 1000:.1f} s, {len(waits)} times")


def section_long():
    with Database("darkroom") as database:
        print(f"\nA job of ten minutes, another worker idle: {database.run('long', 600)['attempts']} attempt(s)")


def section_full():
    def beside(*others, jobs, mode):
        def run():
            with Database("darkroom") as database:
                for other in others:
                    database.run(*other)
                if ("fill", 1_000_000) not in others:
                    database.run("fill", jobs)
                settle(database.url)
                return database.rate("drain", jobs, *mode)
        return run

    runs = {}
    for name, jobs, mode in [("concurrency 64", 60_000, (64, 0)), ("batched", 150_000, (64, 512))]:
        runs["darkroom", f"{name}, nothing else"] = beside(jobs=jobs, mode=mode)
        runs["darkroom", f"{name}, a million pending"] = beside(("fill", 1_000_000), jobs=jobs, mode=mode)
        runs["darkroom", f"{name}, a million for later"] = beside(("fill", 1_000_000, "later"), jobs=jobs, mode=mode)
        runs["darkroom", f"{name}, a million finished"] = beside(("finished", 1_000_000), jobs=jobs, mode=mode)
    figures = rounds(runs)
    show("With a million other jobs", "jobs/s", figures)
    print()
    for (_, mode), values in figures.items():
        alone = figures["darkroom", mode.split(",")[0] + ", nothing else"]
        print(f"- {mode}: {statistics.median(values) / statistics.median(alone):.2f} of the empty table's")


def churn(jobs):
    part = jobs // 20
    with Database("darkroom") as database:
        parts = []
        for _ in range(20):
            began = time.monotonic()
            database.run("fill", part)
            rate = database.rate("drain", part, 64, 512)
            parts.append((time.monotonic() - began, rate))
            print(f"{part * len(parts):,} jobs: {rate:,.0f} jobs/s", flush=True)
    first, last = minute(parts), minute(parts[::-1])
    print(f"the first minute: {first:,.0f} jobs/s, the last: {last:,.0f}, {last / first:.2f} of it")


def minute(parts):
    """The rate of draining in the parts that the first minute began."""
    spent, rates = 0, []
    for seconds, rate in parts:
        if spent < 60:
            rates.append(rate)
        spent += seconds
    return statistics.harmonic_mean(rates)


def main():
    setting = "name IN ('fsync', 'synchronous_commit', 'shared_buffers', 'server_version')"
    print(psql(ADMIN, f"SELECT string_agg(name || '=' || current_setting(name), ', ') FROM pg_settings WHERE {setting}"))
    if jobs := os.environ.get("CHURN"):
        return churn(int(jobs))
    sections = ["enqueue", "drain", "touch", "latency", "crash"] + (["full"] if os.environ.get("FULL") else [])
    for section in os.environ.get("ONLY", ",".join(sections)).split(","):
        globals()[f"section_{section}"]()


main()
