"""What a declaration means for what is there: which apps come, go, get a new run, or change as they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from pypm.core.differences import Difference, differences
from pypm.core.order import find_cycle
from pypm.core.spec import AppSpec
from pypm.core.validity import fault_of

__all__ = [
    "AppPlan",
    "Plan",
    "Present",
    "changed_keys",
    "fault_of_declaration",
    "is_down",
    "make_plan",
    "needs_restart",
]

Step = Literal["add", "remove", "rename", "restart", "change", "scale", "start", "keep"]


class Present(msgspec.Struct, frozen=True):
    """An app that is there."""

    spec: AppSpec
    down: int = 0
    """How many of its instances rest, so that it takes a start to have them up."""

    @property
    def is_down(self) -> bool:
        """Whether all of them rest."""
        return self.down >= self.spec.instances


class AppPlan(msgspec.Struct, frozen=True):
    """What is to be done to one app."""

    app: str
    action: Step
    """The strongest thing: ``change`` leaves its runs alone, ``start`` is for what rests and is unchanged."""
    before: int = 0
    """Instances that there are."""
    after: int = 0
    differences: tuple[Difference, ...] = ()
    renamed_from: str = ""
    """Of ``rename``: the name under which the same app is there."""


class Plan(msgspec.Struct, frozen=True):
    """What is to be done to all apps of a file, in its order, and to those that it declared before."""

    apps: tuple[AppPlan, ...] = ()
    left: tuple[str, ...] = ()
    """Apps that came from this file, that it declares no more, and that stay."""

    @property
    def gone(self) -> list[str]:
        """Names of the apps that have to go before the others come."""
        return [each.renamed_from or each.app for each in self.apps if each.action in ("remove", "rename")]

    @property
    def is_empty(self) -> bool:
        """Whether all is as the file says."""
        return all(each.action == "keep" for each in self.apps)


def make_plan(
    declared: Sequence[AppSpec],
    present: Mapping[str, Present],
    source: str | None = None,
    *,
    prune: bool = False,
) -> Plan:
    """Compare what is declared with what is there.

    ``source``: the file that declares it; with ``prune``, what came from it and is not declared any more
    goes, and an app that is the same but for its name is one that was renamed.
    """
    names = {spec.name for spec in declared}
    rest = [
        name for name, app in present.items() if source and app.spec.source == source and name not in names
    ]
    plans = []
    for spec in declared:
        found = present.get(spec.name)
        if found is not None:
            plans.append(_changed(spec, found))
            continue
        former = next((name for name in rest if _is_same(spec, present[name].spec)), "") if prune else ""
        if former:
            rest.remove(former)
            before = present[former].spec.instances
            plans.append(AppPlan(spec.name, "rename", before, spec.instances, renamed_from=former))
        else:
            plans.append(AppPlan(spec.name, "add", 0, spec.instances))
    if not prune:
        return Plan(tuple(plans), tuple(rest))
    plans += [AppPlan(name, "remove", present[name].spec.instances, 0) for name in rest]
    return Plan(tuple(plans))


def changed_keys(old: AppSpec, new: AppSpec) -> list[str]:
    """The keys of the file in which two declarations differ."""
    return _names(differences(old, new))


def needs_restart(old: AppSpec, new: AppSpec) -> list[str]:
    """Those of the changed keys that hold only from the next run on."""
    return _names([each for each in differences(old, new) if each.restart])


def is_down(status: str, desired: str, *, is_job: bool) -> bool:
    """Whether it takes a start to have an instance up: it rests, or is on its way there."""
    if status == "stopping":
        return desired == "down"
    if status == "exited" and is_job and desired == "up":  # its schedule starts it
        return False
    return status in ("stopped", "errored", "exited", "held")


def fault_of_declaration(declared: Sequence[AppSpec], present: Mapping[str, AppSpec]) -> str | None:
    """Why these cannot be declared beside what is there; ``None``: they can."""
    names = [spec.name for spec in declared]
    twice = sorted({name for name in names if names.count(name) > 1}) if len({*names}) < len(names) else []
    if twice:
        return f"declared twice: {', '.join(twice)}"
    for spec in declared:
        if fault := fault_of(spec):
            return f"{spec.name}: {fault}"
    graph = {name: spec.depends_on for name, spec in present.items()}
    graph |= {spec.name: spec.depends_on for spec in declared}
    for spec in declared:
        for name in spec.depends_on:
            if name not in graph:
                return f"{spec.name} depends on {name}, and there is no such app"
    if cycle := find_cycle(graph):
        return f"apps depend on each other in a circle: {' -> '.join(cycle)}"
    return None


def _changed(spec: AppSpec, found: Present) -> AppPlan:
    differing = tuple(each for each in differences(found.spec, spec) if each.path != "instances")
    before, after = found.spec.instances, spec.instances
    return AppPlan(spec.name, _step(spec, found, differing), before, after, differing)


def _step(spec: AppSpec, found: Present, differing: Sequence[Difference]) -> Step:
    runs = found.spec.instances - found.down
    # A job is not disturbed: what has changed holds from its next run on.
    if runs > 0 and spec.schedule is None and any(each.restart for each in differing):
        return "restart"
    if differing:
        return "change"
    if found.spec.instances != spec.instances:
        return "scale"
    return "start" if found.down and spec.autostart else "keep"


def _is_same(spec: AppSpec, other: AppSpec) -> bool:
    return msgspec.structs.replace(other, name=spec.name) == spec


def _names(found: Sequence[Difference]) -> list[str]:
    """Each key once; a variable or a field of a table stands for the whole."""
    return list(dict.fromkeys(_whole(each) for each in found))


def _whole(found: Difference) -> str:
    return "env" if found.path.startswith("env.") else found.key
