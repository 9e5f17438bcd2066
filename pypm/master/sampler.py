"""What the runs use: sampled each second where there is a limit, less often elsewhere, and when asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from pypm.core.events import MemoryOver
from pypm.core.instance import Instance, Run, Status
from pypm.master.engine import Engine
from pypm.system.process import is_same
from pypm.system.tree import TreeUsage, measure_trees

__all__ = ["Sample", "Sampler"]

WITH_LIMIT = 1.0
WITHOUT_LIMIT = 30.0
"""Seconds between two samples while some run has a memory limit, and while none has."""
FRESH = 1.0
"""Seconds for which a sample answers a client."""
AGAIN = 0.1
"""Seconds after which a run that is newer than the last sample is reason enough for another one."""


class Sample(NamedTuple):
    """Usage of a run's tree: when, CPU seconds so far, percent since the sample before, resident bytes."""

    run_id: str
    at: float
    cpu: float
    percent: float
    memory: int


class Sampler:
    """Measures all trees in one pass and tells the engine where a limit is passed."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._loop = loop
        self._clock = clock
        self._samples: dict[int, Sample] = {}
        self._taken = float("-inf")
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0
        engine.listeners.append(self._changed)

    def of(self, instance: Instance) -> Sample | None:
        """The usage of an instance's run; measured now unless that was done within the last second."""
        known = self._known(instance)
        age = self._clock() - self._taken
        if instance.run is not None and age > (AGAIN if known is None else FRESH):
            self._measure()
            known = self._known(instance)
        return known

    def _known(self, instance: Instance) -> Sample | None:
        sample = self._samples.get(instance.id)
        if sample is None or instance.run is None or sample.run_id != instance.run.run_id:
            return None
        return sample

    def _changed(self, instance_id: int) -> None:
        instance = self._engine.instances.get(instance_id)
        if instance is None or instance.run is None:
            self._samples.pop(instance_id, None)
            return
        self._schedule(WITHOUT_LIMIT if instance.spec.max_memory is None else WITH_LIMIT)

    def _schedule(self, wait: float) -> None:
        due = self._loop.time() + wait
        if self._handle is not None:
            if self._due <= due:
                return
            self._handle.cancel()
        self._due = due
        self._handle = self._loop.call_later(wait, self._tick)

    def _tick(self) -> None:
        self._handle = None
        running = [each for each in list(self._engine.instances.values()) if each.run is not None]
        try:
            self._measure()
            for instance in running:
                self._check(instance)
        finally:  # also where no descriptor was left to measure with
            if running:
                limited = any(instance.spec.max_memory is not None for instance in running)
                self._schedule(WITH_LIMIT if limited else WITHOUT_LIMIT)

    def _check(self, instance: Instance) -> None:
        sample, limit = self._samples.get(instance.id), instance.spec.max_memory
        if sample is None or limit is None or instance.run is None or instance.status is Status.STOPPING:
            return
        if sample.run_id == instance.run.run_id and sample.memory > limit:
            self._engine.handle(instance.id, MemoryOver(sample.run_id, sample.memory))

    def _measure(self) -> None:
        now = self._taken = self._clock()
        runs = {each.id: each.run for each in self._engine.instances.values() if each.run is not None}
        roots = {key: _roots(run) for key, run in runs.items()}
        usages = measure_trees(set().union(*roots.values())) if runs else {}
        for instance_id, run in runs.items():
            usage = _together(usages, roots[instance_id])
            if usage is None:
                continue
            before = self._samples.get(instance_id)
            if before is None or before.run_id != run.run_id:
                before = Sample(run.run_id, run.started, 0.0, 0.0, 0)
            passed = now - before.at
            percent = 100.0 * max(0.0, usage.cpu - before.cpu) / passed if passed > 0.01 else before.percent
            self._samples[instance_id] = Sample(run.run_id, now, usage.cpu, percent, usage.memory)


def _roots(run: Run) -> set[int]:
    """The first process of a run, while that number is its own, and its main one."""
    if not run.named_pid or is_same(run.pid, run.start_ticks):
        return {run.pid, run.main_pid}
    return {run.main_pid}


def _together(usages: Mapping[int, TreeUsage], roots: Iterable[int]) -> TreeUsage | None:
    """What a run uses: two trees where its main process is not its first one; None if both are gone."""
    found = [usages[root] for root in roots if root in usages]
    return TreeUsage(*map(sum, zip(*found, strict=True))) if found else None
