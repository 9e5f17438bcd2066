"""What goes wrong with a log: when it began, what it cost, when it ended, and whom that is told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Literal

import msgspec

__all__ = ["LogTrouble", "TroubleKind", "Troubles", "dropped_marker", "dropped_record", "stamp"]

TroubleKind = Literal["write", "block", "rotation"]

CALM = 10.0
"""Seconds without a dropped byte after which a log that begins to fail again is tried with every write."""
FIRST_PAUSE = 0.01
LONGEST_PAUSE = 1.0
"""Seconds between two tries of a log that fails again and again, such as a FIFO with a slow reader."""


class LogTrouble(msgspec.Struct, frozen=True):
    """A log begins or ceases to fail.

    Bytes are dropped (``write``), nothing is taken and the agent waits (``block``), or the file cannot be
    rotated (``rotation``). A log that cannot be rotated grows beyond its size: better too large than lost.
    """

    path: str
    kind: TroubleKind
    ended: bool
    reason: str
    """What the system said when it began; empty when it has ended."""
    dropped_bytes: int
    """Dropped since it began."""


class Troubles:
    """The troubles of one log. ``tell`` hears when each begins and ends; ``clock`` gives seconds."""

    def __init__(self, path: str, tell: Callable[[LogTrouble], None], clock: Callable[[], float]) -> None:
        self.dropped_bytes = 0
        """Dropped since this object was made."""
        self.unmarked = 0
        """Dropped since a marker line last told of it."""
        self.reason = ""
        """Why bytes were last dropped."""
        self._path = path
        self._tell = tell
        self._clock = clock
        self._present: dict[TroubleKind, int] = {}
        self._dropped_at = -CALM
        self._retry_at = 0.0
        self._pause = 0.0

    def has(self, kind: TroubleKind) -> bool:
        """Whether there is such a trouble now."""
        return kind in self._present

    def any(self) -> bool:
        """Whether there is any trouble now."""
        return bool(self._present)

    def is_pausing(self) -> bool:
        """Whether it is too early to try again: who fails ten times a second is not to be told each time."""
        return self._retry_at > 0.0 and self._clock() < self._retry_at

    def began(self, kind: TroubleKind, error: OSError) -> None:
        """Something failed; told only if it is new."""
        if kind not in self._present:
            self._present[kind] = self.dropped_bytes
            reason = error.strerror or str(error)
            self._tell(LogTrouble(self._path, kind, ended=False, reason=reason, dropped_bytes=0))

    def ended(self, *kinds: TroubleKind) -> None:
        """These things work; told if they did not before."""
        for kind in kinds:
            if kind in self._present:
                dropped = self.dropped_bytes - self._present.pop(kind)
                self._tell(LogTrouble(self._path, kind, ended=True, reason="", dropped_bytes=dropped))

    def dropped(self, count: int, error: OSError) -> None:
        """``count`` bytes could not be written."""
        now = self._clock()
        if not self.has("write"):
            self.reason = error.strerror or str(error)
            again = now - self._dropped_at < CALM
            self._pause = min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE) if again else 0.0
            self._retry_at = now + self._pause
        self._dropped_at = now
        self.began("write", error)
        self.dropped_bytes += count
        self.unmarked += count


def stamp(seconds: float) -> str:
    """A wall-clock time (seconds since 1970) as ``2026-11-22T16:23:42.598Z``."""
    milliseconds = int(seconds * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{whole}.{milliseconds % 1000:03d}Z"


def dropped_marker(count: int, reason: str) -> bytes:
    """The line that stands in a log where ``count`` bytes of output were dropped."""
    return f"[pypm] {stamp(time.time())} {count} bytes of output were dropped: {reason}\n".encode()


def dropped_record(count: int, reason: str) -> bytes:
    """The same for a log of JSON records: a record of the type ``pypm``."""
    message = f"{count} bytes of output were dropped: {reason}"
    record = {"timestamp": stamp(time.time()), "type": "pypm", "message": message, "dropped_bytes": count}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"
