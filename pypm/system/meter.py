"""What whole process trees use, asked again and again: only what is new since the last time is looked for.

Whether anything has begun on the machine at all is told by one number (the last pid, in /proc/loadavg). To
whom a process belongs is decided when it is first seen and remembered, so it stays with its tree also when
its parents end. Now and then everything is looked at anew, as pids are used again.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import NamedTuple

from pypm.system.clock import boot_time
from pypm.system.process import TICKS_PER_SECOND, read_stat
from pypm.system.usage import WholeUsage, measure_whole, proportional_memory

__all__ = ["TreeMeter", "TreeUsage"]

ANEW = 30.0
"""Seconds after which all processes are looked at anew."""
NOBODY = 0
_PAGE = os.sysconf("SC_PAGE_SIZE")


class TreeUsage(NamedTuple):
    """What one tree uses now (``memory``: resident bytes) and has used since it began (``cpu``: seconds)."""

    memory: int
    cpu: float
    processes: int
    threads: int


class _Seen(NamedTuple):
    parent: int
    session: int
    ticks: int


class TreeMeter:
    """Measures trees, each named by the pid of its first process.

    To a tree belong the processes of its root's session (also those whose parents have ended) and their
    descendants in other sessions. CPU includes that of descendants that have ended and were waited for.
    """

    def __init__(self) -> None:
        self._roots: frozenset[int] = frozenset()
        self._owners: dict[int, int] = {}
        """The root to whose tree each process that was seen belongs, or ``NOBODY``."""
        self._members: dict[int, dict[int, int]] = {}
        """The processes of each tree, with their start times."""
        self._last_pid = -1
        self._settled = False
        """The last look found nothing new: what is being forked during a look is seen by the next one."""
        self._anew_at = 0.0

    def follow(self, roots: Collection[int]) -> None:
        """These are all the trees that there are; what one has lost to another is found out anew."""
        wanted = frozenset(roots)
        if wanted == self._roots:
            return
        if any(self._owners.get(root, root) != root for root in wanted - self._roots):
            self._forget()
        for root in self._roots - wanted:
            for pid in self._members.pop(root, ()):
                self._owners.pop(pid, None)
            self._last_pid = -1
        self._roots = wanted
        if not all(root in self._owners for root in wanted):
            self._last_pid = -1

    def measure(self, roots: Collection[int]) -> dict[int, TreeUsage]:
        """Measure some of the trees that are followed; what is gone is not in the answer."""
        self._look()
        measured = ((root, self._measure(root)) for root in roots)
        return {root: usage for root, usage in measured if usage is not None}

    def proportional(self, roots: Collection[int]) -> int | None:
        """The memory of these trees together in which shared pages count once, if that can be known."""
        return proportional_memory(self._pids(roots))

    def whole(self, roots: Collection[int]) -> WholeUsage:
        """What these trees use together beyond what ``measure`` tells."""
        return measure_whole(self._pids(roots))

    def _pids(self, roots: Collection[int]) -> list[int]:
        return [pid for root in roots for pid in self._members.get(root, ())]

    def _measure(self, root: int) -> TreeUsage | None:
        pages = ticks = threads = 0
        members = self._members.get(root)
        if not members:
            return None
        for pid, began in list(members.items()):
            fields = _stat(pid)
            if fields is None or int(fields[19]) != began:
                del members[pid]
                del self._owners[pid]
                self._last_pid = -1  # the number may be another one's now
                continue
            pages += int(fields[21])
            ticks += int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
            threads += int(fields[17])
        if not members:
            return None
        return TreeUsage(pages * _PAGE, ticks / TICKS_PER_SECOND, len(members), threads)

    # --- who belongs to whom ---

    def _forget(self) -> None:
        self._owners.clear()
        self._members.clear()
        self._last_pid = -1

    def _look(self) -> None:
        """Find what has begun, if anything has."""
        now = boot_time()
        if now >= self._anew_at:
            self._forget()
            self._anew_at = now + ANEW
        last_pid = _read_last_pid()
        is_same = last_pid == self._last_pid
        if is_same and self._settled:
            return
        self._last_pid, self._settled = last_pid, is_same
        present = {int(name) for name in os.listdir("/proc") if name.isdecimal()}
        for pid in self._owners.keys() - present:
            owner = self._owners.pop(pid)
            if owner != NOBODY:
                self._members.get(owner, {}).pop(pid, None)
        self._take_in(present - self._owners.keys())

    def _take_in(self, pids: Collection[int]) -> None:
        found: dict[int, _Seen] = {}
        for pid in pids:
            fields = _stat(pid)
            if fields is not None:
                found[pid] = _Seen(int(fields[1]), int(fields[3]), int(fields[19]))
        for pid, seen in found.items():
            owner = self._owner_of(pid, found)
            if owner != NOBODY:
                self._members.setdefault(owner, {})[pid] = seen.ticks

    def _owner_of(self, pid: int, found: dict[int, _Seen]) -> int:
        """The root to whose tree a process belongs; remembers the answer for those of its ancestry."""
        path: list[int] = []
        owner = NOBODY
        while True:
            if pid in self._owners:
                owner = self._owners[pid]
                break
            if pid in self._roots:
                path.append(pid)
                owner = pid
                break
            if pid not in found:
                break
            path.append(pid)
            seen = found[pid]
            if seen.session in self._roots:
                owner = seen.session
                break
            pid = seen.parent
        for each in path:
            self._owners[each] = owner
        return owner


def _read_last_pid() -> int:
    descriptor = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(descriptor, 128).rsplit(None, 1)[-1])
    finally:
        os.close(descriptor)


def _stat(pid: int) -> list[bytes] | None:
    """The fields of /proc/PID/stat from the third on; None if there is no such process."""
    data = read_stat(pid)
    return None if data is None else data[data.rindex(b")") + 2 :].split(None, 22)
