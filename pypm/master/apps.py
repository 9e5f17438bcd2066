"""The declared apps and their instances: adding, changing, scaling and forgetting them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from pypm.core.events import DeleteRequested, RestartRequested, SpecChanged, StartRequested
from pypm.core.instance import After, Desired, Instance, Status
from pypm.core.plan import changed_keys, needs_restart
from pypm.core.snapshot import SavedApp
from pypm.core.spec import AppSpec, Origin
from pypm.core.state import App
from pypm.master.asker import asked_by
from pypm.master.engine import Engine
from pypm.master.store import Store

__all__ = ["Apps", "Change", "change_of"]

Change = dict[str, Any]


def change_of(instance: Instance, action: str) -> Change:
    """What was done to one instance, as clients are told."""
    return {"id": instance.id, "name": instance.name, "action": action}


def _is_down(instance: Instance) -> bool:
    """Whether it takes a start to have it up: it rests, or is on its way there."""
    if instance.status is Status.STOPPING:
        return instance.after in (After.STOP, After.DELETE)
    if instance.is_armed:
        return False
    return instance.status in (Status.STOPPED, Status.ERRORED, Status.EXITED, Status.HELD)


class Apps:
    """All apps by name; keeps the store and the engine in step with them."""

    def __init__(self, engine: Engine, store: Store, clock: Callable[[], float]) -> None:
        self.by_name: dict[str, App] = {}
        self.next_id = 0
        self._engine = engine
        self._store = store
        self._clock = clock
        self.on_app: Callable[[str, AppSpec | None], None] = lambda _name, _spec: None
        """Told of each app that is there or has changed, and (None) of each that is gone."""
        engine.listeners.append(self._changed)

    def restore(self, apps: list[App], instances: list[Instance], next_id: int) -> None:
        """Take over what an earlier master has left."""
        for app in apps:
            self._put(app)
        self.next_id = max([next_id, *(instance.id + 1 for instance in instances)])
        self._store.put_next_id(self.next_id)
        for instance in instances:
            self._engine.add(instance)
            self._store.put_instance(instance)

    def specs(self) -> dict[str, AppSpec]:
        """What is declared, by name."""
        return {name: app.spec for name, app in self.by_name.items()}

    def down(self) -> dict[str, int]:
        """How many instances of each app it takes a start to have up."""
        counts = dict.fromkeys(self.by_name, 0)
        for instance in self._engine.instances.values():
            if not instance.replaced and instance.replaces is None:
                counts[instance.app] = counts.get(instance.app, 0) + _is_down(instance)
        return counts

    def instances_of(self, name: str) -> list[Instance]:
        """An app's instances, by index, without those whose places others have."""
        instances = self._engine.instances.values()
        found = [each for each in instances if each.app == name and not each.replaced]
        return sorted(found, key=lambda each: each.index)

    def declare(self, spec: AppSpec, origin: Origin, *, restart: bool = True) -> list[Change]:
        """Make the app what ``spec`` says; what is so already is left alone.

        Without ``restart`` no run is ended for what a new one would have: somebody is about to renew them.
        """
        app = self.by_name.get(spec.name)
        if app is None:
            self._put(App(spec=spec, created=self._clock(), origin=origin))
            return [self._add_instance(spec, index, up=spec.autostart) for index in range(spec.instances)]
        if not changed_keys(app.spec, spec):
            return [self._bring_up(instance) for instance in self.instances_of(spec.name)]
        keys = needs_restart(app.spec, spec) if restart else []
        changes = self._redeclare(app, spec)
        return changes + [self._renew(instance, keys) for instance in self._kept(spec.name, changes)]

    def scale(self, name: str, count: int) -> list[Change]:
        """Change how many instances an app has; the newest go first, and what is down stays down."""
        app = self.by_name[name]
        changes = self._redeclare(app, replace(app.spec, instances=count))
        return changes + [change_of(instance, "unchanged") for instance in self._kept(name, changes)]

    def saved(self) -> tuple[SavedApp, ...]:
        """What a snapshot keeps: every app with the indexes that are wanted up and down."""
        apps = []
        for app in self.by_name.values():
            indexes: dict[Desired, list[int]] = {Desired.UP: [], Desired.DOWN: []}
            for instance in self.instances_of(app.spec.name):
                is_going = instance.status is Status.STOPPING and instance.after is After.DELETE
                if not is_going and instance.replaces is None:
                    indexes[instance.desired].append(instance.index)
            if any(indexes.values()):
                up, down = tuple(indexes[Desired.UP]), tuple(indexes[Desired.DOWN])
                apps.append(SavedApp(app.spec, app.origin, up, down))
        return tuple(apps)

    def resurrect(self, saved: SavedApp) -> list[Change]:
        """Bring back an app of a snapshot: whole, if it is gone; else those that are down and were up.

        What runs, waits or has failed by itself is left to its policy.
        """
        spec = saved.spec
        if spec.name not in self.by_name:
            self._put(App(spec=spec, created=self._clock(), origin=saved.origin))
            indexes = sorted({*saved.up, *saved.down})
            return [self._add_instance(spec, index, up=index in saved.up) for index in indexes]
        changes = []
        for instance in self.instances_of(spec.name):
            is_wanted = instance.desired is Desired.DOWN and instance.index in saved.up
            changes.append(change_of(instance, "started" if is_wanted else "unchanged"))
            if is_wanted:
                self._engine.handle(instance.id, StartRequested(by=asked_by()))
        return changes

    def add_successor(self, instance: Instance) -> int:
        """Add, and start, an instance that is to take the place of another one; gives its id."""
        now = self._clock()
        successor = Instance(
            id=self.next_id,
            app=instance.app,
            index=instance.index,
            created=now,
            since=now,
            spec=instance.spec,
            restarts=instance.restarts + 1,
            runs=instance.runs,
            replaces=instance.id,
        )
        self._take_in(successor)
        self._engine.handle(successor.id, StartRequested(by=asked_by()))
        return successor.id

    def set_origin(self, name: str, origin: Origin) -> None:
        """Replace what the app inherits from the shell, from the next run on."""
        self._put(replace(self.by_name[name], origin=origin))

    def _put(self, app: App) -> None:
        self.by_name[app.spec.name] = app
        self._store.put_app(app)
        self.on_app(app.spec.name, app.spec)

    def _kept(self, name: str, changes: list[Change]) -> list[Instance]:
        touched = {change["id"] for change in changes}
        return [instance for instance in self.instances_of(name) if instance.id not in touched]

    def _redeclare(self, app: App, spec: AppSpec) -> list[Change]:
        """Give the app its new spec and as many instances as that says; runs go on where they may."""
        self._put(replace(app, spec=spec))
        changes = []
        present = self.instances_of(spec.name)
        for instance in present:
            if instance.index >= spec.instances:
                changes.append(change_of(instance, "deleted"))
                self._engine.handle(instance.id, DeleteRequested("a change of the instance count"))
            else:
                self._engine.handle(instance.id, SpecChanged(spec))
                if instance.after is After.DELETE:  # it is wanted again before it was gone
                    changes.append(change_of(instance, "started"))
                    self._engine.handle(instance.id, StartRequested(by=asked_by()))
        known = {instance.index for instance in present}
        missing = [index for index in range(spec.instances) if index not in known]
        return changes + [self._add_instance(spec, index, up=spec.autostart) for index in missing]

    def _renew(self, instance: Instance, keys: list[str]) -> Change:
        """Let a kept instance have what has changed: by a new run, or at its next start, as every job."""
        if not keys or _is_down(instance) or instance.spec.schedule is not None:
            return self._bring_up(instance)
        reason = f"restarted for a change of {', '.join(keys)}"
        self._engine.handle(instance.id, RestartRequested(by=asked_by(), reason=reason, cause="config"))
        return change_of(instance, "restarted")

    def _bring_up(self, instance: Instance) -> Change:
        if not _is_down(instance) or not instance.spec.autostart:
            return change_of(instance, "unchanged")
        self._engine.handle(instance.id, StartRequested(by=asked_by()))
        return change_of(instance, "started")

    def _add_instance(self, spec: AppSpec, index: int, *, up: bool) -> Change:
        now = self._clock()
        instance = Instance(
            id=self.next_id,
            app=spec.name,
            index=index,
            created=now,
            since=now,
            spec=spec,
            desired=Desired.UP if up else Desired.DOWN,
        )
        self._take_in(instance)
        if up:
            self._engine.handle(instance.id, StartRequested(by=asked_by()))
        return change_of(instance, "added")

    def _take_in(self, instance: Instance) -> None:
        self.next_id = instance.id + 1
        self._store.put_next_id(self.next_id)
        self._engine.add(instance)
        self._store.put_instance(instance)

    def _changed(self, instance_id: int) -> None:
        """With its last instance an app is gone; when there is none at all, ids begin anew."""
        if instance_id in self._engine.instances:
            return
        left = {instance.app for instance in self._engine.instances.values()}
        for name in [name for name in self.by_name if name not in left]:
            del self.by_name[name]
            self._store.drop_app(name)
            self.on_app(name, None)
        if not left and self.next_id:
            self.next_id = 0
            self._store.put_next_id(0)
