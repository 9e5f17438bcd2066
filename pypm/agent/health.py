"""Probes over HTTP, for Kubernetes and its like, answered from the same facts that pypm hears."""

from __future__ import annotations

import os
import socket
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pypm.agent.channel import Channel
    from pypm.agent.facts import Facts

__all__ = ["HealthServer", "Limits", "verdict"]

MOST_CONNECTIONS = 16
CONNECTION_TIMEOUT = 2.0
"""Seconds that a client may be silent."""


class Limits(NamedTuple):
    """How long, in seconds, an agent may be silent; None: for ever."""

    heartbeat_timeout: float | None
    """Holds from the first heartbeat on."""
    progress_timeout: float | None
    """Holds from ``ready`` on."""


def verdict(path: str, facts: Facts, extended_until: float, limits: Limits, now: float) -> str | None:
    """What is wrong, for people; empty: nothing; None: there is no such probe.

    ``extended_until`` is the deadline of the waits: nobody is called silent before it.
    """
    match path:
        case "/startupz":
            return "not ready yet" if facts.ready_at is None else ""
        case "/readyz":
            if facts.ready_at is None or facts.stopping:
                return "stopping" if facts.stopping else "not ready yet"
            return _silence(facts, extended_until, limits, now)
        case "/livez":
            return _silence(facts, extended_until, limits, now)
    return None


def _silence(facts: Facts, extended_until: float, limits: Limits, now: float) -> str:
    worked = facts.ready_at if facts.last_progress is None else facts.last_progress
    for what, last, limit in (
        ("heartbeat", facts.last_beat, limits.heartbeat_timeout),
        ("progress", worked, limits.progress_timeout),
    ):
        if last is not None and limit is not None and now > max(last + limit, extended_until):
            return f"no {what} for {now - last:.1f} s, the limit is {limit:g} s"
    return ""


class HealthServer(ThreadingHTTPServer):
    """A server in daemon threads that tells what the channel of this process knows."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, host: str, port: int, channel: Channel, limits: Limits) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        self._channel = channel
        self._limits = limits
        self._slots = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._pid = os.getpid()
        super().__init__((host, port), Probe)
        os.register_at_fork(after_in_child=self.server_close)  # the port is not the child's to hold

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return self.server_port

    def start(self) -> None:
        """Answer from now on, in a thread of its own."""
        threading.Thread(target=self.serve_forever, name="pypm-health", daemon=True).start()

    def stop(self) -> None:
        """Answer no more; takes half a second at most."""
        if os.getpid() == self._pid:  # in a forked child there is no thread to be waited for
            self.shutdown()
        self.server_close()

    def judge(self, path: str) -> str | None:
        """The verdict for a path, as of now."""
        channel = self._channel
        with channel.lock:
            extended_until, _ = channel.waits.longest()
            return verdict(path, channel.facts, extended_until, self._limits, time.monotonic())

    def server_bind(self) -> None:
        """Bind, without asking a name server what this host is called, as HTTPServer does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, unless too many are at it."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one request."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that breaks off is nobody's trouble."""


class Probe(BaseHTTPRequestHandler):
    """One question of a prober."""

    server: HealthServer
    timeout = CONNECTION_TIMEOUT
    server_version = "pypm"
    sys_version = ""

    def do_GET(self) -> None:
        """200 where all is well, 503 where it is not, with a line that says why."""
        wrong = self.server.judge(self.path.partition("?")[0])
        if wrong is None:
            self._answer(404, "there are /livez, /readyz and /startupz")
        else:
            self._answer(503 if wrong else 200, wrong or "ok")

    def do_HEAD(self) -> None:
        """The same without the line."""
        self.do_GET()

    def _answer(self, code: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """A probe each second is not worth a line."""
