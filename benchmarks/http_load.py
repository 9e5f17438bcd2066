"""Load on an HTTP server: ``python http_load.py PORT CLIENTS LEAST``.

Half of the clients connect for each request, the others keep their connection as long as the server does.
They go on until stdin is closed, and until there were LEAST requests. A line on stdout says that LEAST were
reached; the last one has what was counted, as JSON. A request that gets no whole answer has failed, and is
not tried again.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections import Counter

__all__ = ["Load", "main"]

PATIENCE_SECONDS = 10.0
KEPT = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
ALONE = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
END = b"\r\n\r\n"
LENGTH = b"Content-Length: "


class Load:
    """The clients, a thread each, and what they have counted."""

    def __init__(self, port: int, clients: int, least: int) -> None:
        self._port = port
        self._least = least
        self._lock = threading.Lock()
        self.is_wanted = True
        self.is_enough = threading.Event()
        self.requests: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.servers: set[bytes] = set()
        self.seconds: list[float] = []
        kinds = [number % 2 == 1 for number in range(clients)]
        self.threads = [threading.Thread(target=self._ask, args=(is_kept,)) for is_kept in kinds]

    def _ask(self, is_kept: bool) -> None:
        connection: socket.socket | None = None
        while self.is_wanted or not self.is_enough.is_set():
            begun = time.monotonic()
            failure = ""
            try:
                if connection is None:
                    connection = socket.create_connection(("127.0.0.1", self._port), PATIENCE_SECONDS)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                head, body = _exchange(connection, KEPT if is_kept else ALONE)
            except OSError as error:
                failure, head, body = str(error), b"", b""
            if connection is not None and (failure or not is_kept or b"Connection: close" in head):
                connection.close()
                connection = None
            self._count("kept" if is_kept else "alone", failure, body, time.monotonic() - begun)
        if connection is not None:
            connection.close()

    def _count(self, kind: str, failure: str, server: bytes, seconds: float) -> None:
        with self._lock:
            self.requests[kind] += 1
            if failure:
                self.failures[f"{kind}: {failure}"] += 1
            else:
                self.servers.add(server)
            self.seconds.append(seconds)
            if len(self.seconds) >= self._least:
                self.is_enough.set()


def _exchange(connection: socket.socket, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to a request; OSError where it does not come whole."""
    connection.sendall(request)
    answer = b""
    while END not in answer:
        answer += _more(connection)
    head, _, body = answer.partition(END)
    if not head.startswith(b"HTTP/1.1 200 "):
        raise OSError(f"it says {head[:40]!r}")
    length = int(head.partition(LENGTH)[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += _more(connection)
    return head, body


def _more(connection: socket.socket) -> bytes:
    piece = connection.recv(4096)
    if not piece:
        raise OSError("closed before the answer was whole")
    return piece


def main(port: int, clients: int, least: int) -> None:
    """Ask until told otherwise."""
    load = Load(port, clients, least)
    begun = time.monotonic()
    for thread in load.threads:
        thread.start()
    load.is_enough.wait()
    print("enough", flush=True)
    sys.stdin.read()
    load.is_wanted = False
    for thread in load.threads:
        thread.join()
    counted = {
        "requests": load.requests,
        "failures": load.failures,
        "servers": len(load.servers),
        "seconds": time.monotonic() - begun,
        "times": sorted(load.seconds),
    }
    print(json.dumps(counted), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
