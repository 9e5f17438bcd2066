"""Signs of work: what the processes of a tree have used and moved, each of them, so far and since."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pypm.system.process import TICKS_PER_SECOND

__all__ = ["Activity", "increase", "measure_activity"]


class Activity(NamedTuple):
    """What was done: CPU seconds, bytes read and written, context switches."""

    cpu: float
    io_bytes: int
    switches: int


NOTHING = Activity(0.0, 0, 0)


def increase(before: Mapping[int, Activity], now: Mapping[int, Activity]) -> Activity:
    """What processes have done between two measurements.

    One that has ended meanwhile takes nothing away from what the others have done.
    """
    cpu, moved, switches = 0.0, 0, 0
    for pid, each in now.items():
        earlier = before.get(pid, NOTHING)
        cpu += max(0.0, each.cpu - earlier.cpu)
        moved += max(0, each.io_bytes - earlier.io_bytes)
        switches += max(0, each.switches - earlier.switches)
    return Activity(cpu, moved, switches)


def measure_activity(pids: Iterable[int]) -> dict[int, Activity]:
    """What each of these processes has done since it began; those that are gone or may not be read: nothing.

    Bytes are those of read and write calls of all threads (``rchar`` and ``wchar`` of /proc/PID/io, see
    proc(5)); context switches are the main thread's, the voluntary ones.
    """
    return {pid: _measure(pid) for pid in pids}


def _measure(pid: int) -> Activity:
    fields = _fields(f"/proc/{pid}/io")
    moved = fields.get(b"rchar", 0) + fields.get(b"wchar", 0)
    switches = _fields(f"/proc/{pid}/status").get(b"voluntary_ctxt_switches", 0)
    return Activity(_cpu(pid), moved, switches)


def _cpu(pid: int) -> float:
    data = _read(f"/proc/{pid}/stat")
    if not data:
        return 0.0
    fields = data[data.rindex(b")") + 2 :].split(None, 16)
    return sum(map(int, fields[11:15])) / TICKS_PER_SECOND


def _fields(path: str) -> dict[bytes, int]:
    """The lines ``name: number`` of a file of /proc."""
    pairs = (line.partition(b":") for line in _read(path).splitlines())
    return {name: int(value) for name, _, value in pairs if value.strip().isdigit()}


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 16384)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
