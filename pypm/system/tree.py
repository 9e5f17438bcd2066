"""Which processes belong to whole trees: one pass over /proc for all of them."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import NamedTuple

__all__ = ["pids_of_trees", "tree_pids"]


class _Process(NamedTuple):
    parent: int
    session: int


def tree_pids(main: int, first: int) -> list[int]:
    """The pids of a tree, as ``TreeMeter`` has it; its main process in front, empty if that is gone.

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
        fields = data[data.rindex(b")") + 2 :].split(None, 4)
        processes[int(name)] = _Process(int(fields[1]), int(fields[3]))
    return processes
