"""Tells whether a run that died of a SIGKILL which is none of ours was killed for want of memory."""

from __future__ import annotations

import asyncio

from pypm.system.oom import KillCounter, is_in_kernel_log

__all__ = ["OomWatch"]

PERIOD = 10.0
"""Seconds between two looks at what the kernel counts."""


class OomWatch:
    """Remembers what the kernel had counted at the last two looks: we hear of an end a bit later."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        counter: KillCounter | None = None,
        kernel_log: str = "/dev/kmsg",
    ) -> None:
        self._loop = loop
        self._counter = KillCounter() if counter is None else counter
        self._kernel_log = kernel_log
        self._earlier = self._latest = self._counter.read()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look again and again."""
        if self._latest is not None:
            self._timer = self._loop.call_later(PERIOD, self._look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def evidence(self, pid: int) -> str:
        """What speaks for it that this process has just been killed so, for people; empty: nothing does."""
        count = self._counter.read()
        if count is None or self._earlier is None or count <= self._earlier:
            return ""
        if is_in_kernel_log(pid, self._kernel_log):
            return "out of memory, as the kernel's log says"
        return "probably out of memory, as the kernel has counted such a kill at that time"

    def _look(self) -> None:
        self._earlier, self._latest = self._latest, self._counter.read()
        self.start()
