"""What the apps of a namespace may use together, and who goes when it is too much."""

from __future__ import annotations

from pypm.core import events as ev
from pypm.core.instance import After, Instance, Run, Status
from pypm.core.namespaces import Usage, excess, limit_passed, limits_of_namespaces
from pypm.core.spec import AppSpec, NamespaceLimits

MIB = 2**20


def app(name: str, namespace: str, limits: NamespaceLimits | None) -> AppSpec:
    return AppSpec(name, ("/bin/true",), "/", namespace=namespace, namespace_limits=limits)


def test_only_namespaces_with_limits_have_some():
    apps = [app("a", "x", None), app("b", "y", NamespaceLimits(tasks=5)), app("c", "y", None)]
    assert limits_of_namespaces(apps) == {"y": NamespaceLimits(tasks=5)}


def test_of_what_several_files_say_the_smaller_figure_holds():
    one = NamespaceLimits(memory=100, tasks=9, cpu_max=2.0)
    other = NamespaceLimits(memory=200, tasks=5, enforce="best_effort")
    expected = {"x": NamespaceLimits(memory=100, tasks=5, cpu_max=2.0, enforce="best_effort")}
    assert limits_of_namespaces([app("a", "x", one), app("b", "x", other)]) == expected
    assert limits_of_namespaces([app("b", "x", other), app("a", "x", one)]) == expected


def test_who_uses_most_of_what_is_scarce_goes():
    limits = NamespaceLimits(memory=300 * MIB, tasks=50)
    usage = {1: Usage(100 * MIB, 40), 2: Usage(150 * MIB, 5), 3: Usage(40 * MIB, 5)}
    assert excess(limits, usage) is None
    more_memory = {**usage, 3: Usage(60 * MIB, 5)}
    found = excess(limits, more_memory)
    assert found is not None
    assert (found.instance, found.cause) == (2, "memory")
    assert found.used_words == "310M of memory, of 300M"
    more_tasks = {**usage, 3: Usage(40 * MIB, 6)}
    found = excess(limits, more_tasks)
    assert found is not None
    assert (found.instance, found.used_words) == (1, "51 tasks of 50")


def test_of_equals_the_newest_goes():
    found = excess(NamespaceLimits(tasks=9), {1: Usage(0, 5), 2: Usage(0, 5)})
    assert found is not None
    assert found.instance == 2


def test_without_a_limit_or_without_members_nobody_goes():
    assert excess(NamespaceLimits(cpu_max=1.0), {1: Usage(10**12, 10**6)}) is None
    assert excess(NamespaceLimits(memory=1, tasks=1), {}) is None


def test_who_has_to_go_is_stopped_in_good_order_and_its_policy_decides():
    spec = app("a", "x", None)
    run = Run("r1", "token", 77, 1, started=0.0)
    online = Instance(0, "a", 0, 0.0, 0.0, spec, status=Status.ONLINE, run=run)
    stopped, actions = limit_passed(online, ev.LimitPassed("r1", "9 tasks > 8", "tasks"), 5.0)
    assert (stopped.status, stopped.after) == (Status.STOPPING, After.DECIDE)
    assert (stopped.reason, stopped.stop_cause) == ("9 tasks > 8", "tasks")
    assert actions != []
