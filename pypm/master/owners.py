"""To which run a process belongs, asked for each message that one sends: quick, and right for the dying.

Who sends may be the main process, or a helper that has ended before its message is read. What its pid was
last known for holds as long as /proc does not contradict it.
"""

from __future__ import annotations

from typing import NamedTuple

from pypm.system.kinship import Kinship, read_kinship
from pypm.system.marked import run_of

__all__ = ["Owner", "Owners"]

KEPT = 4096
"""Answers that are remembered."""
GENERATIONS = 64
"""Ancestors of a process that are looked at."""


class Owner(NamedTuple):
    """A run and its instance."""

    instance_id: int
    run_id: str


class Answer(NamedTuple):
    """What was found for a pid when it was the process that began then."""

    start_ticks: int
    owner: Owner | None


class Owners:
    """Knows the runs of a home by the pids of their main processes, and finds those of other processes."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._mains: dict[int, Owner] = {}
        """By pid: the processes that runs were started as, and those that they have named since."""
        self._pids: dict[str, list[int]] = {}
        self._answers: dict[int, Answer] = {}

    def begun(self, owner: Owner, pid: int) -> None:
        """A run has this main process, from now on or too."""
        self._mains[pid] = owner
        self._pids.setdefault(owner.run_id, []).append(pid)

    def over(self, run_id: str) -> None:
        """A run is over."""
        for pid in self._pids.pop(run_id, ()):
            if pid in self._mains and self._mains[pid].run_id == run_id:
                del self._mains[pid]

    def of(self, pid: int) -> Owner | None:
        """The run to which a process belongs, or belonged if it has just ended; None: to none."""
        if pid in self._mains:
            return self._mains[pid]
        kinship = read_kinship(pid)
        before = self._answers.get(pid)
        if before is not None and (kinship is None or before.start_ticks == kinship.start_ticks):
            return self._if_alive(before.owner)
        owner = None if kinship is None else self._find(pid, kinship)
        if kinship is not None:
            if len(self._answers) >= KEPT:
                self._answers.clear()
            self._answers[pid] = Answer(kinship.start_ticks, owner)
        return owner

    def _if_alive(self, owner: Owner | None) -> Owner | None:
        return owner if owner is not None and owner.run_id in self._pids else None

    def _find(self, pid: int, kinship: Kinship) -> Owner | None:
        """By its ancestors and their sessions and groups; else by the mark in its environment."""
        relative: Kinship | None = kinship
        for _ in range(GENERATIONS):
            if relative is None:
                break
            for number in (relative.session, relative.group, relative.parent):
                if number in self._mains:
                    return self._mains[number]
            relative = read_kinship(relative.parent) if relative.parent > 1 else None
        run_id = run_of(pid, self._home)
        pids = self._pids.get(run_id) if run_id is not None else None
        return self._mains.get(pids[0]) if pids else None
