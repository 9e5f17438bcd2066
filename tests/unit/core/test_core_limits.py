"""What follows from what a run uses: levels of memory, too much of it, the processor, and its age."""

from __future__ import annotations

import pytest
from invariants import checked_step
from lives import HOUR, MIB, SERVES, app
from lives import started as started_with
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Action, AskToShed, Persist, Signal, Tell
from pypm.core.instance import Instance, Status
from pypm.core.limits import least_level, level_of, next_look, trend
from pypm.core.spec import AppSpec, CpuLimit, LimitSpec, ScheduleSpec
from pypm.testing import Program, Simulation

LIMIT = 100 * MIB


def started(spec: AppSpec, *programs: Program) -> Simulation:
    return started_with(spec, *(programs or (SERVES,)))


def limited(**fields: object) -> AppSpec:
    return app(max_memory=LIMIT, limits=LimitSpec(**fields))  # type: ignore[arg-type]


def told(actions: list[Action]) -> list[str]:
    """What people are told."""
    return [f"{each.what}: {each.why}" for each in actions if isinstance(each, Tell)]


def used(life: Simulation, mib: int) -> tuple[Instance, list[Action]]:
    """The run of a life uses so much memory."""
    assert life.instance.run is not None
    event = ev.MemoryUsed(life.instance.run.run_id, mib * MIB)
    after, actions = checked_step(life.instance, event, life.clock())
    life.instance = after
    return after, actions


# --- levels of memory ---


def test_people_are_told_once_on_the_way_up_and_when_it_is_over() -> None:
    life = started(limited())
    life.run(10)
    assert used(life, 79)[1] == []
    assert told(used(life, 80)[1]) == ["memory.warn: memory 80M of 100M (80 %)"]
    assert used(life, 85)[1] == []
    after, actions = used(life, 91)
    assert told(actions) == ["memory.high: memory 91M of 100M (91 %)"]
    assert AskToShed(91 * MIB, LIMIT) in actions
    assert Persist() in actions, "the next master does not tell it again"
    assert after.status is Status.ONLINE
    assert used(life, 88)[1] == [], "around the figure is not below it"
    assert told(used(life, 84)[1]) == [], "one level down is no news for people"
    assert told(used(life, 75)[1]) == ["memory.normal: memory 75M of 100M (75 %)"]


def test_who_passes_several_levels_at_once_has_warned_all_the_same() -> None:
    life = started(limited(), Program(), Program())
    life.run(10)
    warn, high = told(used(life, 95)[1])
    assert warn == "memory.warn: memory 95M of 100M (95 %)"
    assert high == "memory.high: memory 95M of 100M (95 %)"
    used(life, 10)
    event = ev.MemoryOver("run1", 120 * MIB)
    _, actions = checked_step(life.instance, event, life.clock())
    assert told(actions) == ["memory.warn: memory 120M of 100M (120 %)"]
    used(life, 85)
    _, actions = checked_step(life.instance, event, life.clock())
    assert told(actions) == [], "it was told already"
    silent = started(limited(memory_warn=0))
    silent.run(10)
    assert told(used(silent, 95)[1]) == ["memory.high: memory 95M of 100M (95 %)"]


def test_the_agent_is_asked_by_its_signal_as_well_and_again_when_it_comes_back() -> None:
    life = started(limited(memory_high=50 * MIB, memory_high_signal="SIGUSR1", memory_warn=0))
    life.run(10)
    for _ in range(2):
        _, actions = used(life, 60)
        asked = [each for each in actions if isinstance(each, Signal | AskToShed)]
        assert asked == [AskToShed(60 * MIB, LIMIT), Signal("SIGUSR1", group=False)]
        used(life, 40)


def test_levels_without_a_limit_and_a_limit_without_levels() -> None:
    free = app(limits=LimitSpec(memory_warn=MIB))
    assert (least_level(free), level_of(free, MIB), level_of(free, MIB - 1)) == (MIB, "warn", "")
    silent = limited(memory_warn=0, memory_high=0)
    assert (least_level(silent), level_of(silent, 2 * LIMIT)) == (LIMIT, "")
    assert least_level(app()) is None
    life = started(free)
    life.run(1)
    assert told(used(life, 3)[1]) == ["memory.warn: memory 3M"]


def test_a_new_run_is_at_no_level() -> None:
    life = started(limited(), Program(), Program())
    life.run(60)
    used(life, 95)
    life.handle(ev.RestartRequested())
    life.run(1)
    assert life.instance.run is not None
    assert life.instance.run.memory_level == ""


# --- over the limit ---


def test_over_the_limit_it_has_its_time_to_end_unless_it_grows_on() -> None:
    life = started(limited(), Program(grace=None), Program())
    life.run(60)
    life.handle(ev.MemoryOver("run1", 101 * MIB))
    assert life.instance.status is Status.STOPPING
    life.run(1)
    life.handle(ev.MemoryOver("run1", 119 * MIB))
    assert life.processes[0].signals == ["SIGTERM"], "as long as it is not far beyond"
    life.handle(ev.MemoryOver("run1", 121 * MIB))
    assert life.processes[0].signals == ["SIGTERM", "SIGKILL"]
    life.run(1)
    last = life.instance.last
    assert last is not None
    assert last.cause == "memory"
    assert last.reason == "memory 101M > 100M (SIGKILL: memory 121M while it was being stopped)"
    assert life.instance.status is Status.ONLINE


def test_one_that_was_far_beyond_at_once_is_not_killed_for_that() -> None:
    life = started(limited(), Program(grace=None))
    life.run(60)
    life.handle(ev.MemoryOver("run1", 300 * MIB))
    life.run(1)
    life.handle(ev.MemoryOver("run1", 305 * MIB))
    assert life.processes[0].signals == ["SIGTERM"]
    life.handle(ev.MemoryOver("run1", 320 * MIB))
    assert life.processes[0].signals == ["SIGTERM", "SIGKILL"]


def test_who_is_stopped_for_another_reason_is_held_to_the_limit_too() -> None:
    life = started(limited(), Program(grace=None))
    life.run(60)
    life.handle(ev.StopRequested())
    life.handle(ev.MemoryOver("run1", 110 * MIB))
    life.handle(ev.MemoryOver("run1", 130 * MIB))
    life.run(1)
    assert life.instance.status is Status.STOPPED
    assert life.instance.reason == "stopped by operator (SIGKILL: memory 130M while it was being stopped)"


def test_why_one_was_killed_is_not_said_of_the_next_stop() -> None:
    life = started(limited(), Program(grace=None))
    life.run(60)
    life.handle(ev.MemoryOver("run1", 110 * MIB))
    life.handle(ev.MemoryOver("run1", 130 * MIB))
    life.run(60)
    life.handle(ev.RestartRequested())
    life.run(60)
    assert life.instance.last is not None
    assert life.instance.last.reason == "restarted by operator (SIGKILL after 10s)"


# --- when to look ---


@pytest.mark.parametrize(
    ("memory", "growth", "least", "most"),
    [
        (10, 0, 1.0, 1.0),
        (200, 0, 0.6, 0.8),  # 300 MB could be passed soon
        (290, 0, 0.2, 0.4),
        (200, 200, 0.2, 0.26),  # half a second to go
        (290, 200, 0.04, 0.06),
        (299, 0.01, 0.2, 0.4),
        (310, 200, 0.04, 0.04),
        (310, 0, 0.2, 0.3),
    ],
)
def test_looks_come_quicker_near_to_the_limit(memory: int, growth: float, least: float, most: float) -> None:
    wait = next_look(memory * MIB, 300 * MIB, growth * MIB, 1.0)
    assert least <= wait <= most


def test_whatever_begins_to_grow_is_seen_before_it_is_half_beyond() -> None:
    """The worst moment to begin is right after a look; the growth is 200 MB a second."""
    for begin in range(0, 300, 5):
        memory, growth, passed = begin, 0.0, 0.0
        while memory <= 300:
            wait = next_look(memory * MIB, 300 * MIB, growth * MIB, 1.0)
            memory, growth, passed = memory + int(200 * wait) + 1, 200.0, passed + wait
        assert memory < 400, begin


# --- a trend ---


def line(slope: float, count: int = 30, start: int = 100) -> list[tuple[float, int]]:
    return [(10.0 * n, int(start * MIB + slope * 10.0 * n)) for n in range(count)]


def test_a_leak_says_when_it_reaches_the_limit() -> None:
    found = trend(line(MIB / 10), 200 * MIB)
    assert found is not None
    assert found.slope == pytest.approx(MIB / 10, rel=0.01)
    assert found.reaches_limit_in == pytest.approx((100 - 29) * 10, rel=0.02)


def test_what_is_no_trend_foretells_nothing() -> None:
    assert trend(line(MIB, 5), 200 * MIB) is None, "too few"
    assert trend(line(0.0), 200 * MIB) is None, "it stands still"
    swings = [(10.0 * n, (100 + 40 * (n % 2)) * MIB) for n in range(30)]
    assert trend(swings, 200 * MIB) is None
    falls = trend(line(-MIB / 10), 200 * MIB)
    assert falls is not None
    assert falls.reaches_limit_in is None
    slow = trend(line(MIB / 100_000), 200 * MIB)
    assert slow is not None
    assert slow.reaches_limit_in is None, "that is farther than a day away"
    unlimited = trend(line(MIB / 10), None)
    assert unlimited is not None
    assert unlimited.reaches_limit_in is None


# --- the processor ---


def worked(life: Simulation, percent: float, seconds: float = 10.0) -> list[Action]:
    """So much was used in the last seconds."""
    life.run(seconds)
    assert life.instance.run is not None
    event = ev.CpuUsed(life.instance.run.run_id, percent, seconds)
    life.instance, actions = checked_step(life.instance, event, life.clock())
    return actions


def test_busy_for_too_long_is_told_once_and_so_is_its_end() -> None:
    life = started(app(limits=LimitSpec(cpu=CpuLimit(90.0, 60.0))))
    said = [text for _ in range(20) for text in told(worked(life, 95.0))]
    assert said == ["cpu.high: cpu above 90 % for 1m"]
    assert life.instance.status is Status.ONLINE
    assert told(worked(life, 20.0)) == ["cpu.normal: 20 % of a core"]
    assert worked(life, 20.0) == []


def test_a_pause_begins_the_time_anew() -> None:
    life = started(app(limits=LimitSpec(cpu=CpuLimit(90.0, 60.0, "restart"))))
    for _ in range(10):
        for _ in range(5):
            assert told(worked(life, 95.0)) == []
        assert told(worked(life, 90.0)) == []
    assert life.instance.status is Status.ONLINE


def test_busy_for_too_long_is_a_reason_for_a_restart() -> None:
    life = started(app(limits=LimitSpec(cpu=CpuLimit(150.0, 60.0, "restart"))))
    for _ in range(5):
        life.run(10)
        life.handle(ev.CpuUsed("run1", 200.0, 10.0))
        assert life.instance.status is Status.ONLINE
    life.run(10)
    life.handle(ev.CpuUsed("run1", 200.0, 10.0))
    life.run(1)
    assert life.instance.last is not None
    assert (life.instance.last.cause, life.instance.last.reason) == ("cpu", "cpu above 150 % for 1m")
    assert life.instance.status is Status.ONLINE


# --- the age of a run ---


def test_an_old_run_is_followed_by_a_new_one_and_that_is_no_failure() -> None:
    life = started(app(limits=LimitSpec(max_runtime=5.0), max_restarts=0))
    life.run(22)
    assert life.starts == pytest.approx([1000, 1005, 1010, 1015, 1020])
    assert life.instance.status is Status.ONLINE
    assert life.instance.reason == "restarted: max_runtime of 5s"
    assert life.instance.last is not None
    assert life.instance.last.cause == "max-runtime"


def test_jitter_spreads_the_ends_of_runs() -> None:
    life = started(app(limits=LimitSpec(max_runtime=100.0, runtime_jitter=50.0)))
    life.run(20 * 125)
    lasted = [round(b - a, 3) for a, b in zip(life.starts, life.starts[1:], strict=False)]
    assert min(lasted) >= 100.0
    assert max(lasted) <= 150.0
    assert len(set(lasted)) > len(lasted) // 2


def test_who_has_a_task_under_way_may_end_it_first() -> None:
    life = started(app(limits=LimitSpec(max_runtime=60.0, recycle_grace=30.0)))
    life.run(50)
    life.handle(ev.Occupied("run1", tasks=True))
    life.run(25)
    assert len(life.starts) == 1
    life.handle(ev.Occupied("run1", tasks=False))
    life.run(0.1)
    assert len(life.starts) == 2
    assert life.instance.last is not None
    assert life.instance.last.uptime == pytest.approx(75.0)


def test_tasks_are_nothing_to_be_saved_where_runs_become_as_old_as_they_like() -> None:
    life = started(app())
    life.run(10)
    after, actions = checked_step(life.instance, ev.Occupied("run1", tasks=True), life.clock())
    assert after is life.instance
    assert actions == []


def test_the_grace_for_a_task_is_not_endless() -> None:
    life = started(app(limits=LimitSpec(max_runtime=60.0, recycle_grace=30.0)))
    life.run(50)
    life.handle(ev.Occupied("run1", tasks=True))
    life.run(41)
    assert life.instance.last is not None
    assert life.instance.last.uptime == pytest.approx(90.0)
    assert life.instance.last.reason == "max_runtime of 1m, and busy for 30s beyond it"


def test_who_waits_for_a_model_has_something_under_way() -> None:
    life = started(app(limits=LimitSpec(max_runtime=60.0)))
    life.run(59)
    life.handle(ev.Extended("run1", 20.0, "model call"))
    life.run(15)
    assert len(life.starts) == 1
    life.handle(ev.ExtensionReset("run1"))
    life.run(0.1)
    assert len(life.starts) == 2


def test_what_the_machine_slept_is_no_part_of_its_age() -> None:
    life = started(app(limits=LimitSpec(max_runtime=60.0)))
    life.run(30)
    life.suspend(HOUR)
    life.run(29)
    assert len(life.starts) == 1
    life.run(2)
    assert len(life.starts) == 2


def test_the_run_of_a_job_is_ended_and_not_followed() -> None:
    life = started(app(limits=LimitSpec(max_runtime=60.0), schedule=ScheduleSpec(every=600.0)))
    life.handle(ev.RunRequested())
    life.run(100)
    assert len(life.starts) == 1
    assert life.instance.status is Status.EXITED


def test_one_that_is_starting_is_judged_when_it_is_ready() -> None:
    spec = app(limits=LimitSpec(max_runtime=5.0), wait_ready=True)
    life = started(spec, Program(ready=8.0), Program(ready=0.0))
    life.run(7.9)
    assert life.instance.status is Status.STARTING
    life.run(0.2)
    assert life.instance.last is not None
    assert life.instance.last.uptime == pytest.approx(8.0)


def test_a_limit_that_is_taken_away_is_not_held_against_it() -> None:
    life = started(app(limits=LimitSpec(max_runtime=60.0)))
    life.run(30)
    life.handle(ev.SpecChanged(replace(life.instance.spec, limits=LimitSpec())))
    life.run(HOUR)
    assert len(life.starts) == 1
