"""An HTTP server that finishes what it has begun: ``python http_server.py inherited|PORT [at-once]``.

It serves the socket that it has inherited (``LISTEN_FDS``), or opens the port by itself with SO_REUSEPORT,
and says ``READY=1`` where it is asked to. A request takes five milliseconds, so that one is always under
way.

After SIGTERM it takes in those that have connected already (not so with ``at-once``: then it closes its
listening socket as it is, as most servers do) and accepts nothing more. It answers whatever comes on the
connections that it has, with ``Connection: close``, and closes each behind that answer: so the one at the
other end knows that it has to connect anew, and has sent nothing that nobody reads. A connection on which
nothing comes for a second is closed; whoever speaks at that very moment has to ask again, which no server
can help. It ends with the last connection.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections import deque

__all__ = ["Server", "main"]

WORK_SECONDS = 0.005
SILENT_SECONDS = 1.0
LOOK_SECONDS = 0.1
END = b"\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s"
CLOSE = b"Connection: close\r\n"


class Connection:
    """Somebody who has connected: what has come and is not answered, and when the last of it came."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self.come = b""
        self.heard = time.monotonic()


class Server:
    """One thread, one epoll: there is no moment in which a connection is accepted and not known yet."""

    def __init__(self, listener: socket.socket, takes_in: bool = True) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._takes_in = takes_in
        self._connections: dict[int, Connection] = {}
        self._begun: deque[tuple[float, Connection]] = deque()
        self._is_ending = False
        self._poll = select.epoll()
        # Only one of the processes that share the socket is woken for a connection.
        self._poll.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        self._signals, told = socket.socketpair()
        told.setblocking(False)
        self._told = told
        self._poll.register(self._signals, select.EPOLLIN)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.set_wakeup_fd(told.fileno())

    def serve(self) -> None:
        """Until SIGTERM, and until all that was begun is done."""
        while not self._is_ending or self._connections:
            for descriptor, _ in self._poll.poll(self._wait()):
                if descriptor in self._connections:
                    self._read(self._connections[descriptor])
                elif descriptor == self._signals.fileno():
                    self._end()
                elif not self._is_ending:
                    self._accept()
            self._answer()
            if self._is_ending:
                self._close_silent()

    def _wait(self) -> float | None:
        waits = [max(0.0, self._begun[0][0] - time.monotonic())] if self._begun else []
        return min([*waits, LOOK_SECONDS]) if self._is_ending else waits[0] if waits else None

    def _accept(self) -> bool:
        try:
            peer, _ = self._listener.accept()
        except BlockingIOError:
            return False
        peer.setblocking(False)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[peer.fileno()] = Connection(peer)
        self._poll.register(peer, select.EPOLLIN)
        return True

    def _read(self, connection: Connection) -> None:
        try:
            come = connection.peer.recv(4096)
        except BlockingIOError:  # what was told was about another one, whose number this one has got
            return
        except OSError:
            come = b""
        if not come:
            self._close(connection)
            return
        connection.heard = time.monotonic()
        connection.come += come
        if END in connection.come:
            self._begun.append((connection.heard + WORK_SECONDS, connection))

    def _answer(self) -> None:
        while self._begun and self._begun[0][0] <= time.monotonic():
            _, connection = self._begun.popleft()
            if connection.peer.fileno() < 0:
                continue
            request, _, connection.come = connection.come.partition(END)
            is_last = self._is_ending or CLOSE.strip() in request
            body = b"%d" % os.getpid()
            try:
                connection.peer.sendall(ANSWER % (len(body), CLOSE if is_last else b"", body))
            except OSError:
                is_last = True
            if is_last:
                self._close(connection)

    def _end(self) -> None:
        self._signals.recv(100)
        if self._is_ending:
            return
        self._is_ending = True
        # In this order: one of the others may have been passed over for us until now.
        self._poll.unregister(self._listener)
        while self._takes_in and self._accept():
            pass
        self._listener.close()

    def _close_silent(self) -> None:
        now = time.monotonic()
        for connection in list(self._connections.values()):
            if not connection.come and now - connection.heard > SILENT_SECONDS:
                self._close(connection)

    def _close(self, connection: Connection) -> None:
        del self._connections[connection.peer.fileno()]
        connection.peer.close()


def _open(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(4096)
    return listener


def _say_ready() -> None:
    place = os.environ.get("NOTIFY_SOCKET")
    if place:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.sendto(b"READY=1", place)


def main(where: str, end: str = "") -> None:
    """Serve until SIGTERM."""
    listener = socket.socket(fileno=3) if where == "inherited" else _open(int(where))
    server = Server(listener, takes_in=end != "at-once")
    _say_ready()
    server.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
