"""Asks the probes of all instances, each in its own time, and tells what they answered.

Each probe that is wanted has a task that waits, asks, tells, and waits again: so it asks once at a time, and
the period is from the end of a question to the next one. What an answer counts is decided in the core.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from pypm.core.events import Event, Probed
from pypm.core.instance import Instance, Status
from pypm.core.policy import describe_duration
from pypm.core.probe_spec import ProbeKind, ProbeSpec
from pypm.core.probes import wanted
from pypm.system.beside import BusyError
from pypm.system.probe_answer import Answer, failure, unknown, without_means

__all__ = ["Asker", "Probes", "Target"]

log = logging.getLogger(__name__)

AT_ONCE = 100
"""Questions under way at a time, so that a thousand probes take neither all descriptors nor the loop."""
COMMANDS_AT_ONCE = 16
VARIATION = 0.05
"""The part by which a period varies while all is well, so that probes that began together drift apart."""
STOOD_STILL = 1.0
"""Seconds after its timeout from which on a question has been late by our own fault: we were stopped."""


class Target(NamedTuple):
    """Whom a probe asks: one run of an instance."""

    instance: Instance
    run_id: str
    kind: ProbeKind
    spec: ProbeSpec


class Asker(Protocol):
    """Makes the questions of one probe of one run, one after the other."""

    async def ask(self) -> Answer:
        """Ask once; raises OSError and BusyError where that cannot be."""

    def close(self) -> None:
        """There are no further questions."""


class _Cycle:
    """One probe of one run, asked again and again."""

    def __init__(self, target: Target, task: asyncio.Task[None]) -> None:
        self.target = target
        self.task = task

    def is_about(self, run_id: str, spec: ProbeSpec | None) -> bool:
        return self.target.run_id == run_id and self.target.spec == spec


class Probes:
    """Runs the probes that the core wants; ``make`` gives what asks for one, ``handle`` is told the answers.

    ``changed`` is to be called after each change of an instance; nothing is asked before ``start``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handle: Callable[[int, Event], None],
        instances: Mapping[int, Instance],
        make: Callable[[Target], Asker],
        clock: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._handle = handle
        self._instances = instances
        self._make = make
        self._clock = clock
        self._cycles: dict[int, dict[ProbeKind, _Cycle]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        """Also those that are being ended."""
        self._room = asyncio.Semaphore(AT_ONCE)
        self._room_for_commands = asyncio.Semaphore(COMMANDS_AT_ONCE)
        self._began: float | None = None

    def start(self) -> None:
        """Begin with the probes of all instances."""
        self._began = self._clock()
        for instance_id in list(self._instances):
            self.changed(instance_id)

    async def close(self) -> None:
        """End all questions; what they have started is gone when this returns."""
        self._began = None
        self._cycles.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def changed(self, instance_id: int) -> None:
        """Begin and end probes as an instance needs them now."""
        instance = self._instances.get(instance_id)
        if self._began is None:
            return
        needed = {} if instance is None else wanted(instance)
        cycles = self._cycles.get(instance_id)
        if not needed and not cycles:
            return
        run_id = "" if instance is None or instance.run is None else instance.run.run_id
        cycles = self._cycles.setdefault(instance_id, {})
        for kind, cycle in list(cycles.items()):
            if not cycle.is_about(run_id, needed.get(kind)):
                del cycles[kind]
                cycle.task.cancel()
        for kind, spec in needed.items():
            if kind not in cycles and instance is not None:
                cycles[kind] = self._begin(Target(instance, run_id, kind, spec))
        if not cycles:
            del self._cycles[instance_id]

    def _begin(self, target: Target) -> _Cycle:
        task = self._loop.create_task(self._go_on(target, self._first_delay(target)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return _Cycle(target, task)

    def _first_delay(self, target: Target) -> float:
        """Seconds until the first question: at once while somebody waits for the answer, else anywhen."""
        instance, spec = target.instance, target.spec
        run = instance.run
        assert run is not None
        since = run.started if instance.status is Status.STARTING else instance.since
        delay = max(0.0, since + spec.initial_delay - self._clock())
        is_adopted = run.probes.of(target.kind).result is not None
        if is_adopted or (target.kind == "liveness" and instance.status is Status.ONLINE):
            # A thousand of them do not fall into one moment, also under a new master.
            delay += random.random() * spec.period
        return delay

    async def _go_on(self, target: Target, delay: float) -> None:
        asker = self._make(target)
        try:
            while True:
                await asyncio.sleep(delay)
                answer = await self._answer(target, asker)
                self._handle(target.instance.id, Probed(target.run_id, target.kind, *answer))
                delay = target.spec.period
                if answer.result == "success":
                    delay *= 1 + VARIATION * random.uniform(-1, 1)
        finally:
            asker.close()

    async def _answer(self, target: Target, asker: Asker) -> Answer:
        """Ask once, when there is room for one more question."""
        room = self._room_for_commands if target.spec.exec is not None else self._room
        async with room:
            timeout = target.spec.timeout
            due = self._loop.time() + timeout
            try:
                async with asyncio.timeout(timeout):
                    return await asker.ask()
            except TimeoutError as error:
                if self._loop.time() > due + STOOD_STILL and target.spec.exec is None:
                    return unknown("this master stood still")
                if self._loop.time() < due:  # the kernel's own time was over
                    return failure(str(error) or "the connection timed out")
                return failure(f"no answer within {describe_duration(timeout)}")
            except OSError as error:
                words = error.strerror or str(error)
                return unknown(words) if without_means(error) else failure(words)
            except BusyError as error:
                return unknown(str(error))
            except Exception as error:  # a bug of ours is no reason to restart an agent
                log.exception("%s: the %s probe cannot be asked", target.instance.name, target.kind)
                return unknown(f"{type(error).__name__}: {error}")
