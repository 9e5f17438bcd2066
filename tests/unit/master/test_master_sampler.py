"""When trees are measured, and what follows: on a fake loop, with fake figures."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

import pytest
from fakes import SPEC, FakeLoop, new_engine, new_instance
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Signal
from pypm.core.instance import Status
from pypm.core.spec import CpuLimit, LimitSpec
from pypm.master.sampler import Sampler
from pypm.master.usage_history import UsageHistory, new_history
from pypm.system.meter import TreeUsage
from pypm.system.usage import WholeUsage
from pypm.testing import FakeClock

MIB = 2**20
LIMITED = replace(SPEC, max_memory=100 * MIB)


class Measured:
    """A sampler on a fake kernel: ``usage`` is what the main process ``pid`` uses."""

    def __init__(self) -> None:
        self.clock = FakeClock(1000.0)
        self.loop = FakeLoop(self.clock)
        self.engine, self.executor = new_engine(self.clock)
        self.usage: dict[int, TreeUsage] = {}
        self.shared: dict[int, int] = {}
        """Of the memory of a tree what counts more than once."""
        self.passes: list[float] = []
        self.closely: list[float] = []
        """When it was looked closely."""
        self.takes = 0.0
        """Seconds that this takes."""
        self.followed: set[int] = set()
        self.file = new_history()
        self.history = UsageHistory(self.file)
        self.sampler = Sampler(self.engine, self.loop, self.clock, self, self.history)  # type: ignore[arg-type]

    def follow(self, roots: Collection[int]) -> None:
        self.followed = set(roots)

    def measure(self, roots: Collection[int]) -> dict[int, TreeUsage]:
        assert set(roots) <= self.followed
        self.passes.append(self.clock())
        return {pid: self.usage[pid] for pid in roots if pid in self.usage}

    def proportional(self, roots: Collection[int]) -> int | None:
        self.closely.append(self.clock())
        self.clock.advance(self.takes)
        if not all(pid in self.shared for pid in roots):
            return None
        return sum(self.usage[pid].memory - self.shared[pid] for pid in roots)

    def whole(self, roots: Collection[int]) -> WholeUsage:
        return WholeUsage(None, None, None, None)

    def start(self, instance_id: int, spec: object = SPEC) -> int:
        """Start an instance; gives its pid."""
        self.engine.add(new_instance(instance_id, spec))  # type: ignore[arg-type]
        self.engine.handle(instance_id, ev.StartRequested())
        run = self.engine.instances[instance_id].run
        assert run is not None
        return run.pid


@pytest.fixture
def measured() -> Iterator[Measured]:
    measured = Measured()
    yield measured
    os.close(measured.file)


def used(mib: float, cpu: float = 0.0, processes: int = 1) -> TreeUsage:
    return TreeUsage(int(mib * MIB), cpu, processes, processes)


def test_with_a_limit_every_second_without_one_seldom(measured: Measured) -> None:
    measured.start(0)
    measured.loop.run(300)
    assert len(measured.passes) == 30
    measured.start(1, LIMITED)
    measured.passes.clear()
    measured.loop.run(30)
    assert len(measured.passes) == 30
    measured.engine.handle(1, ev.StopRequested())
    measured.loop.run(10)
    measured.passes.clear()
    measured.loop.run(300)
    assert len(measured.passes) == 30


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
    measured.usage[pid] = used(100, 0.0, 1)
    measured.loop.run(60)
    assert measured.engine.instances[0].restarts == 0, "as much as it may"
    measured.usage[pid] = used(100.000001, 0.0, 3)
    measured.loop.run(1.1)
    instance = measured.engine.instances[0]
    assert (instance.status, instance.reason) == (Status.ONLINE, "restarted: memory 101M > 100M")
    assert measured.executor.kinds(0).count("Signal") == 1


def test_a_run_that_is_being_stopped_is_left_alone(measured: Measured) -> None:
    measured.executor.obedient = False
    pid = measured.start(0, LIMITED)
    measured.usage[pid] = used(200, 0.0, 1)
    measured.engine.handle(0, ev.StopRequested())
    measured.loop.run(30)
    assert measured.engine.instances[0].stop_reason == "stopped by operator"


def test_an_answer_is_fresh_but_no_storm_of_questions_is_one_of_passes(measured: Measured) -> None:
    pid = measured.start(0)
    measured.clock.advance(5.0)
    measured.usage[pid] = used(7, 1.0, 1)
    instance = measured.engine.instances[0]
    for _ in range(100):
        sample = measured.sampler.of(instance)
    assert sample is not None
    assert sample.memory == 7 * MIB
    assert len(measured.passes) == 1
    measured.usage[pid] = used(9, 1.0, 1)
    measured.clock.advance(1.5)
    sample = measured.sampler.of(instance)
    assert sample is not None
    assert sample.memory == 9 * MIB


def test_cpu_is_what_was_used_since_the_sample_before(measured: Measured) -> None:
    pid = measured.start(0)
    instance = measured.engine.instances[0]
    measured.clock.advance(10.0)
    measured.usage[pid] = used(1, 5.0, 1)
    first = measured.sampler.of(instance)
    assert first is not None
    assert first.percent == pytest.approx(50.0), "since it began"
    measured.clock.advance(10.0)
    measured.usage[pid] = used(1, 25.0, 4)
    second = measured.sampler.of(instance)
    assert second is not None
    assert second.percent == pytest.approx(200.0)
    measured.clock.advance(10.0)
    measured.usage[pid] = used(1, 20.0, 4)  # a child that was not waited for took its time with it
    third = measured.sampler.of(instance)
    assert third is not None
    assert third.percent == 0.0


def test_the_sample_of_one_run_is_not_the_next_ones(measured: Measured) -> None:
    pid = measured.start(0)
    measured.clock.advance(10.0)
    measured.usage[pid] = used(1, 9.0, 1)
    assert measured.sampler.of(measured.engine.instances[0]) is not None
    measured.engine.handle(0, ev.RestartRequested())
    assert measured.sampler.of(measured.engine.instances[0]) is None
    measured.clock.advance(1.0)
    run = measured.engine.instances[0].run
    assert run is not None
    measured.usage[run.pid] = used(1, 0.5, 1)
    sample = measured.sampler.of(measured.engine.instances[0])
    assert sample is not None
    assert sample.percent == pytest.approx(50.0)
    measured.engine.handle(0, ev.StopRequested())
    assert measured.sampler.of(measured.engine.instances[0]) is None


# --- near to the limit ---


def test_what_grows_is_seen_soon_after_it_has_passed_its_limit(measured: Measured) -> None:
    measured.executor.obedient = False
    pid = measured.start(0, LIMITED)
    measured.usage[pid] = used(20)
    measured.loop.run(10.3)
    for step in range(200):  # 200 MB a second
        measured.usage[pid] = used(20 + 2 * step)
        measured.loop.run(0.01)
        if measured.engine.instances[0].status is Status.STOPPING:
            break
    assert measured.engine.instances[0].status is Status.STOPPING
    assert 20 + 2 * step <= 120


def test_only_those_near_to_their_limit_are_looked_at_more_often(measured: Measured) -> None:
    near, far = measured.start(0, LIMITED), measured.start(1, replace(LIMITED, max_memory=1000 * MIB))
    measured.usage |= {near: used(79), far: used(1)}
    looks: list[set[int]] = []
    measure = measured.measure

    def counted(roots: Collection[int]) -> dict[int, TreeUsage]:
        looks.append(set(roots))
        return measure(roots)

    measured.measure = counted  # type: ignore[method-assign]
    measured.loop.run(20)
    assert 15 <= sum(far in each for each in looks) <= 22
    assert 50 <= sum(near in each for each in looks) <= 150
    calm = sum(near in each for each in looks)
    measured.usage[near] = used(1)
    measured.loop.run(2)
    looks.clear()
    measured.loop.run(20)
    assert sum(near in each for each in looks) < calm - 10, "it is far away again"


def test_levels_of_memory_are_told(measured: Measured) -> None:
    pid = measured.start(0, LIMITED)
    measured.usage[pid] = used(85)
    measured.loop.run(30)
    run = measured.engine.instances[0].run
    assert run is not None
    assert run.memory_level == "warn"
    assert measured.executor.kinds(0).count("Tell") == 1
    measured.usage[pid] = used(95)
    measured.loop.run(2)
    assert measured.executor.kinds(0).count("AskToShed") == 1


def test_pages_that_forked_children_share_do_not_count_twice(measured: Measured) -> None:
    pid = measured.start(0, LIMITED)
    measured.usage[pid], measured.shared[pid] = used(500, 0.0, 10), 450 * MIB
    measured.loop.run(30)
    assert measured.engine.instances[0].restarts == 0
    assert measured.closely
    sample = measured.sampler.of(measured.engine.instances[0])
    assert sample is not None
    assert sample.memory == 500 * MIB, "what is shown is what is resident"
    measured.shared[pid] = 390 * MIB
    measured.loop.run(2)
    assert measured.engine.instances[0].reason == "restarted: memory 110M > 100M"


def test_a_close_look_that_takes_long_does_not_let_a_tree_grow_far_beyond_its_limit(
    measured: Measured,
) -> None:
    measured.executor.obedient = False
    pid = measured.start(0, LIMITED)
    measured.takes, measured.shared[pid] = 0.02, MIB
    measured.usage[pid] = used(20, 0.0, 2)
    measured.loop.run(10.3)
    for step in range(300):  # 100 MB a second
        measured.usage[pid] = used(20 + step, 0.0, 2)
        measured.loop.run(0.01)
        if measured.engine.instances[0].status is Status.STOPPING:
            break
    assert measured.engine.instances[0].status is Status.STOPPING
    assert 20 + step <= 110
    assert len(measured.closely) <= 4, "it takes no more of the master's time than it has to"


def test_where_shared_pages_are_not_told_what_is_resident_counts(measured: Measured) -> None:
    pid = measured.start(0, LIMITED)
    measured.usage[pid] = used(101, 0.0, 10)
    measured.loop.run(2)
    assert measured.engine.instances[0].reason == "restarted: memory 101M > 100M"


def test_who_grows_on_while_it_ends_is_killed(measured: Measured) -> None:
    measured.executor.obedient = False
    pid = measured.start(0, LIMITED)
    measured.usage[pid] = used(101)
    measured.loop.run(2)
    assert measured.executor.kinds(0).count("Signal") == 1
    measured.usage[pid] = used(130)
    measured.loop.run(0.5)
    signals = [action for _, action in measured.executor.performed if isinstance(action, Signal)]
    assert [each.signal for each in signals] == ["SIGTERM", "SIGKILL"]


def test_a_busy_processor_is_told_where_that_is_limited(measured: Measured) -> None:
    spec = replace(SPEC, limits=LimitSpec(cpu=CpuLimit(50.0, 20.0)))
    pid = measured.start(0, spec)
    for second in range(60):
        measured.usage[pid] = used(1, second * 0.9)
        measured.loop.run(1)
    assert measured.executor.kinds(0).count("Tell") == 1


# --- the last hour ---


def test_the_last_hour_is_kept_with_its_peaks(measured: Measured) -> None:
    pid = measured.start(0, LIMITED)
    for second in range(100):
        measured.usage[pid] = used(50 if second == 45 else 10, second * 0.25)
        measured.loop.run(1)
    history = measured.sampler.history(0)
    assert history is not None
    assert len(history.memory) == 11
    assert history.end == 1100.0
    assert sorted(filter(None, history.memory))[-2:] == [10 * MIB, 50 * MIB]
    assert history.cpu[-1] == pytest.approx(25.0, abs=0.2)


def test_the_next_master_goes_on_with_the_history(measured: Measured) -> None:
    pid = measured.start(0)
    measured.usage[pid] = used(10, 5.0)
    measured.loop.run(100)
    again = UsageHistory(measured.file)
    history = again.read(0, measured.clock())
    assert history is not None
    assert history.memory[1:] == [10 * MIB] * (len(history.memory) - 1)
    again.keep([])
    assert UsageHistory(measured.file).read(0, measured.clock()) is None


def test_a_leak_is_a_trend_of_the_present_run(measured: Measured) -> None:
    pid = measured.start(0, LIMITED)
    instance = measured.engine.instances[0]
    for second in range(200):
        measured.usage[pid] = used(10 + second * 0.1)
        measured.loop.run(1)
    trend = measured.sampler.trend(instance)
    assert trend is not None
    assert trend.slope == pytest.approx(0.1 * MIB, rel=0.05)
    assert trend.reaches_limit_in == pytest.approx(700, rel=0.05)
    measured.engine.handle(0, ev.RestartRequested())
    measured.loop.run(5)
    assert measured.sampler.trend(measured.engine.instances[0]) is None


def test_an_instance_that_is_gone_leaves_its_place_to_others(measured: Measured) -> None:
    for number in range(50):
        pid = measured.start(number)
        measured.usage[pid] = used(1)
        measured.loop.run(20)
        measured.engine.handle(number, ev.DeleteRequested())
        measured.loop.run(1)
        assert measured.sampler.history(number) is None
    assert os.fstat(measured.file).st_size < 2 * 5000
