"""How soon a master follows one that has ended: at once after one that worked, else later and later."""

from __future__ import annotations

__all__ = ["Pace"]

HEALTHY = 10.0
"""Seconds after which a master counts as one that works: the delays begin anew."""
FIRST_DELAY = 0.1
"""Seconds before the third start in a row of masters that ended by themselves."""
LONGEST_DELAY = 30.0
YOUNG = 1.0
"""Seconds within which a master that served and was killed from outside had no time to do much."""
PATIENT_KILLS = 5
"""How many young ones may be killed in a row before the delay grows: by a person, a test, a short squeeze."""
LONGEST_KILL_DELAY = 1.0


class Pace:
    """Counts the masters that have not lived for long. Times are in seconds."""

    def __init__(self) -> None:
        self.failures = 0
        """Masters in a row that have ended soon."""
        self._young_kills = 0

    def after_kill(self, lived: float) -> float:
        """The delay after a master that served and was killed.

        It is not its own fault, and it worked: the next one will too, unless the killer goes on.
        """
        if lived >= YOUNG:
            self._young_kills = 0
            return 0.0
        self._young_kills += 1
        return _doubled(self._young_kills - PATIENT_KILLS, LONGEST_KILL_DELAY)

    def after_end(self, lived: float) -> float:
        """The delay after a master that has ended by itself."""
        self.failures = 0 if lived >= HEALTHY else self.failures + 1
        return _doubled(self.failures - 2, LONGEST_DELAY) if self.failures > 1 else 0.0

    def begin_anew(self) -> None:
        """A master has proved that it works."""
        self.failures = 0


def _doubled(times: int, longest: float) -> float:
    return min(FIRST_DELAY * float(1 << max(0, min(times, 20))), longest)
