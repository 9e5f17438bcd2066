"""Looks after limits while runs go on: whether the kernel holds them, and what namespaces use in all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from msgspec.structs import replace

from pypm.core.events import LimitPassed
from pypm.core.instance import Instance, Status
from pypm.core.namespaces import Usage, excess
from pypm.core.spec import AppSpec, NamespaceLimits
from pypm.master.engine import Engine
from pypm.master.kernel_limits import KernelLimits
from pypm.master.sampler import Sampler
from pypm.master.trees import Trees

__all__ = ["LimitWatch"]

COUNTED = 1.0
"""Seconds between two looks at what is counted by us: tasks, and what a namespace uses in all."""
HELD = 10.0
"""Seconds between two looks at whether the kernel still does what it was told."""


class LimitWatch:
    """Looks at runs with such limits again and again, as long as there are any."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        engine: Engine,
        sampler: Sampler,
        limits: KernelLimits,
        trees: Trees,
    ) -> None:
        self._loop = loop
        self._engine = engine
        self._sampler = sampler
        self._limits = limits
        self._trees = trees
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._held_at = loop.time()
        engine.listeners.append(self._changed)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def declared(self, name: str, spec: AppSpec | None) -> None:
        """An app is there, has changed, or is gone (None): runs are held to what is said now."""
        before = self._limits.namespaces()
        self._limits.declared()
        changed = before != self._limits.namespaces()
        for instance in self._engine.instances.values():
            if instance.run is not None and (changed or instance.app == name):
                # The instance itself is told of it after this.
                known = (
                    replace(instance, spec=spec) if spec is not None and instance.app == name else instance
                )
                self._renew(known)
                self._changed(instance.id)

    def _renew(self, instance: Instance) -> None:
        folder = self._trees.folder_of(instance.id)
        if not folder and (folder := self._limits.make(instance)):
            self._trees.take_in(instance, folder)
        self._limits.renew(instance, folder)

    def _changed(self, instance_id: int) -> None:
        instance = self._engine.instances.get(instance_id)
        wait = None if instance is None or instance.run is None else self._wait_of(instance)
        if wait is not None:
            self._schedule(wait)

    def _wait_of(self, instance: Instance) -> float | None:
        """Seconds until there is something to be seen of an instance; None: there is nothing."""
        if instance.spec.limits.tasks is not None or instance.spec.namespace in self._limits.namespaces():
            return COUNTED
        return HELD if self._limits.has_bounds(instance.spec) else None

    def _schedule(self, wait: float) -> None:
        due = self._loop.time() + wait
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_later(wait, self._tick)

    def _tick(self) -> None:
        self._timer = None
        running = [each for each in self._engine.instances.values() if each.run is not None]
        try:
            if self._loop.time() >= self._held_at + HELD - COUNTED / 2:
                self._held_at = self._loop.time()
                for instance in running:
                    self._look_at_kernel(instance)
            self._count_tasks(running)
            for name, limits in self._limits.namespaces().items():
                self._add_up(limits, [each for each in running if each.spec.namespace == name])
        finally:  # also where no descriptor was left to look with
            waits = [wait for each in running if (wait := self._wait_of(each)) is not None]
            if waits:
                self._schedule(min(waits))

    def _look_at_kernel(self, instance: Instance) -> None:
        folder = self._trees.folder_of(instance.id)
        self._limits.look(instance, folder)
        if folder and self._limits.has_bounds(instance.spec):
            self._trees.enter_again(instance)

    def _count_tasks(self, running: Iterable[Instance]) -> None:
        for instance in running:
            limit = instance.spec.limits.tasks
            sample = self._sampler.of(instance) if limit is not None and _is_up(instance) else None
            if limit is not None and sample is not None and sample.threads > limit:
                why = f"{sample.threads} tasks > {limit}"
                self._engine.handle(instance.id, LimitPassed(sample.run_id, why, "tasks"))

    def _add_up(self, limits: NamespaceLimits, members: list[Instance]) -> None:
        """End the one that uses most, where a namespace uses too much; who ends already is waited for."""
        if (limits.memory is None and limits.tasks is None) or not all(map(_is_up, members)):
            return
        samples = {each.id: sample for each in members if (sample := self._sampler.of(each)) is not None}
        usage = {key: Usage(sample.memory, sample.threads) for key, sample in samples.items()}
        found = excess(limits, usage)
        if found is not None:
            name = self._engine.instances[found.instance].spec.namespace
            why = f"the namespace {name} uses {found.used_words}, and this one most of it"
            self._engine.handle(found.instance, LimitPassed(samples[found.instance].run_id, why, found.cause))


def _is_up(instance: Instance) -> bool:
    return instance.status in (Status.STARTING, Status.ONLINE)
