"""When trees are measured, and what follows: on a fake loop, with fake figures."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from fakes import SPEC, FakeLoop, new_engine, new_instance
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.instance import Status
from pypm.master import sampler as sampler_module
from pypm.master.sampler import Sampler
from pypm.system.tree import TreeUsage
from pypm.testing import FakeClock

MIB = 2**20
LIMITED = replace(SPEC, max_memory=100 * MIB)


class Measured:
    """A sampler on a fake kernel: ``usage`` is what the main process ``pid`` uses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = FakeClock(1000.0)
        self.loop = FakeLoop(self.clock)
        self.engine, self.executor = new_engine(self.clock)
        self.usage: dict[int, TreeUsage] = {}
        self.passes: list[float] = []
        monkeypatch.setattr(sampler_module, "measure_trees", self.measure)
        self.sampler = Sampler(self.engine, self.loop, self.clock)  # type: ignore[arg-type]

    def measure(self, roots: Collection[int]) -> dict[int, TreeUsage]:
        self.passes.append(self.clock())
        return {pid: self.usage[pid] for pid in roots if pid in self.usage}

    def start(self, instance_id: int, spec: object = SPEC) -> int:
        """Start an instance; gives its pid."""
        self.engine.add(new_instance(instance_id, spec))  # type: ignore[arg-type]
        self.engine.handle(instance_id, ev.StartRequested())
        run = self.engine.instances[instance_id].run
        assert run is not None
        return run.pid


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    return Measured(monkeypatch)


def test_with_a_limit_every_second_without_one_seldom(measured: Measured) -> None:
    measured.start(0)
    measured.loop.run(300)
    assert len(measured.passes) == 10
    measured.start(1, LIMITED)
    measured.passes.clear()
    measured.loop.run(30)
    assert len(measured.passes) == 30
    measured.engine.handle(1, ev.StopRequested())
    measured.loop.run(10)
    measured.passes.clear()
    measured.loop.run(300)
    assert len(measured.passes) == 10


def test_where_nothing_runs_nothing_is_measured_and_nothing_wakes(measured: Measured) -> None:
    measured.start(0, LIMITED)
    measured.engine.handle(0, ev.StopRequested())
    measured.loop.run(60)
    measured.passes.clear()
    measured.loop.run(3600)
    assert measured.passes == []
    assert measured.loop.pending == 0


def test_over_the_limit_is_told_with_the_figure(measured: Measured) -> None:
    pid = measured.start(0, LIMITED)
    measured.usage[pid] = TreeUsage(100 * MIB, 0.0, 1)
    measured.loop.run(60)
    assert measured.engine.instances[0].restarts == 0, "as much as it may"
    measured.usage[pid] = TreeUsage(100 * MIB + 1, 0.0, 3)
    measured.loop.run(1.1)
    instance = measured.engine.instances[0]
    assert (instance.status, instance.reason) == (Status.ONLINE, "restarted: memory 101M > 100M")
    assert measured.executor.kinds(0).count("Signal") == 1


def test_a_run_that_is_being_stopped_is_left_alone(measured: Measured) -> None:
    measured.executor.obedient = False
    pid = measured.start(0, LIMITED)
    measured.usage[pid] = TreeUsage(200 * MIB, 0.0, 1)
    measured.engine.handle(0, ev.StopRequested())
    measured.loop.run(30)
    assert measured.engine.instances[0].stop_reason == "stopped by operator"


def test_an_answer_is_fresh_but_no_storm_of_questions_is_one_of_passes(measured: Measured) -> None:
    pid = measured.start(0)
    measured.clock.advance(5.0)
    measured.usage[pid] = TreeUsage(7 * MIB, 1.0, 1)
    instance = measured.engine.instances[0]
    for _ in range(100):
        sample = measured.sampler.of(instance)
    assert sample is not None
    assert sample.memory == 7 * MIB
    assert len(measured.passes) == 1
    measured.usage[pid] = TreeUsage(9 * MIB, 1.0, 1)
    measured.clock.advance(1.5)
    sample = measured.sampler.of(instance)
    assert sample is not None
    assert sample.memory == 9 * MIB


def test_cpu_is_what_was_used_since_the_sample_before(measured: Measured) -> None:
    pid = measured.start(0)
    instance = measured.engine.instances[0]
    measured.clock.advance(10.0)
    measured.usage[pid] = TreeUsage(MIB, 5.0, 1)
    first = measured.sampler.of(instance)
    assert first is not None
    assert first.percent == pytest.approx(50.0), "since it began"
    measured.clock.advance(10.0)
    measured.usage[pid] = TreeUsage(MIB, 25.0, 4)
    second = measured.sampler.of(instance)
    assert second is not None
    assert second.percent == pytest.approx(200.0)
    measured.clock.advance(10.0)
    measured.usage[pid] = TreeUsage(MIB, 20.0, 4)  # a child that was not waited for took its time with it
    third = measured.sampler.of(instance)
    assert third is not None
    assert third.percent == 0.0


def test_the_sample_of_one_run_is_not_the_next_ones(measured: Measured) -> None:
    pid = measured.start(0)
    measured.clock.advance(10.0)
    measured.usage[pid] = TreeUsage(MIB, 9.0, 1)
    assert measured.sampler.of(measured.engine.instances[0]) is not None
    measured.engine.handle(0, ev.RestartRequested())
    assert measured.sampler.of(measured.engine.instances[0]) is None
    measured.clock.advance(1.0)
    run = measured.engine.instances[0].run
    assert run is not None
    measured.usage[run.pid] = TreeUsage(MIB, 0.5, 1)
    sample = measured.sampler.of(measured.engine.instances[0])
    assert sample is not None
    assert sample.percent == pytest.approx(50.0)
    measured.engine.handle(0, ev.StopRequested())
    assert measured.sampler.of(measured.engine.instances[0]) is None
