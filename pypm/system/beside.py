"""Calls that may never come back (a file on a dead server, a name that nobody resolves), beside the loop.

Daemon threads and no executor: nobody waits for a thread that hangs, not even the end of this process.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Beside", "BusyError"]

Value = TypeVar("Value")


class BusyError(Exception):
    """All threads hang, or there is none to be had."""


class Beside:
    """At most ``most`` threads, each for one call."""

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._threads = 0
        self._lock = threading.Lock()
        self._free = asyncio.Event()
        self._free.set()

    async def call(self, function: Callable[[], Value], patience: float) -> Value:
        """What the function returns or raises; whoever is cancelled while it hangs leaves the thread behind.

        Raises BusyError where no thread becomes free within ``patience`` seconds, or none can be started.
        """
        try:
            async with asyncio.timeout(patience):
                while self._threads >= self._most:
                    self._free.clear()
                    await self._free.wait()
        except TimeoutError:
            raise BusyError("all threads for such calls hang") from None
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Value] = loop.create_future()
        thread = threading.Thread(
            target=self._work, args=(loop, future, function), name="pypm-beside", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the kernel gives no more threads
            raise BusyError(str(error)) from None
        self._threads += 1
        return await future

    def _work(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Value], function: Callable[[], Value]
    ) -> None:
        try:
            value = function()
        except BaseException as error:
            self._tell(loop, self._over, future.set_exception, future, error)
        else:
            self._tell(loop, self._over, future.set_result, future, value)

    def _tell(self, loop: asyncio.AbstractEventLoop, function: Callable[..., None], *words: object) -> None:
        try:
            loop.call_soon_threadsafe(function, *words)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _over(self, settle: Callable[[object], None], future: asyncio.Future[Value], outcome: object) -> None:
        self._threads -= 1
        self._free.set()
        if not future.done():
            settle(outcome)
