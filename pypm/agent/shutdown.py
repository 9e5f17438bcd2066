"""What is to be done when this process is asked to end: callbacks, once, at the first SIGTERM or SIGINT."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Shutdown"]

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SAME_REQUEST = 1.0
"""Seconds in which a second signal is the same request: a terminal and a wrapper both pass Ctrl-C on."""


class Shutdown:
    """The callbacks of one process, and the handlers that were there before ours."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._callbacks: list[tuple[Callable[[], Any], asyncio.AbstractEventLoop | None]] = []
        self._previous: dict[int, Any] = {}
        self._begun: float | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def add(self, callback: Callable[[], Any], loop: asyncio.AbstractEventLoop | None) -> bool:
        """Add a callback; True if a signal will call it. After the first signal it is called at once."""
        if self._begun is not None:
            self._call(callback, loop)
            return True
        self._callbacks.append((callback, loop))
        if not self._previous and threading.current_thread() is threading.main_thread():
            self._install()
        return bool(self._previous)

    def withdraw(self) -> None:
        """Put back the handlers that were there before, and forget the callbacks."""
        for number, handler in self._previous.items():
            if signal.getsignal(number) == self._signalled:
                signal.signal(number, handler)
        self._previous = {}
        self._callbacks = []

    def _install(self) -> None:
        for number in SIGNALS:
            handler = signal.getsignal(number)
            # One that is ignored stays ignored (nohup); one of None was set by C code, and cannot be chained.
            if handler is not None and handler != signal.SIG_IGN:
                self._previous[number] = handler
                signal.signal(number, self._signalled)

    def _signalled(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        previous = self._previous.get(number, signal.SIG_DFL)
        if self._begun is None:
            self._begun = now
            self._tell()
            for callback, loop in self._callbacks:
                self._call(callback, loop)
            if callable(previous) and not is_default(previous):
                previous(number, frame)
        elif now - self._begun >= SAME_REQUEST:
            self._as_before(number, frame, previous)

    def _as_before(self, number: int, frame: Any, previous: Any) -> None:
        """Asked again, and not yet at the end: do what this signal did without us."""
        if callable(previous):
            previous(number, frame)
        else:
            signal.signal(number, previous)
            os.kill(os.getpid(), number)

    def _call(self, callback: Callable[[], Any], loop: asyncio.AbstractEventLoop | None) -> None:
        try:
            if loop is None:
                callback()
            else:
                loop.call_soon_threadsafe(self._call_in_loop, callback, loop)
        except Exception:  # its fault must not keep the others from being called: show it as Python does
            sys.excepthook(*sys.exc_info())

    def _call_in_loop(self, callback: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        result = callback()
        if hasattr(result, "__await__"):
            task = loop.create_task(_awaited(result))
            self._tasks.add(task)  # the loop itself does not keep it
            task.add_done_callback(self._tasks.discard)


async def _awaited(result: Any) -> None:
    await result


def is_default(handler: Any) -> bool:
    """Whether a handler is Python's own for Ctrl-C, which ends the program: its own or asyncio's."""
    if handler is signal.default_int_handler:
        return True
    inner = getattr(handler, "func", handler)  # asyncio.run installs a partial
    return getattr(inner, "__module__", "") == "asyncio.runners"
