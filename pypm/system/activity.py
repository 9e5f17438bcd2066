"""Signs of work: what the processes of a tree have used and moved so far."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from pypm.system.process import TICKS_PER_SECOND

__all__ = ["Activity", "measure_activity"]


class Activity(NamedTuple):
    """Totals of some processes since they began: CPU seconds, bytes read and written, context switches."""

    cpu: float
    io_bytes: int
    switches: int


def measure_activity(pids: Iterable[int]) -> Activity:
    """What these processes have done; those that are gone or may not be read count nothing.

    Bytes are those of read and write calls of all threads (``rchar`` and ``wchar`` of /proc/PID/io, see
    proc(5)); context switches are the main thread's, the voluntary ones.
    """
    cpu, moved, switches = 0.0, 0, 0
    for pid in pids:
        cpu += _cpu(pid)
        fields = _fields(f"/proc/{pid}/io")
        moved += fields.get(b"rchar", 0) + fields.get(b"wchar", 0)
        switches += _fields(f"/proc/{pid}/status").get(b"voluntary_ctxt_switches", 0)
    return Activity(cpu, moved, switches)


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
