"""What whole process trees use: one pass over /proc for all of them."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import NamedTuple

from pypm.system.process import TICKS_PER_SECOND

__all__ = ["TreeUsage", "measure_trees", "pids_of_trees", "tree_pids"]

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
    return pids_of_trees([(main, first)])[main, first]


def pids_of_trees(trees: Collection[tuple[int, int]]) -> dict[tuple[int, int], list[int]]:
    """``tree_pids`` of many, by their main and first processes, in one pass over /proc."""
    processes = _read_all()
    roots = {pid for tree in trees for pid in tree}
    members: dict[int, list[int]] = {pid: [] for pid in roots}
    owner: dict[int, int] = {}
    for pid in sorted(processes):
        root = _owner_of(pid, processes, roots, owner)
        if root:
            members[root].append(pid)
    return {(main, first): _with_main(main, first, members) for main, first in trees}


def _with_main(main: int, first: int, members: dict[int, list[int]]) -> list[int]:
    if main not in members[main]:
        return []
    pids = {pid for root in {main, first} for pid in members[root]}
    return [main, *sorted(pids - {main})]


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
