"""Evidence of work: what a silent agent's tree has done between two looks at it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from pypm.core.events import Event, Evidence
from pypm.core.instance import Instance
from pypm.core.spec import HealthSpec
from pypm.logs.paths import log_files
from pypm.system.activity import Activity, measure_activity
from pypm.system.tree import tree_pids

__all__ = ["Witness"]

CPU_SHARE = 0.01
"""The part of one core from which a tree counts as working; an idle loop with heartbeats needs less."""
IO_RATE = 4096
"""Bytes read and written in a second from which a tree counts as working."""
SWITCH_RATE = 50
"""Context switches in a second from which a tree counts as working."""


class Look(NamedTuple):
    """What was seen of a run at one moment (boot clock)."""

    run_id: str
    at: float
    activity: Activity
    files: tuple[tuple[int, int], ...]
    """Inode and size of each of its logs."""


class Witness:
    """Remembers how a run was at the last look, and tells what it has done since."""

    def __init__(
        self, handle: Callable[[int, Event], None], logs_folder: str, clock: Callable[[], float]
    ) -> None:
        self._handle = handle
        self._logs_folder = logs_folder
        self._clock = clock
        self._looks: dict[int, Look] = {}

    def gather(self, instance: Instance, *, first: bool) -> None:
        """Look at the run; unless it is the first look, tell what it has done since the one before."""
        before, now = self._looks.get(instance.id), self._look(instance)
        self._looks[instance.id] = now
        if first:
            return
        known = before is not None and before.run_id == now.run_id
        signs = signs_of_work(before, now, instance.spec.health) if known and before is not None else ()
        self._handle(instance.id, Evidence(now.run_id, signs, known=known))

    def forget(self, instance_id: int) -> None:
        """The instance is gone."""
        self._looks.pop(instance_id, None)

    def _look(self, instance: Instance) -> Look:
        run = instance.run
        assert run is not None
        files = log_files(self._logs_folder, instance.spec, instance.index)
        states = tuple(_state(path) for path in (files.out, files.error) if path is not None)
        return Look(run.run_id, self._clock(), measure_activity(tree_pids(run.main_pid, run.pid)), states)


def signs_of_work(before: Look, now: Look, spec: HealthSpec) -> tuple[str, ...]:
    """What of the kinds that count was done between two looks, in words for people."""
    seconds = max(now.at - before.at, 0.001)
    cpu = now.activity.cpu - before.activity.cpu
    moved = now.activity.io_bytes - before.activity.io_bytes
    switches = now.activity.switches - before.activity.switches
    signs = []
    if "output" in spec.evidence and before.files != now.files:
        signs.append("output")
    if "io" in spec.evidence and moved > IO_RATE * seconds:
        signs.append(f"{moved} bytes read and written")
    if "cpu" in spec.evidence:
        if cpu > CPU_SHARE * seconds:
            signs.append(f"{cpu:.1f} s of CPU")
        elif switches > SWITCH_RATE * seconds:
            signs.append(f"{switches} context switches")
    return tuple(signs)


def _state(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0)
    return (status.st_ino, status.st_size)
