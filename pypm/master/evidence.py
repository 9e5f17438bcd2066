"""Evidence of work: what a silent agent's tree has done between two looks at it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pypm.core.events import Event, Evidence
from pypm.core.instance import Instance, Run
from pypm.core.spec import HealthSpec
from pypm.system.activity import Activity, increase, measure_activity
from pypm.system.traffic import read_traffic, sockets_of
from pypm.system.tree import pids_of_trees

__all__ = ["Look", "Witness", "signs_of_work"]

CPU_SHARE = 0.01
"""The part of one core from which a tree counts as working; an idle loop with heartbeats needs less."""
IO_RATE = 4096
"""Bytes read and written in a second from which a tree counts as working."""
TRAFFIC_RATE = 128
"""Bytes sent and received over TCP in a second from which a tree counts as working: an answer that comes
token by token is more, what keeps a connection open is less."""
SWITCH_RATE = 50
"""Context switches in a second from which a tree counts as working."""
TOGETHER = 0.3
"""Seconds that a look waits for others: one pass over /proc is for all of them."""
SHARE = 0.01
"""Seconds of one turn of the loop that looks may take beside that pass."""


class Look(NamedTuple):
    """What was seen of a run at one moment (boot clock)."""

    run_id: str
    at: float
    activity: Mapping[int, Activity]
    """By pid."""
    output: int
    """Bytes that have come from it."""
    traffic: Mapping[int, int] = {}
    """Bytes over its TCP connections, by the inode of the socket."""


class Pass(NamedTuple):
    """What was seen of all at once: the pids of trees, and the traffic of connections."""

    trees: Mapping[tuple[int, int], list[int]]
    traffic: Mapping[int, int]


class Asked(NamedTuple):
    """A look that is to be taken."""

    instance_id: int
    run_id: str
    first: bool


class Witness:
    """Remembers how runs were at the last look, and tells what they have done since.

    ``output`` tells how many bytes have come from an instance so far.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handle: Callable[[int, Event], None],
        instances: Mapping[int, Instance],
        output: Callable[[int], int],
        clock: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._handle = handle
        self._instances = instances
        self._output = output
        self._clock = clock
        self._looks: dict[int, Look] = {}
        self._asked: list[Asked] = []
        """Those that wait for the next pass."""

    def gather(self, instance: Instance, *, first: bool) -> None:
        """Look at the run soon; unless it is the first look, tell what it has done since the one before."""
        assert instance.run is not None
        if not self._asked:
            self._loop.call_later(TOGETHER, self._begin)
        self._asked.append(Asked(instance.id, instance.run.run_id, first))

    def forget(self, instance_id: int) -> None:
        """The instance is gone."""
        self._looks.pop(instance_id, None)

    def _begin(self) -> None:
        asked, self._asked = deque(self._asked), []
        runs = [run for each in asked if (run := self._run(each)) is not None]
        self._go_on(asked, Pass(pids_of_trees({(run.main_pid, run.pid) for run in runs}), read_traffic()))

    def _go_on(self, asked: deque[Asked], seen: Pass) -> None:
        end = self._loop.time() + SHARE
        while asked:
            self._look(asked.popleft(), seen)
            if self._loop.time() >= end:
                self._loop.call_soon(self._go_on, asked, seen)
                return

    def _run(self, asked: Asked) -> Run | None:
        """The run that is meant, if it is still there."""
        instance = self._instances.get(asked.instance_id)
        run = None if instance is None else instance.run
        return run if run is not None and run.run_id == asked.run_id else None

    def _look(self, asked: Asked, seen: Pass) -> None:
        run = self._run(asked)
        if run is None:
            return
        # Where it has named another main process since the pass, it is not gone by that.
        pids = seen.trees.get((run.main_pid, run.pid), [run.main_pid])
        now = Look(
            asked.run_id,
            self._clock(),
            measure_activity(pids),
            self._output(asked.instance_id),
            sockets_of(pids, seen.traffic),
        )
        before = self._looks.get(asked.instance_id)
        self._looks[asked.instance_id] = now
        if asked.first:
            return
        known = before is not None and before.run_id == now.run_id
        health = self._instances[asked.instance_id].spec.health
        signs = signs_of_work(before, now, health) if known and before is not None else ()
        self._handle(asked.instance_id, Evidence(now.run_id, signs, known=known))


def signs_of_work(before: Look, now: Look, spec: HealthSpec) -> tuple[str, ...]:
    """What of the kinds that count was done between two looks, in words for people."""
    seconds = max(now.at - before.at, 0.001)
    done = increase(before.activity, now.activity)
    signs = []
    if "output" in spec.evidence and before.output != now.output:
        signs.append("output")
    if "io" in spec.evidence and done.io_bytes > IO_RATE * seconds:
        signs.append(f"{done.io_bytes} bytes read and written")
    traffic = sum(max(0, count - before.traffic.get(inode, 0)) for inode, count in now.traffic.items())
    if "io" in spec.evidence and traffic > TRAFFIC_RATE * seconds:
        signs.append(f"{traffic} bytes over TCP")
    if "cpu" in spec.evidence:
        if done.cpu > CPU_SHARE * seconds:
            signs.append(f"{done.cpu:.1f} s of CPU")
        elif done.switches > SWITCH_RATE * seconds:
            signs.append(f"{done.switches} context switches")
    return tuple(signs)
