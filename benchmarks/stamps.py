"""What the agents say: one record {monotonic nanoseconds, pid, key} at the beginning of every main()."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Stamp", "StampFile", "parse_stamps"]

RECORD = struct.Struct("<qii")
POLL_SECONDS = 0.001


@dataclass(frozen=True)
class Stamp:
    """One beginning of main(): when (nanoseconds of the monotonic clock), which process, which app."""

    nanoseconds: int
    pid: int
    key: int


def parse_stamps(data: bytes) -> list[Stamp]:
    """The whole records in ``data``; an unfinished one at its end is left out."""
    whole = len(data) - len(data) % RECORD.size
    return [Stamp(*fields) for fields in RECORD.iter_unpack(data[:whole])]


class StampFile:
    """The file that agents append their stamps to, read from where it was left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self._offset = 0

    def read_new(self) -> list[Stamp]:
        """The stamps since the last call."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            stamps = parse_stamps(file.read())
        self._offset += len(stamps) * RECORD.size
        return stamps

    def read_all(self) -> list[Stamp]:
        """All stamps so far, also those that were read before."""
        return parse_stamps(self.path.read_bytes())

    def wait_for(self, enough: Callable[[list[Stamp]], bool], timeout: float) -> list[Stamp]:
        """The new stamps as soon as they are ``enough``, or what there is after ``timeout`` seconds."""
        stamps: list[Stamp] = []
        deadline = time.monotonic() + timeout
        while True:
            stamps += self.read_new()
            if enough(stamps) or time.monotonic() > deadline:
                return stamps
            time.sleep(POLL_SECONDS)

    def wait_for_keys(self, count: int, timeout: float) -> dict[int, Stamp]:
        """The first new stamp of each key, as soon as there are ``count`` keys; fewer after ``timeout``."""
        stamps = self.wait_for(lambda seen: len({stamp.key for stamp in seen}) >= count, timeout)
        first: dict[int, Stamp] = {}
        for stamp in stamps:
            first.setdefault(stamp.key, stamp)
        return first
