"""Heartbeats that come by themselves: one kind proves that an event loop turns, the other next to nothing."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Heartbeats", "ThreadHeartbeats", "watchdog_seconds"]

INTERVAL = 1.0
SHORTEST = 0.05


def chosen_interval(interval: float | None) -> float:
    """Seconds between heartbeats: as asked, or a quarter of systemd's watchdog period, at most a second."""
    if interval is None:
        watchdog = watchdog_seconds(os.environ)
        interval = INTERVAL if watchdog is None else min(INTERVAL, watchdog / 4)
    return max(SHORTEST, interval)


def watchdog_seconds(environment: os._Environ[str]) -> float | None:
    """The watchdog's period in seconds, where the service manager has set one.

    ``WATCHDOG_PID`` is not looked at: behind a wrapper such as ``uv run`` it is the wrapper's, and one that
    hears only that process ignores ours.
    """
    try:
        period = int(environment.get("WATCHDOG_USEC", "0")) / 1e6
    except ValueError:
        return None
    return period if period > 0 else None


class Heartbeats:
    """Heartbeats from a timer of an asyncio loop: they stop when the loop no longer turns.

    It is a timer and not a task, so that whoever cancels all tasks at the end does not silence it.
    """

    def __init__(self, beat: Callable[[], None], interval: float | None) -> None:
        self._beat = beat
        self._interval = chosen_interval(interval)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> Heartbeats:
        """Begin, in ``loop`` (which need not run yet) or else the running one; without any, do nothing."""
        import asyncio

        with suppress(RuntimeError):  # no loop runs, or it is closed
            loop = loop or asyncio.get_running_loop()
            if self._loop is None:
                self._loop = loop
                loop.call_soon_threadsafe(self._turn)
        return self

    def stop(self) -> None:
        """End; from another thread, at the next turn."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()

    async def __aenter__(self) -> Heartbeats:
        return self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _turn(self) -> None:
        if self._loop is not None:
            self._timer = self._loop.call_later(self._interval, self._turn)
            self._beat()


class ThreadHeartbeats:
    """Heartbeats from a daemon thread: they say that the process lives and is scheduled, and no more."""

    def __init__(self, beat: Callable[[], None], interval: float | None) -> None:
        self._beat = beat
        self._interval = chosen_interval(interval)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pypm-heartbeats", daemon=True)

    def start(self) -> ThreadHeartbeats:
        """Begin; where no thread can be had, do nothing."""
        with suppress(RuntimeError):
            self._thread.start()
        return self

    def stop(self) -> None:
        """End, without waiting for the thread."""
        self._stopped.set()

    def _run(self) -> None:
        while True:
            self._beat()
            if self._stopped.wait(self._interval):
                return
