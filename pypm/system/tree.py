"""What whole process trees use: one pass over /proc for all of them."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import NamedTuple

from pypm.system.process import TICKS_PER_SECOND

__all__ = ["TreeUsage", "measure_trees", "tree_pids"]

_PAGE = os.sysconf("SC_PAGE_SIZE")


class TreeUsage(NamedTuple):
    """What one tree uses now (``memory``: resident bytes) and has used since it began (``cpu``: seconds)."""

    memory: int
    cpu: float
    processes: int


class _Process(NamedTuple):
    parent: int
    session: int
    cpu_ticks: int
    pages: int


def measure_trees(roots: Collection[int]) -> dict[int, TreeUsage]:
    """Measure the trees whose first processes have (or had) these pids; what is gone is not in the answer.

    To a tree belong the processes of its root's session (also those whose parents have ended) and their
    descendants in other sessions. CPU includes that of descendants that have ended and were waited for.
    """
    processes = _read_all()
    wanted = set(roots)
    owner: dict[int, int] = {}
    totals: dict[int, list[int]] = {pid: [0, 0, 0] for pid in wanted}
    for pid, process in processes.items():
        root = _owner_of(pid, processes, wanted, owner)
        if root:
            total = totals[root]
            total[0] += process.pages
            total[1] += process.cpu_ticks
            total[2] += 1
    return {
        pid: TreeUsage(total[0] * _PAGE, total[1] / TICKS_PER_SECOND, total[2])
        for pid, total in totals.items()
        if total[2]
    }


def tree_pids(main: int, first: int) -> list[int]:
    """The pids of a tree, as ``measure_trees`` has it; its main process in front, empty if that is gone.

    ``first`` is the process with which it began, mostly the same one.
    """
    processes = _read_all()
    if main not in processes:
        return []
    owner: dict[int, int] = {}
    others = [pid for pid in processes if pid != main and _owner_of(pid, processes, {main, first}, owner)]
    return [main, *sorted(others)]


def _owner_of(pid: int, processes: dict[int, _Process], wanted: set[int], owner: dict[int, int]) -> int:
    """The root to whose tree a process belongs, or 0; remembers the answer for its whole ancestry."""
    path: list[int] = []
    found = 0
    while pid in processes:
        if pid in owner:
            found = owner[pid]
            break
        path.append(pid)
        if pid in wanted:
            found = pid
            break
        process = processes[pid]
        if process.session in wanted:
            found = process.session
            break
        pid = process.parent
    for each in path:
        owner[each] = found
    return found


def _read_all() -> dict[int, _Process]:
    processes: dict[int, _Process] = {}
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            descriptor = os.open(f"/proc/{name}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            data = os.read(descriptor, 1024)
        except ProcessLookupError:
            continue
        finally:
            os.close(descriptor)
        fields = data[data.rindex(b")") + 2 :].split(None, 22)
        ticks = int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
        processes[int(name)] = _Process(int(fields[1]), int(fields[3]), ticks, int(fields[21]))
    return processes
