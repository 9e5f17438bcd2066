"""Deadlines of the boot clock on the loop's monotonic clock."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

__all__ = ["Timers"]

LONGEST_WAIT = 30.0
"""Seconds after which the boot clock is looked at again: the loop's clock stands still in suspend."""


class Timers:
    """One deadline for each key; ``fire(key, deadline)`` is called when it has come."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], fire: Callable[[int, float], None]
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._fire = fire
        self._armed: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []
        self._handle: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0

    def arm(self, key: int, deadline: float) -> None:
        """Set or replace the key's deadline, in seconds of the boot clock."""
        self._armed[key] = deadline
        heapq.heappush(self._heap, (deadline, key))
        self._schedule()

    def cancel(self, key: int) -> None:
        """Drop the key's deadline, if it has one."""
        self._armed.pop(key, None)

    def _schedule(self) -> None:
        while self._heap and self._armed.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if not self._heap:
            if self._handle is not None:
                self._handle.cancel()
                self._handle = None
            return
        deadline = self._heap[0][0]
        if self._handle is not None:
            if self._wakes_at <= deadline:
                return
            self._handle.cancel()
        wait = min(max(0.0, deadline - self._clock()), LONGEST_WAIT)
        self._wakes_at = deadline
        self._handle = self._loop.call_later(wait, self._wake)

    def _wake(self) -> None:
        self._handle = None
        now = self._clock()
        try:
            while self._heap and self._heap[0][0] <= now:
                deadline, key = heapq.heappop(self._heap)
                if self._armed.get(key) == deadline:
                    del self._armed[key]
                    self._fire(key, deadline)
        finally:  # one that cannot be carried out must not stop the others
            self._schedule()
