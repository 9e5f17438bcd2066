"""One process's channel to the master: a ZeroMQ DEALER that drops rather than blocks.

There is no thread of our own: a send puts the frame into the socket's queue (microseconds), and ZeroMQ's
background thread connects, sends and reconnects. A lock makes the socket safe among threads; it is
re-entrant because a signal handler may speak while the main thread does.
"""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import zmq

__all__ = ["HEARTBEAT_INTERVAL", "LINGER", "QUEUE_LENGTH", "TEXT_LENGTH", "Channel", "MessageType"]

MessageType = Literal["ready", "heartbeat", "status", "stopping"]

VERSION = 1
QUEUE_LENGTH = 1000
"""Frames that wait for a master; more are dropped."""
LINGER = 0.2
"""Seconds that a program's exit waits for unsent frames."""
HEARTBEAT_INTERVAL = 0.1
"""Seconds within which a second heartbeat is not sent: a busy loop must not keep the master busy."""
TEXT_LENGTH = 200
"""Characters of a status that are sent."""
RECONNECT_FIRST_MS = 100
RECONNECT_MAX_MS = 2000


class Channel:
    """The channel of the process that makes it, to the master named in that process's environment.

    It opens at the first message. ``pid`` is the process it belongs to; in any other it must not be used.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self._state: Literal["new", "opening", "open", "closed"] = "new"
        self._token = ""
        self._facts: dict[str, bool | str] = {}
        self._early: list[MessageType] = []
        self._heartbeat_after = 0.0
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._send_flags = 0

    def say(self, kind: MessageType, text: str | None = None) -> None:
        """Send one message. Drops it where it cannot be queued at once.

        Raises what pyzmq raises (the queue is full); the callers in this package swallow that.
        """
        if self._state == "closed":
            return
        with self.lock:
            self._remember(kind, text)
            if kind == "heartbeat" and self._is_too_soon():
                return
            if self._state == "opening":  # a signal handler that speaks while we import pyzmq
                self._early.append(kind)
            elif self._is_open():
                self._send(kind)

    def usable(self) -> bool:
        """Tell whether messages can be sent; opens the channel to know it."""
        with self.lock:
            return self._is_open()

    def close(self) -> None:
        """Give unsent frames ``LINGER`` seconds, then close for good."""
        with self.lock:
            context, socket = self._context, self._socket
            self._state, self._context, self._socket = "closed", None, None
            if socket is not None and context is not None:
                socket.close(linger=int(LINGER * 1000))
                context.term()

    def _remember(self, kind: MessageType, text: str | None) -> None:
        """Keep what later heartbeats repeat, for a master that was not there or has been replaced."""
        if kind == "ready":
            self._facts["ready"] = True
        elif text is not None:
            # A lone surrogate is no UTF-8, and would cost the whole frame.
            self._facts["status"] = str(text)[:TEXT_LENGTH].encode("utf-8", "replace").decode()

    def _is_too_soon(self) -> bool:
        now = time.monotonic()
        if now < self._heartbeat_after:
            return True
        self._heartbeat_after = now + HEARTBEAT_INTERVAL
        return False

    def _is_open(self) -> bool:
        if self._state == "new":
            self._open()
        return self._state == "open"

    def _open(self) -> None:
        """Connect; what hinders it (no variables, no pyzmq, a bad endpoint) closes the channel for good."""
        endpoint = os.environ.get("PYPM_AGENT_ENDPOINT")
        self._token = os.environ.get("PYPM_AGENT_TOKEN", "")
        if not endpoint or not self._token:
            self._state = "closed"
            return
        self._state = "opening"
        try:
            self._connect(endpoint)
            self._state = "open"
        finally:
            if self._state == "opening":
                self.close()
        while self._early:
            self._send(self._early.pop(0))

    def _connect(self, endpoint: str) -> None:
        import zmq

        self._context = zmq.Context()
        self._socket = socket = self._context.socket(zmq.DEALER)
        socket.set(zmq.LINGER, int(LINGER * 1000))
        socket.set(zmq.SNDHWM, QUEUE_LENGTH)
        socket.set(zmq.RCVHWM, 1)  # nothing here asks for an answer
        socket.set(zmq.RECONNECT_IVL, RECONNECT_FIRST_MS)
        socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        socket.connect(endpoint)
        self._send_flags = zmq.DONTWAIT

    def _send(self, kind: MessageType) -> None:
        assert self._socket is not None
        message: dict[str, Any] = {
            "v": VERSION,
            "token": self._token,
            "type": kind,
            "pid": self.pid,
            "time": time.time(),
        }
        if kind == "heartbeat":
            message |= self._facts
        elif kind == "status":
            message["text"] = self._facts.get("status", "")
        self._socket.send(json.dumps(message).encode(), self._send_flags)
