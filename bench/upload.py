#!/usr/bin/env python3
"""Measures uploads: how long they take, and what memory the api needs for them. Needs only Python 3.

    upload.py latency http://127.0.0.1:8000 [pid]    300 files of 1 MiB, one after the other
    upload.py burst   http://127.0.0.1:8000 [pid]    50 files of 25 MiB at once, as fast as they go
    upload.py slow    http://127.0.0.1:8000 [pid]    the same, each over at least 5 s

pid is the api's process; without it, memory is not looked at. DARKROOM_KEY is an API key with the scope write.
"""

import http.client
import os
import struct
import sys
import threading
import time
import urllib.parse
import zlib

HEADERS = {
    "Content-Type": "multipart/form-data; boundary=x",
    "Authorization": f"Bearer {os.environ.get('DARKROOM_KEY', '')}",
}
MIB = 1 << 20


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def form(size):
    """An upload form with a PNG of about this many bytes. Its header is right, its pixels are noise."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1000, 1000, 8, 2, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", os.urandom(size)) + chunk(b"IEND", b"")
    return b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + png + b"\r\n--x--\r\n"


def resident(pid):
    """Resident memory of a process, in MiB."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


def upload(connection, body):
    connection.request("POST", "/v1/images", body, HEADERS)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 202:
        sys.exit(f"{answer.status}: {text.decode()}")


def pieces(body, pause):
    for begin in range(0, len(body), 256 << 10):
        yield body[begin : begin + (256 << 10)]
        time.sleep(pause)


def latency(address):
    connection, body, took = http.client.HTTPConnection(address), form(MIB), []
    for _ in range(320):
        began = time.perf_counter()
        upload(connection, body)
        took.append((time.perf_counter() - began) * 1000)
    took = sorted(took[20:])  # without the first, which warm up
    print(f"1 MiB: p50 {took[150]:.1f} ms, p95 {took[285]:.1f} ms, max {took[-1]:.1f} ms")


def crowd(address, pid, pause):
    body = memoryview(form(25 * MIB))
    HEADERS["Content-Length"] = str(len(body))

    def one():
        upload(http.client.HTTPConnection(address), pieces(body, pause))

    threads = [threading.Thread(target=one) for _ in range(50)]
    began, peak = time.perf_counter(), 0
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, resident(pid) if pid else 0)
        time.sleep(0.05)
    memory = f", at most {peak:.0f} MiB resident" if pid else ""
    print(f"50 × 25 MiB: {time.perf_counter() - began:.1f} s{memory}")


def main():
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in ("latency", "burst", "slow"):
        sys.exit(__doc__)
    address, pid = urllib.parse.urlsplit(sys.argv[2]).netloc, sys.argv[3] if len(sys.argv) == 4 else None
    if sys.argv[1] == "latency":
        latency(address)
    else:
        crowd(address, pid, 0.05 if sys.argv[1] == "slow" else 0)


main()
