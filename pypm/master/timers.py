"""Deadlines of the boot clock on the loop's monotonic clock."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

__all__ = ["Timers"]

LONGEST_WAIT = 5.0
"""Seconds after which the boot clock is looked at again: the loop's clock stands still in suspend."""
STOOD_STILL = 2.0
"""Seconds by which we are woken too late when this process has been stopped, and perhaps all others too."""
PAUSE = 1.0
"""Seconds of suspend, or of standing still, that are too short to be told of."""


class Timers:
    """One deadline for each key; ``fire(key, deadline, paused)`` is called when it has come.

    ``paused`` are the seconds since it was armed in which nobody could do anything: the machine was
    suspended, or everything was stopped (a frozen container, a paused virtual machine).
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        fire: Callable[[int, float, float], None],
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._fire = fire
        self._armed: dict[int, tuple[float, float]] = {}
        """Deadline of each key, and the pauses up to when it was armed."""
        self._heap: list[tuple[float, int]] = []
        self._handle: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self._looked_at = self._looks_at = loop.time()
        """When we looked last, and when we want to look next, on the loop's clock."""
        self._stood_still = 0.0

    def arm(self, key: int, deadline: float) -> None:
        """Set or replace the key's deadline, in seconds of the boot clock."""
        self._armed[key] = (deadline, self._pauses())
        heapq.heappush(self._heap, (deadline, key))
        self._schedule()

    def cancel(self, key: int) -> None:
        """Drop the key's deadline, if it has one."""
        self._armed.pop(key, None)

    def _pauses(self) -> float:
        """Seconds of all pauses so far, beginning anywhere."""
        now = self._loop.time()
        if self._handle is not None and now > self._looks_at + STOOD_STILL:
            self._stood_still += now - self._looked_at
            self._looked_at = self._looks_at = now
        return self._clock() - now + self._stood_still

    def _is_armed(self, key: int, deadline: float) -> bool:
        return key in self._armed and self._armed[key][0] == deadline

    def _schedule(self) -> None:
        while self._heap and not self._is_armed(self._heap[0][1], self._heap[0][0]):
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
        self._looked_at = self._loop.time()
        self._looks_at = self._looked_at + wait
        self._handle = self._loop.call_later(wait, self._wake)

    def _wake(self) -> None:
        pauses = self._pauses()
        self._handle = None
        now = self._clock()
        try:
            while self._heap and self._heap[0][0] <= now:
                deadline, key = heapq.heappop(self._heap)
                if self._is_armed(key, deadline):
                    paused = pauses - self._armed.pop(key)[1]
                    self._fire(key, deadline, paused if paused >= PAUSE else 0.0)
        finally:  # one that cannot be carried out must not stop the others
            self._schedule()
