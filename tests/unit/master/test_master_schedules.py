"""One timer for all schedules: masters that begin, clocks that are set, a thousand jobs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fakes import FakeExecutor, FakeLoop, new_engine, new_instance
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Spawn, Tell
from pypm.core.instance import Desired, Instance, Status
from pypm.core.spec import AppSpec, ScheduleSpec
from pypm.master.schedules import LONGEST_WAIT, Schedules
from pypm.testing import FakeClock

EIGHT = datetime(2026, 11, 22, 8, tzinfo=UTC).timestamp()
HOUR = 3600.0
PLAIN = AppSpec("job", ("/bin/job",), "/")
QUARTERS = replace(PLAIN, schedule=ScheduleSpec(every=900.0))
HOURLY = replace(PLAIN, schedule=ScheduleSpec(cron="0 * * * *"))
KEPT = replace(PLAIN, cron_restart="0 * * * *")


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")


class Home:
    """An engine with its schedules, on a clock that a test turns and a wall clock that it sets."""

    def __init__(self, *instances: Instance, start: bool = True) -> None:
        self.clock = FakeClock()
        self.skew = EIGHT - self.clock()
        self.loop = FakeLoop(self.clock)
        self.engine, self.executor = new_engine(self.clock, FakeExecutor())
        self.schedules = Schedules(self.engine, self.loop, self.clock, self.wall)
        for instance in instances:
            self.engine.add(instance)
        if start:
            self.schedules.start()

    def wall(self) -> float:
        return self.clock() + self.skew

    def add(self, spec: AppSpec, instance_id: int = 0) -> None:
        """Declare and start an app."""
        self.engine.add(new_instance(instance_id, spec))
        self.engine.handle(instance_id, ev.StartRequested())

    def job(self, instance_id: int = 0) -> Instance:
        return self.engine.instances[instance_id]

    def end_run(self, instance_id: int = 0) -> None:
        run = self.job(instance_id).run
        assert run is not None
        self.engine.handle(instance_id, ev.Exited(run.run_id, code=0))

    def runs(self) -> int:
        return sum(isinstance(action, Spawn) for _, action in self.executor.performed)

    def told(self) -> list[str]:
        return [action.what for _, action in self.executor.performed if isinstance(action, Tell)]


def armed(spec: AppSpec, moment: float | None, **fields: object) -> Instance:
    """A job as the last master has left it."""
    return replace(new_instance(0, spec), status=Status.EXITED, moment=moment, reason="armed", **fields)


def test_a_job_runs_at_its_moments_and_its_next_one_is_told() -> None:
    home = Home()
    home.add(QUARTERS)
    assert home.schedules.next_run(0) == EIGHT + 900.0
    home.loop.run(899.0)
    assert home.runs() == 0
    home.loop.run(2.0)
    assert home.runs() == 1
    assert home.schedules.next_run(0) == EIGHT + 1800.0
    home.end_run()
    home.loop.run(900.0)
    assert home.runs() == 2


def test_an_app_that_is_kept_running_is_restarted_at_its_moments() -> None:
    home = Home()
    home.add(KEPT)
    home.loop.run(HOUR + 1.0)
    assert home.runs() == 2
    assert home.job().last is not None
    assert (home.job().last.cause, home.job().last.reason) == ("schedule", "cron_restart 0 * * * *")


def test_what_is_stopped_has_no_next_moment_and_counts_anew_when_it_is_armed() -> None:
    home = Home()
    home.add(QUARTERS)
    home.loop.run(600.0)
    home.engine.handle(0, ev.StopRequested())
    assert home.schedules.next_run(0) is None
    home.loop.run(4 * HOUR)
    assert home.runs() == 0
    home.engine.handle(0, ev.StartRequested())
    assert home.schedules.next_run(0) == home.wall() + 900.0


def test_another_schedule_counts_from_the_change() -> None:
    home = Home()
    home.add(QUARTERS)
    home.loop.run(600.0)
    home.engine.handle(0, ev.SpecChanged(replace(PLAIN, schedule=ScheduleSpec(every=60.0))))
    assert home.schedules.next_run(0) == home.wall() + 60.0
    home.engine.handle(0, ev.SpecChanged(PLAIN))
    assert home.schedules.next_run(0) is None


def test_what_is_deleted_is_forgotten() -> None:
    home = Home()
    home.add(QUARTERS)
    home.engine.handle(0, ev.DeleteRequested())
    home.loop.run(2 * HOUR)
    assert home.runs() == 0
    assert home.loop.pending == 0


@pytest.mark.parametrize(("catch_up", "runs", "told"), [(False, 0, ["schedule.missed"]), (True, 1, [])])
def test_what_was_missed_without_a_master(catch_up: bool, runs: int, told: list[str]) -> None:
    spec = replace(PLAIN, schedule=ScheduleSpec(cron="0 * * * *", catch_up=catch_up))
    home = Home(armed(spec, EIGHT - 5 * HOUR + 0.0))
    home.clock.advance(600.0)  # a late look is no reason for more
    home.loop.run(600.0)
    assert home.runs() == runs
    assert home.told() == told
    assert home.schedules.next_run(0) == EIGHT + HOUR
    if runs:
        assert home.job().reason == "schedule 0 * * * *, made up for"


def test_what_came_just_now_is_on_time_for_the_next_master() -> None:
    home = Home(armed(HOURLY, EIGHT - HOUR))
    home.loop.run(0.1)
    assert home.runs() == 1
    assert home.job().reason == "schedule 0 * * * *"


def test_a_run_that_the_last_master_began_and_did_not_save_is_that_of_its_moment() -> None:
    instance = armed(HOURLY, EIGHT - HOUR)
    home = Home(instance, start=False)
    home.clock.advance(-0.008)  # start times of processes are told in hundredths
    home.engine.handle(0, ev.RunRequested())  # as an adoption takes such a run in
    home.clock.advance(0.008)
    home.loop.run(0.5)
    home.end_run()
    runs = home.runs()
    home.schedules.start()
    home.loop.run(60.0)
    assert home.runs() == runs
    assert home.job().moment == EIGHT
    home.loop.run(HOUR)
    assert home.runs() == runs + 1


def test_nothing_is_done_before_the_state_is_taken_over_nor_after_the_end() -> None:
    home = Home(armed(HOURLY, EIGHT - HOUR), start=False)
    home.engine.handle(0, ev.StartRequested())
    home.loop.run(2 * HOUR)
    assert home.runs() == 0
    home.schedules.start()
    home.schedules.close()
    home.engine.handle(0, ev.ResetRequested())
    home.loop.run(2 * HOUR)
    assert (home.runs(), home.loop.pending) == (0, 0)


def set_clock(home: Home, seconds: float) -> None:
    home.skew += seconds


def test_a_clock_set_forward_is_noticed_soon() -> None:
    home = Home()
    home.add(HOURLY)
    home.loop.run(60.0)
    set_clock(home, HOUR - 60.0)  # it is nine now
    home.loop.run(LONGEST_WAIT + 1.0)
    assert home.runs() == 1


def test_a_clock_set_back_repeats_nothing() -> None:
    home = Home()
    home.add(HOURLY)
    home.loop.run(HOUR + 10.0)
    home.end_run()
    set_clock(home, -HOUR)
    home.loop.run(HOUR)
    assert home.runs() == 1
    assert home.schedules.next_run(0) == EIGHT + 2 * HOUR
    home.loop.run(HOUR)
    assert home.runs() == 2


def test_a_clock_that_was_wrong_for_long_is_not_waited_for() -> None:
    home = Home()
    home.add(HOURLY)
    home.loop.run(60.0)
    set_clock(home, -30 * 24 * HOUR)
    home.loop.run(HOUR)
    assert home.runs() == 1


def test_an_interval_goes_on_when_the_clock_is_set_back() -> None:
    home = Home()
    home.add(QUARTERS)
    home.loop.run(60.0)
    set_clock(home, -10 * HOUR)
    home.loop.run(900.0 + LONGEST_WAIT + 1.0)
    assert home.runs() == 1


def test_a_thousand_jobs_have_one_timer() -> None:
    home = Home()
    for instance_id in range(1000):
        home.add(replace(HOURLY, name=f"job{instance_id}"), instance_id)
    assert home.loop.pending == 1
    home.loop.run(HOUR - 1.0)
    assert (home.loop.pending, home.runs()) == (1, 0)
    home.loop.run(2.0)
    assert home.runs() == 1000


def test_what_happens_to_an_app_otherwise_costs_no_look_at_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home()
    home.add(KEPT)
    run = home.job().run
    assert run is not None
    monkeypatch.setattr("pypm.master.schedules.next_moment", refuse)
    for count in range(100):
        home.engine.handle(0, ev.StatusReported(run.run_id, f"step {count}"))
    assert home.schedules.next_run(0) == EIGHT + HOUR


def refuse(*_: object) -> float:
    raise AssertionError("the next moment is known")


@pytest.mark.parametrize(
    "schedule", [ScheduleSpec(cron="soon"), ScheduleSpec(cron="0 4 * * *", timezone="Mars/Olympus")]
)
def test_a_line_that_no_file_was_asked_about_never_comes(
    schedule: ScheduleSpec, caplog: pytest.LogCaptureFixture
) -> None:
    home = Home()
    home.add(replace(PLAIN, schedule=schedule))
    home.loop.run(48 * HOUR)
    assert (home.runs(), home.schedules.next_run(0)) == (0, None)
    assert home.job().desired is Desired.UP
    assert "job: schedule" in caplog.text


def test_instances_are_spread_by_the_jitter() -> None:
    spec = replace(PLAIN, instances=20, schedule=ScheduleSpec(cron="0 * * * *", jitter=600.0))
    home = Home()
    for index in range(20):
        home.engine.add(new_instance(index, spec, index))
        home.engine.handle(index, ev.StartRequested())
    dues = [home.schedules.next_run(index) for index in range(20)]
    assert len(set(dues)) == 20
    assert all(due is not None and EIGHT + HOUR <= due < EIGHT + HOUR + 600.0 for due in dues)
    home.loop.run(HOUR - 1.0)
    assert home.runs() == 0
    home.loop.run(601.0)
    assert home.runs() == 20
