"""Server and load of the benchmark of reloads: nothing is lost by them, all that is lost is seen."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from benchmarks import http_load, http_server

SECONDS = 30.0
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLOSE = b"Connection: close"
AS_THREE = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(SECONDS)
        yield made


@pytest.fixture
def server(listener: socket.socket) -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, "-S", str(http_server.__file__), "inherited"]
    command = [sys.executable, "-c", AS_THREE, str(listener.fileno()), *words]
    process = subprocess.Popen(command, pass_fds=[listener.fileno()])
    yield process
    process.kill()
    process.wait()


def connected(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname(), SECONDS)


def asked(connection: socket.socket) -> bytes:
    connection.sendall(REQUEST)
    return connection.recv(4096)


def test_a_kept_connection_is_closed_behind_the_next_answer_and_the_queue_is_left(
    listener: socket.socket, server: subprocess.Popen[bytes]
) -> None:
    with connected(listener) as kept, connected(listener) as silent:
        assert CLOSE not in asked(kept)
        server.send_signal(signal.SIGTERM)
        answers = [asked(kept)]
        while CLOSE not in answers[-1]:  # the signal may come after the request
            answers.append(asked(kept))
        assert all(answer.startswith(b"HTTP/1.1 200 OK") for answer in answers)
        assert kept.recv(1) == b""
        assert silent.recv(1) == b"", "who says nothing is let go"
        assert server.wait(SECONDS) == 0
    listener.setblocking(True)
    with connected(listener), listener.accept()[0]:
        pass


def test_the_load_counts_whole_answers_only_and_asks_nobody_twice(listener: socket.socket) -> None:
    listener.setblocking(True)
    load = http_load.Load(listener.getsockname()[1], 1, 3)
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no",
        b"",
    ]

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(4096)
                connection.sendall(answer)

    serving = threading.Thread(target=serve)
    serving.start()
    load.is_wanted = False
    load.threads[0].start()
    load.threads[0].join(SECONDS)
    serving.join(SECONDS)
    assert load.requests == {"alone": 3}
    assert load.failures == {"alone: closed before the answer was whole": 2}
    assert load.servers == {b"ok"}
