"""Looks at runs while they go on: tasks are counted, namespaces are added up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fake_cgroups import FakeCgroups
from fakes import FakeExecutor, FakeLoop, new_instance
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.instance import Instance, Status
from pypm.core.spec import AppSpec, LimitSpec, NamespaceLimits
from pypm.master.engine import Engine
from pypm.master.kernel_limits import KernelLimits
from pypm.master.limit_watch import LimitWatch
from pypm.system.cgroup import Groups
from pypm.testing import FakeClock

MIB = 2**20


class FakeSample:
    def __init__(self, run_id: str, memory: int, threads: int) -> None:
        self.run_id, self.memory, self.threads = run_id, memory, threads


class FakeTrees:
    """Knows in which groups runs are."""

    def __init__(self) -> None:
        self.folders: dict[int, str] = {}

    def folder_of(self, instance_id: int) -> str:
        return self.folders.get(instance_id, "")

    def take_in(self, instance: Instance, folder: str) -> None:
        self.folders[instance.id] = folder


class World:
    """An engine with instances, and what they use; nothing ends that is told to."""

    def __init__(self, groups: Groups | None = None) -> None:
        self.clock = FakeClock()
        self.loop = FakeLoop(self.clock)
        executor = FakeExecutor(obedient=False)
        self.engine = executor.engine = Engine(executor, self.clock)
        self.uses: dict[int, tuple[int, int]] = {}
        self.asked = 0
        self.specs: list[AppSpec] = []
        self.groups = groups or Groups("", "there are none")
        self.limits = KernelLimits(self.groups, lambda: self.specs)
        self.trees = FakeTrees()
        parts: tuple[Any, ...] = (self.loop, self.engine, self, self.limits, self.trees)
        self.watch = LimitWatch(*parts)

    def of(self, instance: Instance) -> FakeSample | None:
        self.asked += 1
        assert instance.run is not None
        return FakeSample(instance.run.run_id, *self.uses.get(instance.id, (0, 1)))

    def start(self, instance_id: int, **fields: Any) -> None:
        spec = AppSpec(f"app{instance_id}", ("/bin/agent",), "/", **fields)
        self.specs.append(spec)
        self.watch.declared(spec.name, spec)
        self.engine.add(new_instance(instance_id, spec))
        self.engine.handle(instance_id, ev.StartRequested())

    def change(self, instance_id: int, **fields: Any) -> None:
        """As ``apply`` does where a change takes no new run."""
        spec = replace(self.engine.instances[instance_id].spec, **fields)
        self.specs = [spec if each.name == spec.name else each for each in self.specs]
        self.watch.declared(spec.name, spec)
        self.engine.handle(instance_id, ev.SpecChanged(spec))

    def status(self, instance_id: int) -> Status:
        return self.engine.instances[instance_id].status

    def reason(self, instance_id: int) -> str:
        return self.engine.instances[instance_id].reason


def test_more_tasks_than_there_may_be_end_the_run() -> None:
    world = World()
    world.start(0, limits=LimitSpec(tasks=8))
    world.uses[0] = (0, 8)
    world.loop.run(3.0)
    assert world.status(0) is Status.ONLINE
    world.uses[0] = (0, 9)
    world.loop.run(1.5)
    assert world.status(0) is Status.STOPPING
    assert world.reason(0) == "9 tasks > 8"


def test_the_one_that_uses_most_of_its_namespace_goes_and_the_others_wait_for_that() -> None:
    world = World()
    shared = NamespaceLimits(memory=100 * MIB)
    for number, memory in ((0, 30 * MIB), (1, 40 * MIB), (2, 20 * MIB)):
        world.start(number, namespace="team", namespace_limits=shared)
        world.uses[number] = (memory, 1)
    world.start(3, max_memory=None)
    world.uses[3] = (900 * MIB, 1)
    world.loop.run(3.0)
    assert {world.status(number) for number in range(4)} == {Status.ONLINE}
    world.uses[0] = (45 * MIB, 1)
    world.loop.run(5.0)
    assert [world.status(number) for number in range(4)] == [
        Status.STOPPING,
        Status.ONLINE,
        Status.ONLINE,
        Status.ONLINE,
    ]
    assert world.reason(0) == "the namespace team uses 105M of memory, of 100M, and this one most of it"


def test_limits_that_come_later_hold_at_once() -> None:
    world = World()
    world.start(0, namespace="team")
    world.uses[0] = (0, 50)
    world.loop.run(5.0)
    assert world.asked == 0, "where nothing is limited nothing is measured"
    spec = replace(world.specs[0], namespace_limits=NamespaceLimits(tasks=40))
    world.specs = [spec]
    world.watch.declared(spec.name, spec)
    world.engine.handle(0, ev.SpecChanged(spec))
    world.loop.run(2.0)
    assert world.status(0) is Status.STOPPING


def test_nothing_is_looked_at_when_nothing_runs() -> None:
    world = World()
    world.start(0, limits=LimitSpec(tasks=8))
    world.loop.run(2.0)
    run = world.engine.instances[0].run
    assert run is not None
    world.engine.handle(0, ev.StopRequested(by="a test"))
    world.engine.handle(0, ev.Exited(run.run_id, code=0))
    world.loop.run(2.0)
    assert world.loop.pending == 0


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which the kernel has all controllers."""
    kernel = FakeCgroups(tmp_path / "cgroup", "cpu memory pids", monkeypatch)
    return World(kernel.prepare(kernel.group("unit", os.getpid())))


def held(world: World, instance_id: int) -> list[str]:
    """What the group of a run says now: memory, tasks, CPU."""
    folder = Path(world.trees.folders[instance_id])
    return [(folder / name).read_text().strip() for name in ("memory.max", "pids.max", "cpu.max")]


def test_changed_limits_reach_the_group_of_a_run_that_goes_on(limited: World) -> None:
    first = LimitSpec(tasks=8, cpu_max=0.5)
    limited.start(0, limits=first, max_memory=100 * MIB)
    limited.trees.folders[0] = limited.limits.prepare(limited.engine.instances[0])
    before = limited.engine.instances[0].run
    assert held(limited, 0) == [str(125 * MIB), "8", "50000 100000"]
    limited.change(0, limits=LimitSpec(tasks=20, cpu_max=1.5), max_memory=200 * MIB)
    assert held(limited, 0) == [str(250 * MIB), "20", "150000 100000"]
    limited.change(0, limits=LimitSpec(), max_memory=None)
    assert held(limited, 0) == ["max", "max", "max 100000"]
    assert limited.engine.instances[0].run == before


def test_changed_limits_of_a_namespace_reach_its_group(limited: World) -> None:
    limited.start(0, namespace="team", namespace_limits=NamespaceLimits(tasks=40))
    limited.trees.folders[0] = limited.limits.prepare(limited.engine.instances[0])
    limited.change(0, namespace_limits=NamespaceLimits(tasks=60, cpu_max=2.0))
    above = Path(limited.groups.namespace_path("team"))
    assert (above / "pids.max").read_text().strip() == "60"
    assert (above / "cpu.max").read_text().strip() == "200000 100000"


@pytest.mark.parametrize("is_in_one", [True, False])
def test_the_first_limits_of_a_run_that_goes_on_hold_at_once(limited: World, is_in_one: bool) -> None:
    limited.start(0)
    if is_in_one:
        limited.trees.folders[0] = limited.groups.make(0) or ""
    else:
        assert limited.trees.folder_of(0) == "", "as with treekill = false"
    limited.change(0, limits=LimitSpec(tasks=20, cpu_max=0.5), max_memory=8 * MIB)
    assert held(limited, 0) == [str(10 * MIB), "20", "50000 100000"]
