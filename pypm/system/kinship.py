"""Whose relative a process is, also while it is only a zombie, and how a zombie has ended."""

from __future__ import annotations

from typing import NamedTuple

from pypm.system.process import read_stat

__all__ = ["Kinship", "read_kinship", "zombie_status"]


class Kinship(NamedTuple):
    """A process's parent, group and session, and its start time in clock ticks after boot."""

    parent: int
    group: int
    session: int
    start_ticks: int


def _fields(pid: int) -> list[bytes]:
    data = read_stat(pid)
    return [] if data is None else data[data.rindex(b")") + 2 :].split()


def read_kinship(pid: int) -> Kinship | None:
    """The relatives of a process or zombie; None if it is neither any more."""
    fields = _fields(pid)
    return Kinship(int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19])) if fields else None


def zombie_status(pid: int) -> int | None:
    """The wait status of a process that has ended and that its parent has not reaped; None for any other.

    This is how the end of somebody else's child can be seen.
    """
    fields = _fields(pid)
    return int(fields[49]) if fields and fields[0] == b"Z" else None
