"""Looks at runs while they go on: tasks are counted, namespaces are added up."""

from __future__ import annotations

from typing import Any

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
    def folder_of(self, instance_id: int) -> str:
        return ""


class World:
    """An engine with instances, and what they use; nothing ends that is told to."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.loop = FakeLoop(self.clock)
        executor = FakeExecutor(obedient=False)
        self.engine = executor.engine = Engine(executor, self.clock)
        self.uses: dict[int, tuple[int, int]] = {}
        self.asked = 0
        self.specs: list[AppSpec] = []
        limits = KernelLimits(Groups("", "there are none"), lambda: self.specs)
        parts: tuple[Any, ...] = (self.loop, self.engine, self, limits, FakeTrees())
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
