"""A clock that stands still until it is moved."""

from __future__ import annotations

__all__ = ["FakeClock"]


class FakeClock:
    """Callable like the real clock: gives seconds."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The present time in seconds."""
        return self.now

    def advance(self, seconds: float) -> float:
        """Move the clock forward; gives the new time."""
        self.now += seconds
        return self.now
