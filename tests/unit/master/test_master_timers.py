"""Deadlines of the boot clock: each fires once, at its time, and not after it was replaced."""

from __future__ import annotations

import pytest
from fakes import FakeLoop

from pypm.master.timers import LONGEST_WAIT, Timers
from pypm.testing import FakeClock


class Fixture:
    def __init__(self) -> None:
        self.clock = FakeClock(100.0)
        self.loop = FakeLoop(self.clock)
        self.fired: list[tuple[float, int, float]] = []
        self.timers = Timers(
            self.loop,  # type: ignore[arg-type]
            self.clock,
            lambda key, deadline, _: self.fired.append((self.clock(), key, deadline)),
        )


def test_each_fires_once_at_its_time() -> None:
    this = Fixture()
    this.timers.arm(1, 105.0)
    this.timers.arm(2, 103.0)
    this.timers.arm(3, 104.0)
    this.loop.run(100)
    assert this.fired == [(103.0, 2, 103.0), (104.0, 3, 104.0), (105.0, 1, 105.0)]
    assert this.loop.pending == 0, "without deadlines nothing wakes"


def test_one_that_is_over_fires_at_once_but_not_inside_the_call() -> None:
    this = Fixture()
    this.timers.arm(1, 50.0)
    assert this.fired == []
    this.loop.run(0)
    assert this.fired == [(100.0, 1, 50.0)]


def test_a_new_deadline_replaces_the_old_one() -> None:
    this = Fixture()
    this.timers.arm(1, 103.0)
    this.timers.arm(1, 110.0)
    this.timers.arm(2, 110.0)
    this.timers.arm(2, 103.0)
    this.loop.run(100)
    assert this.fired == [(103.0, 2, 103.0), (110.0, 1, 110.0)]


def test_the_same_deadline_twice_fires_once() -> None:
    this = Fixture()
    this.timers.arm(1, 103.0)
    this.timers.arm(1, 103.0)
    this.loop.run(10)
    assert len(this.fired) == 1


def test_a_cancelled_one_does_not_fire() -> None:
    this = Fixture()
    this.timers.arm(1, 103.0)
    this.timers.arm(2, 104.0)
    this.timers.cancel(1)
    this.timers.cancel(99)
    this.loop.run(10)
    assert [key for _, key, _ in this.fired] == [2]


def test_who_fires_may_arm_again() -> None:
    this = Fixture()
    times: list[float] = []

    def again(key: int, deadline: float, _: float) -> None:
        times.append(deadline)
        if len(times) < 5:
            timers.arm(key, deadline + 1.0)

    timers = Timers(this.loop, this.clock, again)  # type: ignore[arg-type]
    timers.arm(1, 101.0)
    this.loop.run(10)
    assert times == [101.0, 102.0, 103.0, 104.0, 105.0]


def test_time_that_passed_in_suspend_counts() -> None:
    """The loop's clock stands still in suspend, the boot clock does not."""
    boot = FakeClock(100.0)
    this = Fixture()
    fired: list[float] = []
    timers = Timers(this.loop, boot, lambda key, deadline, _: fired.append(deadline))  # type: ignore[arg-type]
    timers.arm(1, 100.0 + 3600.0)
    boot.advance(3600.0)
    this.loop.run(31.0)
    assert fired == [3700.0], "noticed soon after being awake again"


def test_a_loop_that_wakes_early_does_not_fire_early() -> None:
    boot = FakeClock(100.0)
    this = Fixture()
    fired: list[float] = []
    timers = Timers(this.loop, boot, lambda key, deadline, _: fired.append(boot()))  # type: ignore[arg-type]
    timers.arm(1, 105.0)
    boot.now = 104.999  # the loop's five seconds were a bit short
    real_clock = this.loop.run
    real_clock(5.0)
    assert fired == []
    boot.now = 105.0
    real_clock(0.1)
    assert fired == [105.0]


class Machine:
    """A boot clock and a loop's clock that differ by what was slept, and what a deadline is told of that."""

    def __init__(self) -> None:
        self.boot = FakeClock(5000.0)
        self.awake = FakeClock(100.0)
        self.loop = FakeLoop(self.awake)
        self.fired: list[tuple[int, float]] = []
        self.timers = Timers(self.loop, self.boot, self._fire)  # type: ignore[arg-type]

    def _fire(self, key: int, deadline: float, paused: float) -> None:
        assert self.boot() >= deadline
        self.fired.append((key, paused))

    def run(self, seconds: float) -> None:
        """Time passes as it should, in small steps."""
        for _ in range(round(seconds * 10)):
            self.boot.advance(0.1)
            self.loop.run(0.1)

    def sleep(self, seconds: float) -> None:
        """The machine is suspended."""
        self.boot.advance(seconds)

    def freeze(self, seconds: float) -> None:
        """All processes are stopped; both clocks go on."""
        self.boot.advance(seconds)
        self.awake.advance(seconds)


def test_a_deadline_that_passed_in_suspend_knows_it() -> None:
    machine = Machine()
    machine.timers.arm(1, machine.boot() + 10.0)
    machine.run(4.0)
    machine.sleep(3600.0)
    machine.run(6.0)
    assert machine.fired == [(1, pytest.approx(3600.0, abs=0.2))]


def test_a_suspend_is_told_to_those_that_it_has_struck_only() -> None:
    machine = Machine()
    machine.timers.arm(1, machine.boot() + 3610.0)
    machine.run(4.0)
    machine.sleep(3600.0)
    machine.timers.arm(2, machine.boot() + 1.0)
    machine.run(10.0)
    assert machine.fired == [(2, 0.0), (1, pytest.approx(3600.0, abs=0.2))]


def test_an_earlier_suspend_is_none_of_a_later_deadline() -> None:
    machine = Machine()
    machine.timers.arm(1, machine.boot() + 1.0)
    machine.run(2.0)
    machine.sleep(3600.0)
    machine.timers.arm(2, machine.boot() + 1.0)
    machine.run(2.0)
    assert machine.fired == [(1, 0.0), (2, 0.0)]


def test_a_deadline_that_passed_while_everything_was_stopped_knows_it() -> None:
    machine = Machine()
    machine.timers.arm(1, machine.boot() + 10.0)
    machine.timers.arm(2, machine.boot() + 100.0)
    machine.run(4.0)
    machine.freeze(60.0)
    machine.run(60.0)
    (first, second) = machine.fired
    assert first == (1, pytest.approx(60.0, abs=LONGEST_WAIT))
    assert second == (2, pytest.approx(60.0, abs=LONGEST_WAIT)), "also where it was not over yet"


def test_what_is_armed_right_after_a_stop_of_everything_is_not_told_of_it() -> None:
    machine = Machine()
    machine.timers.arm(1, machine.boot() + 100.0)
    machine.run(4.0)
    machine.freeze(60.0)
    machine.timers.arm(2, machine.boot() + 1.0)
    machine.run(2.0)
    assert machine.fired == [(2, 0.0)]


def test_a_loop_that_is_merely_busy_makes_no_pause() -> None:
    machine = Machine()
    machine.timers.arm(1, machine.boot() + 4.0)
    machine.run(3.9)
    machine.freeze(1.5)
    machine.run(1.0)
    assert machine.fired == [(1, 0.0)]
