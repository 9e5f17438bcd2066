"""What each instance has used in the last hour, in memory that outlives the master.

A memory file that the guardian holds has a place of the same size for each instance: its id, and a figure for
each interval. Where a figure stands follows from the time, and it carries the number of its interval, so
nothing has to be kept in order, and one write of a few bytes is all that a figure costs.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection
from typing import NamedTuple

__all__ = ["INTERVAL", "Figure", "History", "UsageHistory", "new_history"]

INTERVAL = 10.0
"""Seconds of the boot clock for which one figure stands."""
COUNT = 360
"""Figures that are kept of an instance: one hour."""
KIB = 1024

_HEAD = struct.Struct("<Q")
"""The instance's id and one; 0: the place is free."""
_FIGURE = struct.Struct("<IIf")
"""The interval's number, memory in KiB (the most that was seen), percent of a core."""
_PLACE = _HEAD.size + COUNT * _FIGURE.size


class Figure(NamedTuple):
    """What was used in one interval: the most memory in bytes, and percent of a core on the average."""

    number: int
    memory: int
    cpu: float


class History(NamedTuple):
    """The figures of an instance, oldest first; None where nothing of it ran."""

    end: float
    """The end of the last interval on the boot clock."""
    memory: list[int | None]
    cpu: list[float | None]


def new_history() -> int:
    """A memory file without figures: its descriptor, closed on exec. Raises OSError."""
    return os.memfd_create("usage", os.MFD_CLOEXEC)


class UsageHistory:
    """The figures in a memory file. The descriptor stays the caller's."""

    def __init__(self, descriptor: int) -> None:
        self._file = descriptor
        self._places: dict[int, int] = {}
        """Where the figures of each instance begin."""
        self._free: list[int] = []
        self._end = os.fstat(descriptor).st_size // _PLACE * _PLACE
        for place in range(0, self._end, _PLACE):
            key = _HEAD.unpack(os.pread(descriptor, _HEAD.size, place))[0]
            if key:
                self._places[key - 1] = place
            else:
                self._free.append(place)

    def keep(self, ids: Collection[int]) -> None:
        """Only these instances are there: forget all others."""
        for instance_id in self._places.keys() - set(ids):
            self.forget(instance_id)

    def put(self, instance_id: int, now: float, memory: int, cpu: float) -> None:
        """Note what an instance has used in the interval that ends at ``now`` (boot clock)."""
        number = _number(now)
        place = self._place_of(instance_id)
        figure = _FIGURE.pack(number & 0xFFFFFFFF, min(memory // KIB, 0xFFFFFFFF), cpu)
        os.pwrite(self._file, figure, place + _HEAD.size + number % COUNT * _FIGURE.size)

    def forget(self, instance_id: int) -> None:
        """An instance is gone."""
        place = self._places.pop(instance_id, None)
        if place is not None:
            os.pwrite(self._file, bytes(_PLACE), place)
            self._free.append(place)

    def figures(self, instance_id: int, now: float) -> list[Figure]:
        """All figures of an instance of the last hour, oldest first."""
        place = self._places.get(instance_id)
        if place is None:
            return []
        data = os.pread(self._file, COUNT * _FIGURE.size, place + _HEAD.size)
        latest = _number(now)
        found = (Figure(number, memory * KIB, cpu) for number, memory, cpu in _FIGURE.iter_unpack(data))
        return sorted(each for each in found if each.number > 0 and latest - COUNT < each.number <= latest)

    def read(self, instance_id: int, now: float) -> History | None:
        """The figures of an instance, one for each interval since the first of them; None: there is none."""
        figures = {each.number: each for each in self.figures(instance_id, now)}
        if not figures:
            return None
        latest = _number(now)
        each_one = [figures.get(number) for number in range(min(figures), latest + 1)]
        if each_one[-1] is None:  # the present interval is not over
            each_one.pop()
            latest -= 1
        memory = [None if each is None else each.memory for each in each_one]
        cpu = [None if each is None else round(each.cpu, 1) for each in each_one]
        return History(latest * INTERVAL, memory, cpu)

    def _place_of(self, instance_id: int) -> int:
        place = self._places.get(instance_id)
        if place is None:
            if self._free:
                place = self._free.pop()
            else:
                place, self._end = self._end, self._end + _PLACE
                os.ftruncate(self._file, self._end)
            os.pwrite(self._file, _HEAD.pack(instance_id + 1), place)
            self._places[instance_id] = place
        return place


def _number(now: float) -> int:
    """The number of the interval that ends at, or nearest to, this time."""
    return round(now / INTERVAL)
