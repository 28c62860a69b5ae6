"""Uploads files and measures each upload. A process of its own, so that it is never part of what it measures.

    client.py < arguments

The arguments are a line of JSON: `address` (host:port), `path`, `files`, `fields` (of the form), `first` and `count` (which of
the files, in turn), `connections`, and optionally `status` (the path of an image, with {}): then one upload follows the other, each
after the one before is ready. Says `ready`, waits for a line, uploads, and prints a JSON list of [id, start (Unix time), seconds,
seconds until ready or null].
"""

import json
import socket
import sys
import threading
import time

BOUNDARY = "----bench"


def form(file, fields):
    head = "".join(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                   for name, value in fields.items())
    name = file.rsplit("/", 1)[-1]
    head += (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
             "Content-Type: application/octet-stream\r\n\r\n")
    return head.encode() + open(file, "rb").read() + f"\r\n--{BOUNDARY}--\r\n".encode()


class Connection:
    """HTTP/1.1, kept alive; as little work as possible."""

    def __init__(self, address):
        host, port = address.split(":")
        self.address, self.host, self.socket = (host, int(port)), address, None

    def request(self, head, body=b""):
        for again in (True, False):
            if self.socket is None:
                self.socket = socket.create_connection(self.address, timeout=120)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self.socket.sendall(head.encode() + body)
                return self.answer()
            except (ConnectionError, EOFError):
                # The server may close a connection that was idle.
                self.socket = None
                if not again:
                    raise

    def answer(self):
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.more()
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if "content-length" in headers:
            while len(body) < int(headers["content-length"]):
                body += self.more()
        else:
            while not body.endswith(b"0\r\n\r\n"):
                body += self.more()
            body = body[body.index(b"{"):body.rindex(b"}") + 1]
        if headers.get("connection", "").lower() == "close":
            self.socket = None
        return int(lines[0].split()[1]), body

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        return data


def run(arguments, bodies, take, results):
    connection = Connection(arguments["address"])
    post = f"POST {arguments['path']} HTTP/1.1\r\nHost: {connection.host}\r\n"
    post += f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    while (number := take()) is not None:
        body = bodies[number % len(bodies)]
        start, began = time.time(), time.perf_counter()
        status, answer = connection.request(post + f"Content-Length: {len(body)}\r\n\r\n", body)
        took = time.perf_counter() - began
        if status not in (200, 201, 202):
            sys.exit(f"{status}: {answer.decode()}")
        image = json.loads(answer)["id"]
        ready = await_ready(connection, arguments["status"].format(image), began) if "status" in arguments else None
        results.append([image, start, took, ready])


def await_ready(connection, path, began):
    while True:
        status, answer = connection.request(f"GET {path} HTTP/1.1\r\nHost: {connection.host}\r\n\r\n")
        found = json.loads(answer)["status"] if status == 200 else status
        if found == "ready":
            return time.perf_counter() - began
        if found not in ("queued", "processing"):
            sys.exit(f"{path}: {found}")
        time.sleep(0.001)


def main():
    arguments = json.loads(sys.stdin.readline())
    bodies = [form(file, arguments["fields"]) for file in arguments["files"]]
    numbers, lock, results = iter(range(arguments["first"], arguments["first"] + arguments["count"])), threading.Lock(), []

    def take():
        with lock:
            return next(numbers, None)

    threads = [threading.Thread(target=run, args=(arguments, bodies, take, results)) for _ in range(arguments["connections"])]
    print("ready", flush=True)
    sys.stdin.readline()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(results))


main()
