"""What the apps of a namespace may use together, and whose turn it is when they use more. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from pypm.core import events as ev
from pypm.core.actions import Action
from pypm.core.instance import After, Instance
from pypm.core.spec import AppSpec, NamespaceLimits
from pypm.core.stopping import begin_stop

__all__ = ["Excess", "Usage", "excess", "limit_passed", "limits_of_namespaces"]

MEBIBYTE = 2**20
NONE = NamespaceLimits()


class Usage(NamedTuple):
    """What the tree of one instance uses: resident bytes, processes and threads."""

    memory: int
    tasks: int


class Excess(NamedTuple):
    """A limit that a namespace is beyond, and the instance that is to go for it."""

    instance: int
    cause: Literal["memory", "tasks"]
    used: int
    limit: int

    @property
    def used_words(self) -> str:
        """What is used, and of how much, for people."""
        if self.cause == "tasks":
            return f"{self.used} tasks of {self.limit}"
        return f"{-(-self.used // MEBIBYTE)}M of memory, of {self.limit / MEBIBYTE:g}M"


def limits_of_namespaces(specs: Iterable[AppSpec]) -> dict[str, NamespaceLimits]:
    """The limits of each namespace that has any. Where files differ in them, the smaller figure holds."""
    found: dict[str, NamespaceLimits] = {}
    for spec in specs:
        if spec.namespace_limits is not None:
            known = found.get(spec.namespace, NONE)
            found[spec.namespace] = _tighter(known, spec.namespace_limits)
    return found


def _tighter(one: NamespaceLimits, other: NamespaceLimits) -> NamespaceLimits:
    return NamespaceLimits(
        memory=min((each for each in (one.memory, other.memory) if each is not None), default=None),
        tasks=min((each for each in (one.tasks, other.tasks) if each is not None), default=None),
        cpu_max=min((each for each in (one.cpu_max, other.cpu_max) if each is not None), default=None),
        enforce="best_effort" if "best_effort" in (one.enforce, other.enforce) else "required",
    )


def excess(limits: NamespaceLimits, usage: Mapping[int, Usage]) -> Excess | None:
    """Whom to end, by instance id, where the instances of a namespace use more than they may together.

    It is the one that uses most of what is scarce; of equals the one that came last. None: all is well.
    """
    bounds: tuple[tuple[Literal["memory", "tasks"], int | None], ...]
    bounds = (("memory", limits.memory), ("tasks", limits.tasks))
    for name, limit in bounds:
        used = sum(getattr(each, name) for each in usage.values())
        if limit is not None and used > limit:
            heaviest = max(usage, key=lambda key: (getattr(usage[key], name), key))
            return Excess(heaviest, name, used, limit)
    return None


def limit_passed(instance: Instance, event: ev.Event, now: float) -> tuple[Instance, list[Action]]:
    """The run is stopped gracefully, and its policy says what follows."""
    assert isinstance(event, ev.LimitPassed)
    return begin_stop(instance, now, event.reason, After.DECIDE, event.cause)
