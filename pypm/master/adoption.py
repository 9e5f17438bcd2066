"""What a new master finds of the runs in its state: which go on, which ended and how, which it lacks."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from pypm.core.events import Event, Exited, Recovered, Spawned
from pypm.core.instance import Instance, Status
from pypm.master.link import Reaped
from pypm.system.process import is_same, start_ticks
from pypm.system.reap import Death

__all__ = ["Found", "ended_runs", "find_marked_runs", "found_start", "what_became_of"]

log = logging.getLogger(__name__)

REBOOTED = "the machine was restarted"


class Found(NamedTuple):
    """A running process that bears the marks of a run of this home."""

    pid: int
    run_id: str
    token: str
    start_ticks: int


def ended_runs(instances: Iterable[Instance]) -> set[int]:
    """The pids of the recorded main processes that live no more."""
    runs = [instance.run for instance in instances]
    return {
        run.pid
        for run in runs
        if run is not None and run.leaving is None and not is_same(run.pid, run.start_ticks)
    }


def what_became_of(
    instance: Instance,
    gone: Collection[int],
    ends: Mapping[int, Reaped],
    outlived: Callable[[Instance], bool],
    *,
    same_boot: bool,
) -> Event:
    """The event that tells an instance with a run what has become of it while there was no master.

    ``gone`` are the main processes that had ended when that was looked at, and ``ends`` what the guardian
    has told since: what ends later is heard of as always. ``outlived`` tells whether a main process that has
    ended was outlived by others of its run.
    """
    run = instance.run
    assert run is not None
    if not same_boot:
        return Exited(run.run_id, reason=REBOOTED)
    if run.leaving is not None or run.pid not in gone:
        return Recovered()
    leftovers = instance.spec.treekill and outlived(instance)
    end = ends.get(run.pid)
    if end is None or end.at < run.started:
        log.warning("%s: its run has ended while nobody could see how", instance.name)
        return Exited(run.run_id, leftovers=leftovers)
    death = Death.from_status(run.pid, end.status)
    return Exited(run.run_id, death.code, death.signal, death.core_dumped, leftovers=leftovers, at=end.at)


def found_start(instance: Instance, marked: Mapping[int, list[Found]], pipes: tuple[int, int]) -> Event:
    """The event for an instance whose start was ordered, and perhaps carried out and not recorded."""
    assert instance.status is Status.STARTING
    assert instance.run is None
    for found in marked.get(instance.id, ()):
        log.info("%s: found its run, pid %s, which was begun and not recorded", instance.name, found.pid)
        return Spawned(found.run_id, found.token, found.pid, found.start_ticks, pipes)
    return Recovered()


def find_marked_runs(home: str) -> dict[int, list[Found]]:
    """The main processes of all runs of this home, by instance id, as the marks in their environments tell.

    A main process leads its session; what it spawned has the same marks and does not.
    """
    runs: dict[int, list[Found]] = {}
    mark = b"PYPM_HOME=" + os.fsencode(home)
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        pid = int(name)
        try:
            if os.getsid(pid) != pid:
                continue
            with open(f"/proc/{pid}/environ", "rb") as file:
                variables = file.read().split(b"\0")
        except OSError:
            continue
        if mark in variables:
            _note(runs, pid, variables)
    return runs


def _note(runs: dict[int, list[Found]], pid: int, variables: list[bytes]) -> None:
    named = dict(each.split(b"=", 1) for each in variables if b"=" in each)
    ticks = start_ticks(pid)
    try:
        instance_id = int(named[b"PYPM_ID"])
        run_id, token = named[b"PYPM_RUN_ID"].decode(), named[b"PYPM_AGENT_TOKEN"].decode()
    except (KeyError, ValueError):
        return  # a master, or a shell that somebody gave this home
    if ticks is not None:
        runs.setdefault(instance_id, []).append(Found(pid, run_id, token, ticks))
