"""The honest waits of one run, whose processes may each wait for something of their own.

The deadline that holds is that of the process that waits longest. A heartbeat repeats what its process waits
for; only what is news becomes an event.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from pypm.core.events import Event, Extended, ExtensionReset

__all__ = ["Extensions"]

MOST_PROCESSES = 100
"""So many processes of one run are told from each other; what further ones announce is taken for the run."""
DRIFT = 1.0
"""Seconds by which a repeated deadline may differ, because messages take their time."""


def lives(pid: int) -> bool:
    """Whether there is a process of this number; of 0, which nobody has, that is not known."""
    return not pid or os.path.exists(f"/proc/{pid}")


class Extensions:
    """What the processes of a run have announced. Times are seconds of the boot clock."""

    def __init__(self, run_id: str, lives: Callable[[int], bool] = lives) -> None:
        self._run_id = run_id
        self._lives = lives
        self._waits: dict[int, tuple[float, str]] = {}
        self._announced = 0.0

    def extend(self, pid: int, seconds: float, text: str, now: float, drift: float = 0.0) -> list[Event]:
        """A process waits: never shortens what it has announced before."""
        until = now + seconds
        known = self._waits.get(pid)
        if known is None or until > known[0] + drift:
            self._keep(pid, until, text)
        if until <= self._announced + drift:
            return []
        self._announced = until
        return [Extended(self._run_id, seconds, text)]

    def reset(self, pid: int, seconds: float, text: str, now: float) -> list[Event]:
        """A process waits no longer, or (more than 0 seconds) for something else, that may be sooner."""
        self._waits.pop(pid, None)
        self._waits = {each: wait for each, wait in self._waits.items() if self._lives(each)}
        if seconds > 0:
            self._keep(pid, now + seconds, text)
        until, longest = max(self._waits.values(), default=(0.0, ""))
        if until > now and until >= self._announced > 0:
            return []
        self._announced = until if until > now else 0.0
        events: list[Event] = [ExtensionReset(self._run_id)]
        if self._announced:
            events.append(Extended(self._run_id, until - now, longest))
        return events

    def repeat(self, pid: int, seconds: float, text: str, now: float) -> list[Event]:
        """A heartbeat of a process says what it waits for; 0: for nothing any more."""
        if seconds > 0:
            return self.extend(pid, seconds, text, now, DRIFT)
        # Who was killed while it waited does not say that it waits no longer.
        is_over = pid in self._waits or not all(map(self._lives, self._waits))
        return self.reset(pid, 0.0, "", now) if is_over else []

    def _keep(self, pid: int, until: float, text: str) -> None:
        if pid in self._waits or len(self._waits) < MOST_PROCESSES:
            self._waits[pid] = (until, text)
