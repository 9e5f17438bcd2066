"""The ends of runs: every run is watched with a pidfd, its own master's or an earlier one's alike.

A child of ours that has ended is reaped only when what follows from its end is on the disk: if this master is
killed before that, the guardian inherits the zombie and can tell the next master how it ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from pypm.master.link import Reaped
from pypm.master.store import Store
from pypm.system import process
from pypm.system.kinship import zombie_status
from pypm.system.reap import Death, peek, reap_orphans

__all__ = ["End", "Ends"]

INIT = 1
NO_DESCRIPTOR = -1
PATIENCE = 10.0
"""Seconds that the guardian has to tell the status of a process that is known to have ended."""
NAMED_PATIENCE = 1.0
"""The same for a process that a run has named its main one: it may have been another's to reap."""


class Watched(NamedTuple):
    """A run that is watched."""

    instance_id: int
    run_id: str
    descriptor: int
    ours: bool
    named: bool = False
    """It is not what the run was started as."""


class End(NamedTuple):
    """The end of a run's main process."""

    pid: int
    instance_id: int
    run_id: str
    death: Death | None
    """How it ended; None: nobody knows."""
    at: float | None
    """When, in seconds of the boot clock; None: now."""


class Owner(Protocol):
    """Who is told."""

    def run_ended(self, end: End, *, guardians: bool) -> None:
        """A run's main process has ended. ``guardians``: what it has left is not ours but the guardian's."""

    def orphan_ended(self) -> None:
        """Some process that was left to us or to the guardian has ended."""


class Ends:
    """Watches runs and tells their ends; reaps the orphans that come to us."""

    def __init__(self, loop: asyncio.AbstractEventLoop, store: Store, owner: Owner) -> None:
        self._loop = loop
        self._store = store
        self._owner = owner
        self._watched: dict[int, Watched] = {}
        self._unreaped: set[int] = set()
        self._kept: set[int] = set()

    def start(self) -> None:
        """Begin to hear of orphans."""
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap_orphans)

    def watch(self, pid: int, instance_id: int, run_id: str, *, ours: bool, named: bool = False) -> None:
        """Tell when this process ends; ``ours``: it is our child; ``named``: the run has named it."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:  # another master's child, that the guardian has just reaped: it will tell
            watched = self._watched[pid] = Watched(instance_id, run_id, NO_DESCRIPTOR, ours, named)
            self._loop.call_later(_patience(watched), self._nobody_knows, pid, watched)
            return
        self._watched[pid] = Watched(instance_id, run_id, descriptor, ours, named)
        self._loop.add_reader(descriptor, self._ended, pid)

    def move(self, pid: int, instance_id: int, run_id: str) -> None:
        """A run has named another process of its tree its main one: tell the end of that one instead."""
        before = next((each for each, watched in self._watched.items() if watched.run_id == run_id), None)
        if before is not None:
            self._drop(before)
        self.watch(pid, instance_id, run_id, ours=False, named=True)
        # The other one is reaped like any orphan, also if it has ended already.
        self._loop.call_soon(self._reap_orphans)

    def is_ours(self, pid: int) -> bool:
        """Whether this is the main process of a run and a child of ours, so that its pid is its own."""
        return pid in self._watched and self._watched[pid].ours

    def mains(self) -> set[int]:
        """The main processes of all runs and hooks, also those that have ended and are not reaped yet."""
        return {*self._watched, *self._unreaped, *self._kept}

    def keep(self, pid: int) -> None:
        """This is a child that somebody else watches and reaps: no run, and no orphan."""
        self._kept.add(pid)

    def let_go(self, pid: int) -> None:
        """It has been reaped."""
        self._kept.discard(pid)
        self._reap_orphans()

    def guardian_saw(self, ends: Mapping[int, Reaped]) -> None:
        """The guardian has reaped these; what is watched was a run, the rest were orphans of agents."""
        for pid, end in ends.items():
            if self.is_ours(pid):  # the guardian speaks of one that had this pid before
                continue
            watched = self._drop(pid)
            if watched is not None:
                death = Death.from_status(pid, end.status)
                told = End(pid, watched.instance_id, watched.run_id, death, end.at)
                self._owner.run_ended(told, guardians=True)
        self._owner.orphan_ended()

    def _drop(self, pid: int) -> Watched | None:
        watched = self._watched.pop(pid, None)
        if watched is not None and watched.descriptor != NO_DESCRIPTOR:
            self._loop.remove_reader(watched.descriptor)
            os.close(watched.descriptor)
        return watched

    def _ended(self, pid: int) -> None:
        """The main process of a run is no more."""
        watched = self._watched[pid]
        try:
            death = peek(pid)
        except ChildProcessError:
            self._ended_elsewhere(pid, watched)
            return
        if death is None:
            return
        self._drop(pid)
        self._unreaped.add(pid)
        self._owner.run_ended(End(pid, watched.instance_id, watched.run_id, death, None), guardians=False)
        self._store.when_committed(lambda: self._reap(pid))

    def _ended_elsewhere(self, pid: int, watched: Watched) -> None:
        """It was another master's child: the guardian, its parent now, will tell; or nobody knows.

        A process that a run has named may be a child of another one of that run, which reaps it and tells
        nobody: how it ended is seen for as long as that has not been done.
        """
        self._loop.remove_reader(watched.descriptor)
        parent = process.parent(pid)
        status = zombie_status(pid) if watched.named and parent not in (INIT, os.getppid()) else None
        if status is not None:
            self._drop(pid)
            death = Death.from_status(pid, status)
            self._owner.run_ended(End(pid, watched.instance_id, watched.run_id, death, None), guardians=False)
            return
        patience = 0.0 if parent == INIT else _patience(watched)
        self._loop.call_later(patience, self._nobody_knows, pid, watched)

    def _reap(self, pid: int) -> None:
        self._unreaped.discard(pid)
        os.waitpid(pid, 0)
        self._reap_orphans()

    def _nobody_knows(self, pid: int, watched: Watched) -> None:
        if self._watched.get(pid) is watched:
            self._drop(pid)
            self._owner.run_ended(End(pid, watched.instance_id, watched.run_id, None, None), guardians=True)
            self._owner.orphan_ended()

    def _reap_orphans(self) -> None:
        reap_orphans(lambda pid: pid in self._watched or pid in self._unreaped or pid in self._kept)
        self._owner.orphan_ended()


def _patience(watched: Watched) -> float:
    return NAMED_PATIENCE if watched.named else PATIENCE
