"""Runs that have begun and are not saved yet, in memory that outlives the master.

A note costs no system call and wakes nobody: it goes into a memory file that the guardian holds like a log
pipe. The next master reads there what the state on the disk lacks, also of runs that have ended since.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import NamedTuple

from pypm.system.process import TICKS_PER_SECOND

__all__ = ["BegunRuns", "Note", "new_memory"]

BOUNDS = struct.Struct("<II")
"""Where the notes begin and end: eight bytes, written at once, so who is killed leaves the old or the new."""
ROOM = 64 * 1024
"""Bytes by which the file grows."""


class Note(NamedTuple):
    """What is noted of a run that has begun, for a master that finds no other trace of it."""

    instance_id: int
    run_id: str
    token: str
    pid: int
    start_ticks: int

    @property
    def started(self) -> float:
        """When it was started, in seconds of the boot clock (to a clock tick)."""
        return self.start_ticks / TICKS_PER_SECOND

    def written(self) -> bytes:
        """As a line."""
        return " ".join(map(str, self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Note:
        """The note that was ``written``."""
        instance_id, run_id, token, pid, ticks = line.decode().split(" ")
        return cls(int(instance_id), run_id, token, int(pid), int(ticks))


def new_memory() -> int:
    """A memory file without notes: its descriptor, closed on exec. Raises OSError."""
    descriptor = os.memfd_create("begun", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, ROOM)
    os.pwrite(descriptor, BOUNDS.pack(BOUNDS.size, BOUNDS.size), 0)
    return descriptor


class BegunRuns:
    """The notes in a memory file, oldest first. The descriptor stays the caller's.

    Nothing of them is kept elsewhere: during an update two masters have the same file, one after the other.
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)

    def notes(self) -> list[Note]:
        """All of them."""
        return [Note.read(line) for line in self._lines()]

    def count(self) -> int:
        """How many there are."""
        return len(self._lines())

    def add(self, note: Note) -> None:
        """Note a run, until it is saved."""
        line = note.written()
        first, end = self._bounds()
        if end + len(line) > len(self._memory):
            self._memory.resize(self._memory.size() + ROOM)
        self._memory[end : end + len(line)] = line
        self._put(first, end + len(line))

    def saved(self, count: int) -> None:
        """The first ``count`` of the noted runs are on the disk."""
        first, end = self._bounds()
        for _ in range(count):
            first = self._memory.find(b"\n", first, end) + 1 or end
        if first == end:
            first = end = BOUNDS.size
        self._put(first, end)

    def _lines(self) -> list[bytes]:
        first, end = self._bounds()
        return self._memory[first:end].split(b"\n")[:-1]

    def _bounds(self) -> tuple[int, int]:
        first, end = BOUNDS.unpack_from(self._memory)
        if end > len(self._memory):  # another master has made it larger
            self._memory.resize(self._memory.size())
        return first, end

    def _put(self, first: int, end: int) -> None:
        self._memory[: BOUNDS.size] = BOUNDS.pack(first, end)
