"""Start order and stop order under a master: asks the core who waits, and looks again when others change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from msgspec.structs import replace

from pypm.core.events import DeleteRequested, DependencyFailed, Event, HeldBack, LetGo, StopRequested
from pypm.core.instance import Instance, Status
from pypm.core.order import in_order, needed, standing, still_needed_by
from pypm.master.engine import Engine

__all__ = ["StartOrder"]


class StartOrder:
    """Holds back what has to wait for others, and lets it go.

    What waits is part of the instances and so of the state: a new master goes on with it.
    """

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop
        self._waiting: set[int] = set()
        self._awaited: set[str] = set()
        """Apps whose changes may let one of those go."""
        self._is_due = False
        engine.listeners.append(self._changed)

    def may_start(self, instance: Instance) -> bool:
        """Whether an instance may be spawned now; if not, it is held back until it may."""
        if not instance.spec.depends_on:
            return True
        found = standing(instance.spec.depends_on, self._by_app(instance.spec.depends_on))
        if found.kind == "met":
            return True
        self._waiting.add(instance.id)
        self._look_soon()
        failed = found.kind == "fails"
        self._engine.handle(instance.id, DependencyFailed(found.why) if failed else HeldBack(found.why))
        return False

    def needed(self, chosen: Iterable[Instance]) -> list[Instance]:
        """What is down and has to be started too, so that ``chosen`` can start."""
        instances = list(chosen)
        return needed(instances, self._by_app()) if any(each.spec.depends_on for each in instances) else []

    def started_first(self, chosen: Iterable[Instance]) -> list[Instance]:
        """The same instances, dependencies before what depends on them."""
        instances = list(chosen)
        rank = self._ranks()
        return sorted(instances, key=lambda each: rank[each.app]) if rank else instances

    def end(self, chosen: Iterable[Instance], event: StopRequested | DeleteRequested) -> None:
        """Order the end of instances: dependents first, what they depend on when they are down."""
        for instance in reversed(self.started_first(chosen)):
            waits_for = still_needed_by(instance, self._dependents(instance.app))
            self._engine.handle(instance.id, replace(event, waits_for=waits_for))

    # --- inner workings ---

    def _by_app(self, names: Iterable[str] | None = None) -> dict[str, list[Instance]]:
        found: dict[str, list[Instance]] = {name: [] for name in names or ()}
        for each in self._engine.instances.values():
            if each.replaced or each.replaces is not None:  # another one counts for both
                continue
            if names is None or each.app in found:
                found.setdefault(each.app, []).append(each)
        return found

    def _dependents(self, name: str) -> list[Instance]:
        return [each for each in self._engine.instances.values() if name in each.spec.depends_on]

    def _ranks(self) -> dict[str, int]:
        """The place of each app in the start order; empty where no app depends on another."""
        graph = {each.app: each.spec.depends_on for each in self._engine.instances.values()}
        if not any(graph.values()):
            return {}
        return {name: rank for rank, name in enumerate(in_order(graph))}

    def _changed(self, instance_id: int) -> None:
        instance = self._engine.instances.get(instance_id)
        if instance is not None and instance.waits_for and instance_id not in self._waiting:
            self._waiting.add(instance_id)
            self._look_soon()
        elif self._waiting:
            # One that waits may depend on others now.
            concerns = instance is None or instance_id in self._waiting or instance.app in self._awaited
            if concerns:
                self._look_soon()

    def _look_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._is_due = False
        found = [self._engine.instances.get(instance_id) for instance_id in sorted(self._waiting)]
        waiting = [each for each in found if each is not None and each.waits_for]
        self._waiting = {each.id for each in waiting}
        # The same for all of an app that are in the same status: it may have hundreds of instances.
        alike: dict[tuple[object, ...], list[Instance]] = {}
        for each in waiting:
            alike.setdefault((each.app, each.status, *each.spec.depends_on.items()), []).append(each)
        # Before anything is changed: what follows from that may let others go, and is looked at next.
        self._awaited = {name for group in alike.values() for name in self._awaited_by(group[0])}
        by_app = self._by_app()
        for group in alike.values():
            if event := self._what_now(group[0], by_app):
                for each in group:
                    self._engine.handle(each.id, event)

    def _awaited_by(self, instance: Instance) -> Iterable[str]:
        if instance.status is Status.STOPPING:
            return [each.app for each in self._dependents(instance.app)]
        return instance.spec.depends_on

    def _what_now(self, instance: Instance, by_app: dict[str, list[Instance]]) -> Event | None:
        if instance.status is Status.STOPPING:
            why = still_needed_by(instance, self._dependents(instance.app))
            return HeldBack(why) if why else LetGo()
        found = standing(instance.spec.depends_on, by_app)
        if instance.status is Status.HELD:
            return None if found.kind == "fails" else LetGo()
        if found.kind == "fails":
            return DependencyFailed(found.why)
        return HeldBack(found.why) if found.kind == "waits" else LetGo()
