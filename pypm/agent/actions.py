"""What may be asked of this process: functions under names, which are called for ``pypm trigger``.

A thread waits for what is asked, on a connection of its own: the one on which the program speaks is never
read, so that speaking stays free of waits. The thread sleeps in the kernel until something comes. It calls
the functions, one after another; what a coroutine function gives is awaited in the program's event loop.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pypm.agent.facts import short_text

if TYPE_CHECKING:
    import asyncio

    import zmq

__all__ = ["Actions"]

VERSION = 1
MOST_NAMES = 100
NAME_LENGTH = 100
MOST_RESULT = 32 * 1024
"""Bytes of a result, as JSON."""
MOST_ERROR = 1000
"""Characters of what went wrong."""
QUEUE_LENGTH = 100
"""Requests that wait for their turn."""
PATIENCE = 60.0
"""Seconds that a coroutine may take where the request does not say."""
RECONNECT_FIRST_MS = 100
RECONNECT_MAX_MS = 2000
LINGER = 0.2
"""Seconds that a program's exit waits for the thread, and for an answer that is on its way."""


class Actions:
    """The actions of the process that makes it, for the master behind ``endpoint``; for any thread."""

    def __init__(self, endpoint: str, token: str) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        """Where coroutines are awaited."""
        self._endpoint = endpoint
        self._head = {"v": VERSION, "token": token, "pid": os.getpid()}
        self._functions: dict[str, Callable[..., object]] = {}
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._wake: tuple[int, int] = (-1, -1)
        self._closing = False
        # Kept here and not by the thread alone: in a forked child nobody is to collect, and so touch, them.
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None

    def add(self, name: object, function: Callable[..., object]) -> None:
        """Call ``function`` for what is asked under ``name``, from now on."""
        short = short_text(name, NAME_LENGTH)
        with self._lock:
            if not short or (short not in self._functions and len(self._functions) >= MOST_NAMES):
                return
            self._functions[short] = function
            if self._thread is None:
                self._begin()
            else:
                os.write(self._wake[1], b"+")

    def close(self) -> None:
        """Let the thread end, if it does not call a function right now; takes ``LINGER`` seconds at most."""
        with self._lock:
            thread, self._closing = self._thread, True
            if thread is not None:
                os.write(self._wake[1], b".")
        if thread is not None and thread is not threading.current_thread():
            thread.join(LINGER)

    def _begin(self) -> None:
        self._wake = os.pipe()
        self._thread = threading.Thread(target=self._run, name="pypm-actions", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(Exception):  # no pyzmq, a bad endpoint: the program goes on without actions
            self._connect()
            self._serve()
        with suppress(Exception):
            self._disconnect()

    def _connect(self) -> None:
        import zmq

        self._context = zmq.Context()
        self._socket = socket = self._context.socket(zmq.DEALER)
        socket.set(zmq.LINGER, int(LINGER * 1000))
        socket.set(zmq.SNDHWM, QUEUE_LENGTH)
        socket.set(zmq.RCVHWM, QUEUE_LENGTH)
        socket.set(zmq.RECONNECT_IVL, RECONNECT_FIRST_MS)
        socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        # A master that is new knows nothing of us: each connection begins with our names.
        self._monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        socket.connect(self._endpoint)

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.disable_monitor()
            self._socket.close()
        if self._context is not None:
            self._context.term()

    def _serve(self) -> None:
        import zmq

        assert self._socket is not None
        assert self._monitor is not None
        poller = zmq.Poller()
        for each in (self._socket, self._monitor, self._wake[0]):
            poller.register(each, zmq.POLLIN)
        while not self._closing:
            ready = dict(poller.poll())
            if self._wake[0] in ready:
                os.read(self._wake[0], 4096)
                self._tell_names()
            if self._monitor in ready:
                self._monitor.recv_multipart()
                self._tell_names()
            if self._socket in ready:
                self._take(self._socket.recv_multipart())

    def _tell_names(self) -> None:
        self._send(json.dumps({"type": "actions", "names": sorted(self._functions)}))

    def _send(self, fields: str) -> None:
        """Send a JSON object with the fields that all messages have; without a master it is lost."""
        import zmq

        assert self._socket is not None
        head = json.dumps({**self._head, "time": time.time()})
        with suppress(zmq.Again):
            self._socket.send(f"{head[:-1]}, {fields[1:]}".encode(), zmq.DONTWAIT)

    def _take(self, parts: list[bytes]) -> None:
        with suppress(Exception):  # what is no request is not answered
            request = json.loads(parts[0])
            seconds = request.get("expires", time.time() + PATIENCE) - time.time()
            # Who asked has been told by now that there was no answer: it is not done behind their back.
            if request["v"] == VERSION and request["type"] == "action" and seconds > 0:
                self._send(self._answer(request, seconds))

    def _answer(self, request: dict[str, Any], seconds: float) -> str:
        identity = json.dumps(request["id"])
        try:
            result = json.dumps(self._carry_out(request, seconds), ensure_ascii=False, allow_nan=False)
            if (size := len(result.encode())) > MOST_RESULT:
                raise ValueError(f"the result has {size} bytes, and {MOST_RESULT} is the most")
        except BaseException as error:  # also SystemExit: it is the action that ends, and not the program
            fields = {"type": "action_result", "id": request["id"], "ok": False, "error": in_words(error)}
            return json.dumps(fields)
        return f'{{"type": "action_result", "id": {identity}, "ok": true, "result": {result}}}'

    def _carry_out(self, request: dict[str, Any], seconds: float) -> object:
        function = self._functions.get(request["name"])
        if function is None:
            raise LookupError(f"there is no action {request['name']!r}")
        param = request.get("param")
        result = function() if param is None else function(param)
        if isinstance(result, Coroutine):
            return self._await(result, seconds)
        return result

    def _await(self, coroutine: Coroutine[Any, Any, object], seconds: float) -> object:
        import asyncio

        loop = self.loop
        if loop is None or loop.is_closed():
            coroutine.close()
            words = "is closed" if loop else "is not known: register the action in it, or give loop="
            raise RuntimeError(f"the event loop {words}")
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.cancel():
                raise TimeoutError("cancelled, as it was not done in time") from None
            raise


def in_words(error: BaseException) -> str:
    """The kind and text of an exception, as valid UTF-8."""
    try:
        text = str(error)
    except Exception:  # an exception that cannot be printed is one all the same
        text = ""
    words = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return words[:MOST_ERROR].encode("utf-8", "backslashreplace").decode()
