"""Successors: instances that are started beside the ones that they are to replace, and take their places.

What replaces what is part of the instances, and so of the state: a new master goes on with it, whoever asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pypm.core.events import DeleteRequested, Renumbered
from pypm.core.instance import Instance, settled_at
from pypm.core.rolling import renewal_of
from pypm.master.apps import Apps
from pypm.master.engine import Engine

__all__ = ["Known", "Surges"]


class Known(NamedTuple):
    """An instance as people name it."""

    id: int
    own_id: int
    name: str
    app: str
    namespace: str
    instance: Instance

    @classmethod
    def of(cls, instance: Instance) -> Known:
        """The names of an instance."""
        names = (instance.shown_id, instance.id, instance.name, instance.app, instance.namespace)
        return cls(*names, instance)


class Surges:
    """Lets successors take over when they are up and ready, and removes those that fail."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        engine: Engine,
        apps: Apps,
        mark_logs: Callable[[int], None],
        clock: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._engine = engine
        self._apps = apps
        self._mark_logs = mark_logs
        self._clock = clock
        self._successors: set[int] = set()
        self._outcomes: dict[int, asyncio.Future[str]] = {}
        self._over: dict[int, int] = {}
        """Those that have taken over, by the ids of those that go for them."""
        engine.listeners.append(self._changed)

    def start(self) -> None:
        """Go on with what an earlier master has left."""
        for instance in list(self._engine.instances.values()):
            if instance.replaces is not None:
                self._add(instance.id)

    def begin(self, instance: Instance) -> int:
        """Start a successor of an instance, unless it has one; gives the successor's own id."""
        for each in self._engine.instances.values():
            if each.replaces == instance.id:
                return each.id
        successor = self._apps.add_successor(instance)
        self._add(successor)
        return successor

    async def outcome(self, successor_id: int) -> str:
        """Wait for what becomes of a successor: why it was removed; empty, it has taken over."""
        outcome = self._outcomes.get(successor_id)
        if outcome is None:
            return "it is not known any more"
        reason = await asyncio.shield(outcome)
        self._outcomes.pop(successor_id, None)
        return reason

    def _add(self, successor_id: int) -> None:
        self._successors.add(successor_id)
        self._outcomes[successor_id] = self._loop.create_future()
        self._loop.call_soon(self._look, successor_id)

    def _decide(self, successor_id: int, reason: str) -> None:
        self._successors.discard(successor_id)
        outcome = self._outcomes.get(successor_id)
        if outcome is not None and not outcome.done():
            outcome.set_result(reason)

    def shown(self, changes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Changes with the ids that people know."""
        instances = self._engine.instances
        return [
            change | {"id": instances[change["id"]].shown_id} if change["id"] in instances else change
            for change in changes
        ]

    def own_ids(self, shown: Iterable[int]) -> list[int]:
        """The instances that people know by these ids; an id that nobody has is kept."""
        renamed = {
            each.shown_id: each.id for each in self._engine.instances.values() if each.number is not None
        }
        return [renamed.get(each, each) for each in shown]

    def _changed(self, instance_id: int) -> None:
        if instance_id in self._successors:
            self._loop.call_soon(self._look, instance_id)
        elif instance_id in self._over and instance_id not in self._engine.instances:
            self._loop.call_soon(self._mark_logs, self._over.pop(instance_id))

    def _look(self, successor_id: int) -> None:
        """Decide about a successor, if it can be."""
        successor = self._engine.instances.get(successor_id)
        if successor is None or successor.replaces is None:
            self._decide(successor_id, "it was deleted meanwhile" if successor is None else "")
            return
        now = self._clock()
        found = renewal_of(successor, successor.created, now)
        if found.kind == "done":
            self._take_over(successor, self._engine.instances.get(successor.replaces))
        elif found.kind != "under way":
            self._decide(successor_id, found.reason or "it was stopped meanwhile")
            self._engine.handle(successor_id, DeleteRequested("the reload, as it failed"))
        elif (at := settled_at(successor)) is not None:
            self._loop.call_later(max(0.0, at - now), self._look, successor_id)

    def _take_over(self, successor: Instance, before: Instance | None) -> None:
        """In one commit they change their ids, and the one before is told to go."""
        own = successor.shown_id
        number = own if before is None else before.shown_id
        self._engine.handle(successor.id, Renumbered(number))
        if before is not None:
            self._over[before.id] = successor.id
            self._engine.handle(before.id, Renumbered(own))
            self._engine.handle(before.id, DeleteRequested("the reload, as the new one is up"))
        self._decide(successor.id, "")
