"""Honest waits: the set of what a process waits for, and until when each of them is announced.

The deadline that holds is that of the wait with the longest time left. Entering one that lasts longer than
all others announces it; leaving the last one takes the announcement back; leaving one of several announces
the longest of those that are left.

A busy loop that waits a thousand times a second must not keep the master busy. Beyond some announcements a
second a wait that ends is not told at once (``overdue``), so that the next one, which lasts no longer, need
not be told either. What is announced is never sooner than the truth by more than ``TOLERANCE``.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from pypm.agent.scopes import Scope

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BY_HAND", "Announcement", "Wait", "Waits", "bounded_seconds"]

BY_HAND = 0
"""The key of the one wait that ``extend_deadline`` makes and ``reset_deadline`` ends."""
LONGEST = 30 * 24 * 3600.0
"""Seconds; whoever announces more has no deadline in mind. The master has a lower limit of its own."""
BURST = 20
"""Announcements that may follow each other at once."""
PACE = 10.0
"""Announcements a second after that."""
TOLERANCE = 0.1
"""Seconds by which a wait may last longer than what is announced."""
MOST_WAITS = 10_000
"""So many waits at a time are remembered; one more is announced, and not taken back when it ends."""


class Announcement(NamedTuple):
    """What is to be said: the deadline that holds from now on, or (0 seconds) that there is none."""

    seconds: float
    text: str
    anew: bool
    """What was announced before is taken back first, as it would last longer."""


class Waits:
    """The waits of one process. Its user holds a lock; times are those of the monotonic clock."""

    def __init__(self) -> None:
        self.announced = 0.0
        """Until when the last announcement lasts; 0: none, or it was taken back."""
        self.ever = False
        """Something has been announced in this process."""
        self.overdue = False
        """A wait has ended, and that is still to be announced."""
        self._waits: dict[int, tuple[float, str]] = {}
        self._allowed = float(BURST)
        self._allowed_at = 0.0

    def enter(self, key: int, seconds: float, text: str, now: float) -> Announcement | None:
        """Add a wait; says what is to be announced, if that changes anything."""
        until = now + bounded_seconds(seconds)
        known = self._waits.get(key)
        if known is not None and known[0] >= until:  # extended by hand, and by less than before
            return None
        if len(self._waits) < MOST_WAITS or known is not None:
            self._waits[key] = (until, text)
        if until <= self.announced + (TOLERANCE if self.overdue else 0.0):
            return None
        self._take(now)
        self.announced, self.ever = until, True
        return Announcement(until - now, text, anew=False)

    def leave(self, key: int, now: float) -> Announcement | None:
        """Remove a wait; says what is to be announced, if that changes anything."""
        if self._waits.pop(key, None) is None:
            return None
        return self.settle(now)

    def settle(self, now: float) -> Announcement | None:
        """Say what is to be announced because waits have ended, if that is due."""
        until, text = self.longest()
        until = until if until > now else 0.0
        self.overdue = until < self.announced
        if not self.overdue or not self._take(now):
            return None
        self.announced, self.overdue = until, False
        return Announcement(until - now, text, anew=True) if until else Announcement(0.0, "", anew=True)

    def longest(self) -> tuple[float, str]:
        """Until when the longest wait lasts, and what it is for; 0 where there is none."""
        return max(self._waits.values(), default=(0.0, ""))

    def _take(self, now: float) -> bool:
        """Use up one of the announcements that are allowed; False where there is none left."""
        self._allowed = min(float(BURST), self._allowed + (now - self._allowed_at) * PACE)
        self._allowed_at = now
        is_allowed = self._allowed >= 1.0
        self._allowed = max(0.0, self._allowed - 1.0)
        return is_allowed


class Wait(Scope):
    """A wait as a block, with ``with`` or ``async with``; one object may be entered several times."""

    _keys = itertools.count(BY_HAND + 1)

    def __init__(
        self,
        seconds: float,
        text: str,
        enter: Callable[[int, float, str], None],
        leave: Callable[[int], None],
    ) -> None:
        self._seconds = seconds
        self._text = text
        self._enter = enter
        self._leave = leave
        self._entered: list[int] = []

    def _begin(self) -> None:
        key = next(self._keys)
        self._entered.append(key)
        self._enter(key, self._seconds, self._text)

    def _end(self, *, failed: bool) -> None:  # noqa: ARG002 - a wait is over either way
        self._leave(self._entered.pop())


def bounded_seconds(seconds: object) -> float:
    """A time as it can be announced: at least 0, at most ``LONGEST``; what is no number is 0."""
    try:
        number = float(seconds)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return min(max(number, 0.0), LONGEST) if number == number else 0.0  # NaN is not itself
