"""Successors: instances that are started beside the ones that they are to replace, and take their places.

What replaces what is part of the instances, and so of the state: a new master goes on with it, whoever asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pypm.core.events import DeleteRequested, Renumbered
from pypm.core.instance import Desired, Instance, settled_at
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
        self._successors: dict[int, int] = {}
        """Whom they are to replace."""
        self._outcomes: dict[int, asyncio.Future[str]] = {}
        self._over: dict[int, int] = {}
        """Those that have taken over, by the ids of those that go for them."""
        engine.listeners.append(self._changed)

    def start(self) -> None:
        """Go on with what an earlier master has left."""
        for instance in list(self._engine.instances.values()):
            if instance.replaces is not None:
                self._add(instance.id, instance.replaces)

    def begin(self, instance: Instance) -> int:
        """Start a successor of an instance, unless it has one; gives the successor's own id."""
        begun = self.successor_of(instance)
        if begun is not None:
            return begun
        successor = self._apps.add_successor(instance)
        self._add(successor, instance.id)
        return successor

    def successor_of(self, instance: Instance) -> int | None:
        """Who is to replace an instance, by its own id."""
        instances = self._engine.instances.values()
        return next((each.id for each in instances if each.replaces == instance.id), None)

    async def outcome(self, successor_id: int) -> str:
        """Wait for what becomes of a successor: why it was removed; empty, it has taken over."""
        outcome = self._outcomes.get(successor_id)
        if outcome is None:
            return "it is not known any more"
        reason = await asyncio.shield(outcome)
        self._outcomes.pop(successor_id, None)
        return reason

    def _add(self, successor_id: int, before: int) -> None:
        self._successors[successor_id] = before
        self._outcomes[successor_id] = self._loop.create_future()
        self._loop.call_soon(self._look, successor_id)

    def _decide(self, successor_id: int, reason: str) -> None:
        self._successors.pop(successor_id, None)
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
        for successor, before in self._successors.items():
            if instance_id in (successor, before):
                self._loop.call_soon(self._look, successor)
        if instance_id in self._over and instance_id not in self._engine.instances:
            self._loop.call_soon(self._mark_logs, self._over.pop(instance_id))

    def _look(self, successor_id: int) -> None:
        """Decide about a successor, if it can be."""
        successor = self._engine.instances.get(successor_id)
        if successor is None or successor.replaces is None:
            self._decide(successor_id, "it was deleted meanwhile" if successor is None else "")
            return
        before = self._engine.instances.get(successor.replaces)
        if before is None or before.desired is Desired.DOWN:  # who ended it meant whichever has its place
            self._give_up(successor, f"it was {'deleted' if before is None else 'stopped'} meanwhile")
            return
        now = self._clock()
        found = renewal_of(successor, successor.created, now)
        if found.kind == "done":
            self._take_over(successor, before)
        elif found.kind != "under way":
            self._give_up(successor, found.reason or "it was stopped meanwhile")
        elif (at := settled_at(successor)) is not None:
            self._loop.call_later(max(0.0, at - now), self._look, successor_id)

    def _give_up(self, successor: Instance, reason: str) -> None:
        """The one before stays as it is."""
        self._decide(successor.id, reason)
        self._engine.handle(successor.id, Renumbered(successor.shown_id, replaced=True))
        self._engine.handle(successor.id, DeleteRequested("the reload, as it failed"))

    def _take_over(self, successor: Instance, before: Instance) -> None:
        """In one commit they change their ids, and the one before is told to go."""
        own, number = successor.shown_id, before.shown_id
        self._engine.handle(successor.id, Renumbered(number))
        self._over[before.id] = successor.id
        self._engine.handle(before.id, Renumbered(own, replaced=True))
        self._engine.handle(before.id, DeleteRequested("the reload, as the new one is up"))
        self._decide(successor.id, "")
