"""Waiting for instances: until they are settled or stopped, or anything about them has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Literal, NamedTuple

from pypm.core.instance import Desired, Instance, Status, settled_at
from pypm.master.engine import Engine

__all__ = ["Goal", "Outcome", "Waiting"]

Goal = Literal["settled", "stopped", "changed"]
"""``changed`` is reached by what is deleted only: for who judges by himself what he waits for."""


class Outcome(NamedTuple):
    """Whether the goal is reached, or the time is over; neither: something has changed."""

    done: bool
    timed_out: bool
    begun_again: tuple[int, ...] = ()
    """Those that were to stop and that somebody wants up again: their end is not waited for any more."""


class Waiter:
    """Somebody who waits for some instances."""

    def __init__(self, ids: Collection[int]) -> None:
        self.ids = frozenset(ids)
        self.changed = asyncio.Event()
        self.going_down: set[int] = set()
        """Those that have been seen as wanted down."""
        self.begun_again: set[int] = set()


class Waiting:
    """All who wait; woken by the engine's changes, never by polling."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock
        self._waiters: set[Waiter] = set()
        engine.listeners.append(self._changed)

    def _changed(self, instance_id: int) -> None:
        for waiter in self._waiters:
            if instance_id in waiter.ids:
                waiter.changed.set()

    async def wait(
        self,
        ids: Collection[int],
        goal: Goal,
        timeout: float | None = None,
        revision: int | None = None,
        *,
        decided: dict[int, Instance] | None = None,
    ) -> Outcome:
        """Return when all of ``ids`` have reached the goal, or ``timeout`` seconds are over.

        With ``revision`` also when one of them has changed since that revision of the engine. For
        ``stopped``, one that is wanted up again after it was wanted down is not waited for any longer.
        ``decided`` is for who tells a person how it went: it gets each as it was when it reached the goal,
        and nobody is waited for who only waits for what has failed.
        """
        waiter = Waiter(ids)
        self._waiters.add(waiter)
        end = None if timeout is None else self._clock() + timeout
        pending, there = set(ids), self._engine.instances
        try:
            while True:
                waiter.changed.clear()
                before, (pending, again) = pending, self._look(pending, goal)
                if decided is not None:
                    decided.update({each: there[each] for each in before - pending if each in there})
                    if goal == "settled" and self._wait_in_vain(pending):
                        pending = set()
                if goal == "stopped":
                    self._note_wishes(waiter, pending)
                    pending -= waiter.begun_again
                if not pending:
                    return Outcome(not waiter.begun_again, False, tuple(sorted(waiter.begun_again)))
                if revision is not None and self._changed_since(revision, ids):
                    return Outcome(False, False)
                if end is not None and self._clock() >= end:
                    return Outcome(False, True)
                await self._pause(
                    waiter, min((each for each in (end, again) if each is not None), default=None)
                )
        finally:
            self._waiters.discard(waiter)

    def are_there(self, ids: Collection[int], goal: Goal) -> bool:
        """Whether all of ``ids`` have reached the goal now."""
        return not self._look(set(ids), goal)[0]

    async def _pause(self, waiter: Waiter, until: float | None) -> None:
        """Wait for a change, or until a time of the boot clock."""
        try:
            async with asyncio.timeout(None if until is None else max(0.0, until - self._clock())):
                await waiter.changed.wait()
        except TimeoutError:
            pass

    def _note_wishes(self, waiter: Waiter, pending: Collection[int]) -> None:
        """See which of those that still run were wanted down and are wanted up again."""
        for instance_id in pending:
            if self._engine.instances[instance_id].desired is Desired.DOWN:
                waiter.going_down.add(instance_id)
            elif instance_id in waiter.going_down:
                waiter.begun_again.add(instance_id)

    def _wait_in_vain(self, pending: Collection[int]) -> bool:
        """Whether all of them wait for an app that has failed and is tried again, or for one that does."""
        left = [each for each in map(self._engine.instances.get, pending) if each is not None]
        if not left or not all(map(_is_held_back, left)):
            return False
        everybody = self._engine.instances.values()
        failed = {each.app for each in everybody if each.status in (Status.BACKOFF, Status.HELD)}
        held_back = [each for each in everybody if _is_held_back(each)]
        while more := {each.app for each in held_back if failed & each.spec.depends_on.keys()} - failed:
            failed |= more
        return all(failed & each.spec.depends_on.keys() for each in left)

    def _changed_since(self, revision: int, ids: Collection[int]) -> bool:
        return any(self._engine.changed_at.get(instance_id, 0) > revision for instance_id in ids)

    def _look(self, pending: set[int], goal: Goal) -> tuple[set[int], float | None]:
        """Who has not reached the goal, and when time alone will bring the next one there."""
        now = self._clock()
        left: set[int] = set()
        again: float | None = None
        for instance_id in pending:
            instance = self._engine.instances.get(instance_id)
            if instance is None:
                continue
            if goal == "changed":
                left.add(instance_id)
                continue
            if goal == "stopped":
                if instance.run is not None or instance.status in ("starting", "stopping"):
                    left.add(instance_id)
                continue
            time = settled_at(instance)
            if time is None or time > now:
                left.add(instance_id)
                if time is not None:
                    again = time if again is None else min(again, time)
        return left, again


def _is_held_back(instance: Instance) -> bool:
    """Whether it is not started before something else is there."""
    return instance.status is Status.STARTING and instance.run is None and instance.waits_for != ""
