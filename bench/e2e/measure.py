"""What processes use, from /proc: processor time of the user and of the kernel, and memory; and what Postgres counts."""

import os
import pathlib
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")
CORES = len(os.sched_getaffinity(0))


def processes():
    """Every process: its parent and its processor times in seconds: (user, kernel), and those of its children that have ended."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        times = [int(field) / TICK for field in fields[11:15]]
        found[int(entry.name)] = int(fields[1]), tuple(times[:2]), tuple(times[2:])
    return found


def descendants(root, everything):
    below, level = [], [root]
    while level:
        level = [pid for pid, (parent, *_) in everything.items() if parent in level]
        below += level
    return below


class Usage:
    """Processor time of kinds of processes, (user, kernel) in seconds, and of the machine: busy, kernel, all."""

    def __init__(self, roots, split):
        everything = processes()
        self.kinds = {}
        for kind, root in roots.items():
            if root not in everything:
                continue
            _, own, ended = everything[root]
            below = [add(everything[pid][1], everything[pid][2]) for pid in descendants(root, everything)]
            children = add(ended, *below)
            if kind == split:
                self.kinds[kind], self.kinds["render"] = own, children
            else:
                self.kinds[kind] = add(own, children)
        fields = [int(field) / TICK for field in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        user, nice, system, idle, iowait, interrupt, soft, stolen = fields
        self.busy, self.kernel, self.all = user + nice + system + interrupt + soft, system + interrupt + soft, sum(fields) - stolen

    def since(self, before):
        kinds = {kind: tuple(now - then for now, then in zip(times, before.kinds.get(kind, (0, 0)))) for kind, times in self.kinds.items()}
        busy, kernel, all_of_it = self.busy - before.busy, self.kernel - before.kernel, self.all - before.all
        return kinds, busy / all_of_it, kernel


def add(*times):
    return tuple(map(sum, zip(*times)))


class Memory(threading.Thread):
    """The most memory that all processes of a system had together, in MiB: what they share counts once (Pss)."""

    def __init__(self, roots):
        super().__init__(daemon=True)
        self.roots, self.peak, self.stopped = roots, 0, threading.Event()

    def run(self):
        while not self.stopped.wait(0.5):
            everything = processes()
            pids = [pid for root in self.roots for pid in (root, *descendants(root, everything))]
            self.peak = max(self.peak, sum(map(resident, pids)) / 1024)

    def stop(self):
        self.stopped.set()
        self.join()
        return self.peak


def resident(pid):
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def counted(connection):
    """Transactions of this database, and bytes and syncs of the WAL of the server. Sessions tell their counts within a second."""
    time.sleep(1.5)
    with connection.cursor() as cursor:
        cursor.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        (commits,) = cursor.fetchone()
        cursor.execute("SELECT wal_bytes, wal_sync FROM pg_stat_wal")
        wal, syncs = cursor.fetchone()
    return commits, float(wal), syncs
