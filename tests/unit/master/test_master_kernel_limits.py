"""What the kernel is told of an app's limits, when it is refused, and what is told when the kernel stops."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fake_cgroups import FakeCgroups
from fakes import new_instance
from msgspec.structs import replace

from pypm.core.instance import Instance, Run
from pypm.core.spec import AppSpec, LimitSpec, NamespaceLimits
from pypm.master.enforcement import enforcements
from pypm.master.kernel_limits import KernelLimits
from pypm.system import cgroup
from pypm.system.cgroup import Groups
from pypm.system.spawn_error import SpawnError

MIB = 2**20
LIMITS = LimitSpec(tasks=9, cpu_max=0.5)


class Told:
    """A home's limits, the apps that there are, and what was told of them."""

    def __init__(self, groups: Groups) -> None:
        self.groups = groups
        self.apps: list[AppSpec] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.limits = KernelLimits(groups, lambda: self.apps)
        self.limits.record = lambda event, **facts: self.events.append((event, facts))

    def instance(self, **fields: Any) -> Instance:
        spec = AppSpec("a", ("/bin/agent",), "/", **fields)
        self.apps = [spec]
        self.limits.declared()
        run = Run("r1", "token", 77, 1, started=0.0)
        return replace(new_instance(3, spec), run=run)

    def names(self) -> list[str]:
        return [event for event, _ in self.events]


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCgroups:
    return FakeCgroups(tmp_path / "cgroup", "cpu memory pids", monkeypatch)


@pytest.fixture
def told(kernel: FakeCgroups) -> Told:
    return Told(kernel.prepare(kernel.group("unit", os.getpid())))


def text(path: str, name: str) -> str:
    return Path(path, name).read_text().strip()


def test_an_app_without_limits_needs_no_group_and_moves_nobody(kernel: FakeCgroups, told: Told) -> None:
    assert told.limits.prepare(told.instance()) == ""
    assert (kernel.root / "unit" / "cgroup.procs").read_text() == f"{os.getpid()}\n"


def test_the_group_has_what_the_app_says_and_the_kernel_comes_after_us(told: Told) -> None:
    path = told.limits.prepare(told.instance(limits=LIMITS, max_memory=100 * MIB))
    assert path == told.groups.path(3)
    assert text(path, "memory.high") == str(110 * MIB)
    assert text(path, "memory.max") == str(125 * MIB)
    assert (text(path, "pids.max"), text(path, "cpu.max")) == ("9", "50000 100000")
    assert told.events == []


def test_the_next_run_without_limits_has_none(told: Told) -> None:
    path = told.limits.prepare(told.instance(limits=LIMITS))
    assert told.limits.prepare(told.instance()) == path
    assert (text(path, "pids.max"), text(path, "cpu.max")) == ("max", "max 100000")


@pytest.mark.parametrize("trouble", ["no groups", "no controller"])
def test_a_share_of_cpu_that_nobody_can_hold_to_is_refused(
    kernel: FakeCgroups, told: Told, trouble: str
) -> None:
    if trouble == "no groups":
        told = Told(Groups("", "they are switched off"))
    else:
        kernel.write(f"{kernel.root}/cgroup.subtree_control", "-cpu")
    instance = told.instance(limits=LIMITS)
    words = "they are switched off" if trouble == "no groups" else "has no cpu controller"
    assert words in told.limits.refusal(instance.spec)
    with pytest.raises(SpawnError, match=words):
        told.limits.prepare(instance)
    willing = told.instance(limits=replace(LIMITS, enforce="best_effort"))
    assert told.limits.refusal(willing.spec) == ""
    told.limits.prepare(willing)
    assert told.names() == ["limits.not_enforced"]
    assert words in told.events[0][1]["reason"]


def test_memory_and_tasks_are_looked_at_where_the_kernel_does_not(told: Told) -> None:
    told = Told(Groups("", "they are switched off"))
    assert told.limits.prepare(told.instance(limits=LimitSpec(tasks=9), max_memory=MIB)) == ""
    assert told.events == []


def test_a_change_holds_for_the_run_that_goes_on(told: Told) -> None:
    path = told.limits.prepare(told.instance(limits=LIMITS, max_memory=100 * MIB))
    told.limits.renew(told.instance(limits=replace(LIMITS, tasks=20), max_memory=200 * MIB), path)
    assert (text(path, "pids.max"), text(path, "memory.max")) == ("20", str(250 * MIB))
    told.limits.renew(told.instance(), path)
    assert (text(path, "pids.max"), text(path, "memory.max")) == ("max", "max")
    assert told.events == []


def test_a_namespace_has_a_group_around_those_of_its_apps(told: Told) -> None:
    shared = NamespaceLimits(memory=200 * MIB, tasks=50, cpu_max=1.0)
    path = told.limits.prepare(told.instance(limits=LIMITS, namespace="team", namespace_limits=shared))
    above = os.path.dirname(path)
    assert above == told.groups.namespace_path("team")
    assert (text(above, "memory.max"), text(above, "pids.max")) == (str(250 * MIB), "50")
    assert (text(path, "memory.max"), text(path, "pids.max")) == ("max", "9")
    told.limits.renew(
        told.instance(limits=LIMITS, namespace="team", namespace_limits=replace(shared, tasks=60)), path
    )
    assert text(above, "pids.max") == "60"


def test_what_somebody_has_changed_is_put_right(told: Told) -> None:
    instance = told.instance(limits=LIMITS)
    path = told.limits.prepare(instance)
    Path(path, "pids.max").write_text("max\n")
    told.limits.look(instance, path)
    assert text(path, "pids.max") == "9"
    assert told.events == []


def test_a_controller_that_is_taken_away_is_told_once_and_so_is_its_return(
    kernel: FakeCgroups, told: Told
) -> None:
    instance = told.instance(limits=LIMITS)
    path = told.limits.prepare(instance)
    kernel.write(f"{told.groups.folder}/cgroup.subtree_control", "-pids")
    kernel.refused.add("cgroup.subtree_control")
    told.limits.look(instance, path)
    told.limits.look(instance, path)
    assert told.names() == ["limits.lost"]
    assert told.events[0][1]["limit"] == "tasks"
    kernel.refused.clear()
    told.limits.look(instance, path)
    assert told.names() == ["limits.lost", "limits.held"]
    assert text(path, "pids.max") == "9"


def test_tasks_that_the_kernel_refuses_are_told(told: Told) -> None:
    instance = told.instance(limits=LIMITS)
    path = told.limits.prepare(instance)
    told.limits.look(instance, path)
    Path(path, "pids.events").write_text("max 7\n")
    told.limits.look(instance, path)
    told.limits.look(instance, path)
    assert [(name, facts["refused"], facts["limit"]) for name, facts in told.events] == [
        ("limits.tasks", 7, 9)
    ]


def test_a_kill_of_the_group_is_evidence_of_this_run_only(told: Told) -> None:
    instance = told.instance(max_memory=100 * MIB)
    path = told.limits.prepare(instance)
    assert told.limits.oom_evidence(instance, path) == ""
    Path(path, "memory.events").write_text("oom_kill 1\n")
    assert told.limits.oom_evidence(instance, path) == "out of memory, as its group has counted"
    Path(path, "memory.events.local").write_text("oom 1\n")
    assert "1.25 times its limit (125M)" in told.limits.oom_evidence(instance, path)
    assert told.limits.prepare(instance) == path
    assert told.limits.oom_evidence(instance, path) == "", "the next run has a group that has counted nothing"


def test_the_limit_of_the_namespace_is_told_from_its_own(told: Told) -> None:
    instance = told.instance(namespace="team", namespace_limits=NamespaceLimits(memory=MIB))
    path = told.limits.prepare(instance)
    Path(path, "memory.events").write_text("oom_kill 1\n")
    Path(os.path.dirname(path), "memory.events.local").write_text("oom 1\n")
    assert "its namespace team" in told.limits.oom_evidence(instance, path)


def test_the_table_tells_who_enforces_what(kernel: FakeCgroups, told: Told) -> None:
    table = {each.what: each for each in enforcements(told.groups, told.limits)}
    assert [table[name].by for name in ("memory", "cpu_max", "tasks", "kill")] == ["kernel"] * 4
    assert {"user, group", "nice", "ionice", "cpu_affinity", "sandbox", "oom detection"} <= set(table)
    off = Groups("", "PYPM_CGROUP=no switches them off", kind="unified")
    table = {each.what: each for each in enforcements(off, Told(off).limits)}
    assert [table[name].by for name in ("memory", "cpu_max", "tasks", "kill")] == [
        "pypm",
        "nobody",
        "pypm",
        "pypm",
    ]
    assert "without PYPM_CGROUP=no" in table["cpu_max"].remedy


def test_a_namespace_whose_group_was_removed_is_made_anew_with_its_limits(told: Told) -> None:
    shared = NamespaceLimits(tasks=40)
    instance = told.instance(limits=LIMITS, namespace="team", namespace_limits=shared)
    path = told.limits.prepare(instance)
    assert cgroup.remove(os.path.dirname(path))
    told.limits.look(instance, path)
    assert (text(path, "pids.max"), text(path, "cpu.max")) == ("9", "50000 100000")
    assert text(os.path.dirname(path), "pids.max") == "40"
    assert told.events == []
