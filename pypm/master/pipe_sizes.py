"""How much the log pipes hold: busy streams have larger ones, until they have become quiet.

A large pipe saves turns of the loop. Few are large at a time, because the kernel counts the pages of all the
pipes of a user who is not root (16,384 by default), and beyond that gives new pipes a page or two only.
"""

from __future__ import annotations

import asyncio
import fcntl

from pypm.logs.pump import Pump
from pypm.logs.record_pump import RecordPump

__all__ = ["PipeSizes"]

AnyPump = Pump | RecordPump

LARGE = 1024 * 1024
SMALL = 65536
"""What a pipe holds by default."""
MOST_LARGE = 16
"""Pipes that are large at a time: a quarter of the pages that a user has."""
BUSY_TURNS = 8
"""Turns in a row that have to find a pipe full before it is grown."""
FAST_BYTES = 8 * LARGE
"""Bytes within a second for which it is grown, too: a reader that is quicker finds no pipe full."""
LOOK_EVERY = 10.0
"""Seconds between two looks at whether a large pipe is needed."""
QUIET_BYTES = 10 * LARGE
"""Bytes between two looks below which it is not."""


class PipeSizes:
    """Grows and shrinks the pipes of one master's pumps."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._large: dict[AnyPump, int] = {}
        self._marks: dict[AnyPump, tuple[int, float]] = {}
        """How much had been moved when it was last looked at how fast that goes."""
        self._refused: set[AnyPump] = set()
        self._timer: asyncio.TimerHandle | None = None

    def adopt(self, pump: AnyPump) -> None:
        """Take in a pipe as the last master has left it."""
        pump.capacity = fcntl.fcntl(pump.fd, fcntl.F_GETPIPE_SZ)
        if pump.capacity > SMALL:
            self._count(pump)

    def look(self, pump: AnyPump) -> None:
        """To be called after each turn: grow the pipe if it has been full again and again, or much comes."""
        if pump.capacity >= LARGE or len(self._large) >= MOST_LARGE:
            return
        if pump.full_turns >= BUSY_TURNS or self._is_fast(pump):
            self._grow(pump)

    def forget(self, pump: AnyPump) -> None:
        """The pipe is about to be closed."""
        self._large.pop(pump, None)
        self._marks.pop(pump, None)
        self._refused.discard(pump)

    def _is_fast(self, pump: AnyPump) -> bool:
        moved, at = self._marks.get(pump, (0, float("-inf")))
        if pump.moved - moved < FAST_BYTES:
            return False
        now = self._loop.time()
        self._marks[pump] = pump.moved, now
        return now - at < 1.0

    def _grow(self, pump: AnyPump) -> None:
        if pump in self._refused:
            return
        try:
            pump.capacity = fcntl.fcntl(pump.fd, fcntl.F_SETPIPE_SZ, LARGE)
        except OSError:  # the user has too many large pipes, or may have none so large: it goes without
            self._refused.add(pump)
        else:
            self._count(pump)

    def _count(self, pump: AnyPump) -> None:
        self._large[pump] = pump.moved
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_EVERY, self._shrink_quiet)

    def _shrink_quiet(self) -> None:
        self._timer = None
        large, self._large = self._large, {}
        self._refused.clear()
        for pump, moved in large.items():
            if pump.moved - moved >= QUIET_BYTES or not self._is_shrunk(pump):
                self._count(pump)

    def _is_shrunk(self, pump: AnyPump) -> bool:
        try:
            pump.capacity = fcntl.fcntl(pump.fd, fcntl.F_SETPIPE_SZ, SMALL)
        except OSError:  # it holds more than that, because its disk takes nothing
            return False
        return True
