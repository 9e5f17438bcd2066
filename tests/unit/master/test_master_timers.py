"""Deadlines of the boot clock: each fires once, at its time, and not after it was replaced."""

from __future__ import annotations

from fakes import FakeLoop

from pypm.master.timers import Timers
from pypm.testing import FakeClock


class Fixture:
    def __init__(self) -> None:
        self.clock = FakeClock(100.0)
        self.loop = FakeLoop(self.clock)
        self.fired: list[tuple[float, int, float]] = []
        self.timers = Timers(
            self.loop,  # type: ignore[arg-type]
            self.clock,
            lambda key, deadline: self.fired.append((self.clock(), key, deadline)),
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

    def again(key: int, deadline: float) -> None:
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
    timers = Timers(this.loop, boot, lambda key, deadline: fired.append(deadline))  # type: ignore[arg-type]
    timers.arm(1, 100.0 + 3600.0)
    boot.advance(3600.0)
    this.loop.run(31.0)
    assert fired == [3700.0], "noticed within half a minute of being awake"


def test_a_loop_that_wakes_early_does_not_fire_early() -> None:
    boot = FakeClock(100.0)
    this = Fixture()
    fired: list[float] = []
    timers = Timers(this.loop, boot, lambda key, deadline: fired.append(boot()))  # type: ignore[arg-type]
    timers.arm(1, 105.0)
    boot.now = 104.999  # the loop's five seconds were a bit short
    real_clock = this.loop.run
    real_clock(5.0)
    assert fired == []
    boot.now = 105.0
    real_clock(0.1)
    assert fired == [105.0]
