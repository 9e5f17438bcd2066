"""pypm's own road: a ZeroMQ DEALER that drops rather than blocks.

There is no thread of our own: a send puts the frame into the socket's queue (microseconds), and ZeroMQ's
background thread connects, sends and reconnects.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import zmq

__all__ = ["LINGER", "QUEUE_LENGTH", "ZeroMQ", "open_zeromq"]

VERSION = 1
LASTING = ("ready", "stopping")
"""What is said once in a life, and so must not be lost in a queue that others have filled."""
MOST_UNSENT = 100
"""So many of them wait, where a program repeats itself."""
QUEUE_LENGTH = 1000
"""Frames that wait for a master; more are dropped."""
LINGER = 0.2
"""Seconds that a program's exit waits for unsent frames."""
RECONNECT_FIRST_MS = 100
RECONNECT_MAX_MS = 2000


class ZeroMQ:
    """A connection to the master's agent channel (docs/agent-protocol.md)."""

    interval = 0.1
    """Seconds within which a second message of the same kind is not sent."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        socket: zmq.Socket[bytes],
        token: str,
        flags: int,
        writable: int,
    ) -> None:
        self._context = context
        self._socket = socket
        self._flags = flags
        self._writable = writable
        self._unsent: list[bytes] = []
        head = json.dumps({"v": VERSION, "token": token, "pid": os.getpid()})
        self._head = f"{head[:-1]}, "
        self._encode = json.JSONEncoder(check_circular=False, allow_nan=False).encode

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; drops it, and raises what pyzmq raises, where it cannot be queued at once.

        What is said once in a life is not dropped: it is kept for the next time.
        """
        message["time"] = time.time()
        frame = (self._head + self._encode(message)[1:]).encode()
        if message["type"] in LASTING and len(self._unsent) < MOST_UNSENT:
            self._unsent.append(frame)
            frame = b""
        while self._unsent:
            self._socket.send(self._unsent[0], self._flags)
            del self._unsent[:1]
        if frame:
            self._socket.send(frame, self._flags)

    def close(self) -> None:
        """Give unsent frames ``LINGER`` seconds, then close."""
        end = time.monotonic() + LINGER
        with suppress(Exception):  # nobody reads: there is no more time
            while self._unsent and self._socket.poll(_milliseconds_until(end), self._writable):
                self._socket.send(self._unsent.pop(0), self._flags)
        self._socket.close(linger=_milliseconds_until(end))
        self._context.term()


def _milliseconds_until(end: float) -> int:
    return max(0, int((end - time.monotonic()) * 1000))


def open_zeromq(environment: os._Environ[str]) -> ZeroMQ | None:
    """Connect to the master that the environment names; None where it names none.

    Raises ImportError where pyzmq is not installed, and what pyzmq raises for a bad endpoint.
    """
    endpoint, token = environment.get("PYPM_AGENT_ENDPOINT"), environment.get("PYPM_AGENT_TOKEN")
    if not endpoint or not token:
        return None
    import zmq

    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    try:
        socket.set(zmq.LINGER, int(LINGER * 1000))
        socket.set(zmq.SNDHWM, QUEUE_LENGTH)
        socket.set(zmq.RCVHWM, 1)  # nothing here asks for an answer
        socket.set(zmq.RECONNECT_IVL, RECONNECT_FIRST_MS)
        socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        socket.connect(endpoint)
    except BaseException:
        socket.close(linger=0)
        context.term()
        raise
    return ZeroMQ(context, socket, token, zmq.DONTWAIT, zmq.POLLOUT)
