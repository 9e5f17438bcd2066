"""Limits that the kernel holds runs to, by control groups; where it cannot, the sampler's looks have to do.

The kernel is the second line for memory: the sampler ends a run in good order at its limit, while the kernel
slows the run down a bit above that, and kills it where it goes on all the same, or nobody looks.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable

from pypm.core.instance import Instance
from pypm.core.namespaces import limits_of_namespaces
from pypm.core.spec import AppSpec, LimitSpec, NamespaceLimits
from pypm.system import cgroup
from pypm.system.cgroup import Groups
from pypm.system.cgroup_limits import NO_BOUNDS, Bounds, Controllers, oom_kills, reached, refused_tasks
from pypm.system.spawn_error import SpawnError

__all__ = ["KernelLimits", "bounds_of"]

log = logging.getLogger(__name__)

SLOWED, KILLED = 1.1, 1.25
"""The parts of a limit on memory at which the kernel slows a tree down, and at which it kills it."""
WORDS = {"memory": "memory", "cpu": "cpu_max", "pids": "tasks"}
"""The key of an app for each controller."""
Record = Callable[..., None]


def bounds_of(memory: int | None, limits: LimitSpec | NamespaceLimits) -> Bounds:
    """What a group is held to."""
    return Bounds(
        memory=None if memory is None else int(memory * KILLED),
        memory_high=None if memory is None else int(memory * SLOWED),
        cpu=limits.cpu_max,
        tasks=limits.tasks,
    )


class KernelLimits:
    """Holds the groups of instances and namespaces to what their apps say.

    ``specs`` gives all apps that there are.
    """

    def __init__(self, groups: Groups, specs: Callable[[], Iterable[AppSpec]]) -> None:
        self.record: Record = lambda _event, **_facts: None
        """Writes an event."""
        self._groups = groups
        self._specs = specs
        self._namespaces: dict[str, NamespaceLimits] | None = None
        self._kills_before: dict[int, int] = {}
        """What a group that could not be made anew had counted before the present run."""
        self._refused: dict[int, int] = {}
        self._held: dict[int, frozenset[str]] = {}
        """The controllers that hold a run to something, as of the last look."""
        self.controllers = Controllers(groups, lambda: (os.getpid(), os.getppid()))

    def namespaces(self) -> dict[str, NamespaceLimits]:
        """The limits of all namespaces that have any."""
        if self._namespaces is None:
            self._namespaces = limits_of_namespaces(self._specs())
        return self._namespaces

    def _of_namespace(self, name: str) -> Bounds:
        limits = self.namespaces().get(name)
        return NO_BOUNDS if limits is None else bounds_of(limits.memory, limits)

    def _bounds(self, spec: AppSpec) -> tuple[Bounds, Bounds]:
        return bounds_of(spec.max_memory, spec.limits), self._of_namespace(spec.namespace)

    def has_bounds(self, spec: AppSpec) -> bool:
        """Whether an app, or its namespace, is limited in what groups can be held to."""
        return any(each != NO_BOUNDS for each in self._bounds(spec))

    # --- at a start ---

    def refusal(self, spec: AppSpec) -> str:
        """Why an app cannot be started on this machine, for people; empty if it can. Changes nothing."""
        for limits, key in ((spec.limits, "limits"), (spec.namespace_limits, _namespace_key(spec))):
            is_required = limits is not None and limits.cpu_max is not None and limits.enforce == "required"
            if is_required and (fault := self.controllers.fault("cpu")):
                return _refused(key, fault)
        return ""

    def folder(self, instance: Instance) -> str:
        """Where the group of the instance's next run is; empty where there can be none."""
        namespace = instance.spec.namespace
        return self._groups.path(instance.id, namespace if namespace in self.namespaces() else "")

    def prepare(self, instance: Instance) -> str:
        """Make the group of a run that is about to begin, if there are limits; gives it, or an empty text.

        Raises SpawnError where the machine cannot hold the run to what it has to be held to.
        """
        own, shared = self._bounds(instance.spec)
        needed = own.controllers | shared.controllers
        if not needed and not self.controllers.enabled():
            return ""
        faults = self.controllers.enable(needed)
        path = self.folder(instance)
        if path:
            faults = self._make(instance, path, own, shared) | faults
        self._held[instance.id] = own.controllers - faults.keys()
        self._judge(instance, needed, faults)
        return path

    def _make(self, instance: Instance, path: str, own: Bounds, shared: Bounds) -> dict[str, str]:
        cgroup.remove(path)
        namespace = instance.spec.namespace if instance.spec.namespace in self.namespaces() else ""
        if self._groups.make(instance.id, namespace) is None:
            return dict.fromkeys(own.controllers | shared.controllers, f"{path} cannot be made")
        self._kills_before[instance.id] = oom_kills(path)
        self._refused[instance.id] = refused_tasks(path)
        return self._apply_to_namespace(namespace) | self.controllers.apply(path, own)

    def _apply_to_namespace(self, name: str) -> dict[str, str]:
        """Limits are handed down to the groups in it as well, which have their own."""
        if not name:
            return {}
        path, bounds = self._groups.namespace_path(name), self._of_namespace(name)
        for controller in self.controllers.enabled():
            cgroup.write(f"{path}/cgroup.subtree_control", f"+{controller}")
        return self.controllers.apply(path, bounds)

    def _judge(self, instance: Instance, needed: frozenset[str], faults: dict[str, str]) -> None:
        spec = instance.spec
        if "cpu" not in faults or "cpu" not in needed:
            return  # memory and tasks are looked at by the sampler
        own = spec.limits.cpu_max is not None
        limits: LimitSpec | NamespaceLimits = spec.limits if own else self.namespaces()[spec.namespace]
        if limits.enforce == "required":
            raise SpawnError(_refused("limits" if own else _namespace_key(spec), faults["cpu"]))
        self._tell(instance, "limits.not_enforced", limit="cpu_max", reason=faults["cpu"])

    # --- while they run ---

    def declared(self) -> None:
        """What apps there are, or what they say, has changed."""
        self._namespaces = None

    def make(self, instance: Instance) -> str:
        """Make a group for a run that goes on in none and is to be limited; empty where there can be none."""
        own, _ = self._bounds(instance.spec)
        if not own.controllers:
            return ""
        namespace = instance.spec.namespace if instance.spec.namespace in self.namespaces() else ""
        return self._groups.make(instance.id, namespace) or ""

    def renew(self, instance: Instance, path: str) -> None:
        """Hold a run that goes on to what its app says now; ``path`` is its group."""
        own, shared = self._bounds(instance.spec)
        if not path or not (own.controllers | shared.controllers or self.controllers.enabled()):
            return
        self._note(instance, own, self._hold(instance, path))

    def _hold(self, instance: Instance, path: str) -> dict[str, str]:
        """Hold a group that is there, and the one of its namespace; gives the controllers that do not."""
        own, shared = self._bounds(instance.spec)
        faults = self.controllers.enable(own.controllers | shared.controllers)
        namespace = instance.spec.namespace
        if path == self._groups.path(instance.id, namespace):
            self._apply_to_namespace(namespace)
        return faults | self.controllers.apply(path, own)

    def look(self, instance: Instance, path: str) -> None:
        """See whether a run is still held to its limits: what it is not is set anew, or told."""
        own, _ = self._bounds(instance.spec)
        if not path or not own.controllers:
            return
        self._count_refused(instance, path)
        faults = self.controllers.holds(path, own)
        if faults:
            with contextlib.suppress(OSError):  # then what follows says so
                os.makedirs(path, exist_ok=True)
            faults = self._hold(instance, path)
        self._note(instance, own, faults)

    def _count_refused(self, instance: Instance, path: str) -> None:
        count, before = refused_tasks(path), self._refused.get(instance.id)
        self._refused[instance.id] = count
        if before is not None and count > before:
            self._tell(instance, "limits.tasks", refused=count - before, limit=instance.spec.limits.tasks)

    def _note(self, instance: Instance, own: Bounds, faults: dict[str, str]) -> None:
        """Tell what the kernel does not hold a run to any more, or does again."""
        held, before = own.controllers - faults.keys(), self._held.get(instance.id)
        self._held[instance.id] = held
        if before is None:
            return
        for name in sorted(before & own.controllers - held):
            log.warning(
                "%s: the kernel holds it to no %s any more: %s", instance.name, WORDS[name], faults[name]
            )
            self._tell(instance, "limits.lost", limit=WORDS[name], reason=faults[name])
        for name in sorted(held - before):
            self._tell(instance, "limits.held", limit=WORDS[name])

    def _tell(self, instance: Instance, event: str, **facts: object) -> None:
        run_id = None if instance.run is None else instance.run.run_id
        self.record(event, name=instance.name, id=instance.id, run_id=run_id, **facts)

    def forget(self, instance_id: int) -> None:
        """The instance is gone."""
        self._kills_before.pop(instance_id, None)
        self._refused.pop(instance_id, None)
        self._held.pop(instance_id, None)

    # --- at an end ---

    def oom_evidence(self, instance: Instance, path: str) -> str:
        """What a run's group says of a kill for want of memory, for people; empty: there was none."""
        if not path or oom_kills(path) <= self._kills_before.get(instance.id, 0):
            return ""
        limit = instance.spec.max_memory
        if reached(path) and limit is not None:
            return f"out of memory: its group had {KILLED} times its limit ({_mebibytes(limit * KILLED)})"
        if instance.spec.namespace in self.namespaces() and reached(os.path.dirname(path)):
            return f"out of memory: its namespace {instance.spec.namespace} had all that it may have"
        return "out of memory, as its group has counted"


def _refused(key: str, why: str) -> str:
    return (
        f"{key}.cpu_max: this machine cannot hold it to that: {why} (pypm doctor says what would help; "
        f'{key}.enforce = "best_effort" starts it all the same)'
    )


def _namespace_key(spec: AppSpec) -> str:
    return f"namespaces.{spec.namespace}.limits"


def _mebibytes(size: float) -> str:
    return f"{size / 2**20:.0f}M"
