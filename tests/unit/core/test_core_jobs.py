"""Jobs: armed and not, their runs, overlaps and timeouts; and cron_restart."""

from __future__ import annotations

import pytest
from invariants import checked_step
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Tell
from pypm.core.instance import Desired, Status
from pypm.core.order import never_completes, standing
from pypm.core.spec import AppSpec, RestartPolicy, Rule, ScheduleSpec
from pypm.testing import Program, Simulation

PLAIN = AppSpec("job", ("/bin/job",), "/")
EVERY = ScheduleSpec(every=60.0)
JOB = replace(PLAIN, schedule=EVERY)
KEPT = replace(PLAIN, cron_restart="0 4 * * *")
DUE = ev.ScheduleDue(1e9, "schedule every 1m")
CRON = ev.ScheduleDue(1e9, "cron_restart 0 4 * * *")
SHORT = Program(lives=5.0)
LONG = Program(lives=500.0)
SERVICE = Program()


def job(*programs: Program, spec: AppSpec = JOB, armed: bool = True) -> Simulation:
    simulation = Simulation(spec, programs or (SHORT,))
    if armed:
        simulation.handle(ev.StartRequested())
    return simulation


def with_schedule(**fields: object) -> AppSpec:
    return replace(JOB, schedule=replace(EVERY, **fields))


# --- armed ---


def test_a_start_arms_a_job_and_runs_nothing() -> None:
    armed = job()
    armed.run(3600.0)
    assert armed.starts == []
    assert (armed.instance.status, armed.instance.reason) == (Status.EXITED, "armed")
    assert armed.instance.is_armed


def test_a_moment_runs_an_armed_job_which_rests_until_the_next_one() -> None:
    armed = job()
    for _ in range(3):
        armed.handle(DUE)
        assert armed.instance.reason == "schedule every 1m"
        armed.run(60.0)
        assert (armed.instance.status, armed.instance.reason) == (Status.EXITED, "exit code 0")
    assert len(armed.starts) == 3
    assert [end.uptime for end in armed.instance.runs] == [5.0, 5.0, 5.0]
    assert armed.instance.restarts == 0, "a run of a job is no restart"
    assert armed.instance.moment == DUE.moment


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (Program(lives=1.0, code=3), "exit code 3"),
        (Program(lives=1.0, signal=11), "killed by SIGSEGV"),
        (Program(fails="no such file"), "could not start: no such file"),
    ],
)
def test_a_failed_run_is_recorded_and_the_next_moment_comes(program: Program, reason: str) -> None:
    armed = job(program, spec=replace(JOB, restart=RestartPolicy(max_restarts=1)))
    for _ in range(5):
        armed.handle(DUE)
        armed.run(60.0)
        assert (armed.instance.status, armed.instance.reason) == (Status.EXITED, reason)
    assert len(armed.instance.runs) == 5


def test_a_stop_disarms_and_nothing_of_the_schedule_is_kept() -> None:
    armed = job(LONG, spec=with_schedule(overlap="queue"))
    armed.handle(DUE)
    armed.run(1.0)
    armed.handle(DUE)
    assert armed.instance.queued
    armed.handle(ev.StopRequested())
    armed.run(60.0)
    assert (armed.instance.status, armed.instance.desired) == (Status.STOPPED, Desired.DOWN)
    assert (armed.instance.moment, armed.instance.queued) == (None, False)
    armed.handle(DUE)
    armed.run(60.0)
    assert len(armed.starts) == 1, "stopped is stopped"
    armed.handle(ev.StartRequested())
    assert armed.instance.is_armed


def test_a_start_while_it_stops_arms_and_does_not_run() -> None:
    armed = job(Program(grace=3.0))
    armed.handle(DUE)
    armed.run(1.0)
    armed.handle(ev.StopRequested())
    armed.handle(ev.StartRequested())
    armed.run(60.0)
    assert armed.instance.is_armed
    assert len(armed.starts) == 1


def test_an_armed_job_is_left_alone_by_another_start_and_by_a_new_master() -> None:
    armed = job()
    armed.handle(DUE)
    armed.run(60.0)
    before = armed.instance
    armed.handle(ev.StartRequested())
    armed.handle(ev.Recovered())
    armed.run(60.0)
    assert armed.instance == before


def test_a_job_that_the_end_of_the_master_has_stopped_is_armed_by_the_next_one() -> None:
    armed = job(LONG)
    armed.handle(DUE)
    armed.run(1.0)
    armed.handle(ev.StopRequested(by="the end of the master", keep_desired=True))
    armed.run(60.0)
    assert armed.instance.status is Status.STOPPED
    armed.handle(ev.Recovered())
    assert armed.instance.is_armed
    assert armed.instance.moment == DUE.moment, "what was due is not due again"


def test_a_job_is_armed_and_not_run_by_a_master_that_finds_it_stopping_for_the_end_of_the_last_one() -> None:
    running = job(Program(grace=5.0))
    running.handle(DUE)
    running.run(1.0)
    running.handle(ev.StopRequested(keep_desired=True))
    running.handle(ev.Recovered())
    running.run(10.0)
    assert running.instance.is_armed
    assert running.instance.restarts == 0
    assert len(running.starts) == 1


# --- run now ---


@pytest.mark.parametrize("armed", [True, False])
def test_run_now_runs_once_whatever_is_wanted(armed: bool) -> None:
    told = job(armed=armed)
    if not armed:
        told.handle(ev.StopRequested())
    told.handle(ev.RunRequested(by="alice"))
    assert told.instance.reason == "run-now by alice"
    told.run(1.0)
    told.handle(ev.RunRequested(by="bob"))
    told.run(60.0)
    assert len(told.starts) == 1
    assert told.instance.status is (Status.EXITED if armed else Status.STOPPED)
    assert told.instance.desired is (Desired.UP if armed else Desired.DOWN)


def test_run_now_is_for_jobs() -> None:
    kept = Simulation(PLAIN, [SERVICE])
    kept.handle(ev.RunRequested())
    kept.run(1.0)
    assert kept.starts == []


def test_a_run_of_a_stopped_job_is_followed_by_no_restart_of_a_rule() -> None:
    spec = replace(JOB, restart=RestartPolicy(rules=(Rule("restart", codes=(3,), delay=1.0),)))
    told = job(Program(lives=1.0, code=3), spec=spec, armed=False)
    told.handle(ev.StopRequested())
    told.handle(ev.RunRequested())
    told.run(60.0)
    assert (len(told.starts), told.instance.status) == (1, Status.STOPPED)


def test_a_rule_may_try_a_failed_run_again() -> None:
    spec = replace(JOB, restart=RestartPolicy(rules=(Rule("restart", codes=(3,), delay=1.0),)))
    armed = job(Program(lives=1.0, code=3), SHORT, spec=spec)
    armed.handle(DUE)
    armed.run(60.0)
    assert (len(armed.starts), armed.instance.reason) == (2, "exit code 0")


def test_a_held_job_skips_its_moments() -> None:
    spec = replace(JOB, restart=RestartPolicy(rules=(Rule("hold", codes=(3,), hold_for=600.0),)))
    armed = job(Program(lives=1.0, code=3), SHORT, spec=spec)
    armed.handle(DUE)
    armed.run(60.0)
    after, actions = checked_step(armed.instance, replace(DUE, moment=2e9), armed.clock())
    assert (after.status, after.moment) == (Status.HELD, 2e9)
    assert Tell("schedule.skipped", "schedule every 1m: it is held") in actions


# --- overlap ---


def test_a_moment_during_a_run_is_skipped_and_told() -> None:
    armed = job(LONG)
    armed.handle(DUE)
    armed.run(60.0)
    after, actions = checked_step(armed.instance, replace(DUE, moment=2e9), armed.clock())
    reason = "schedule every 1m; it goes on past its next moment"
    assert after == replace(armed.instance, moment=2e9, reason=reason)
    assert Tell("schedule.skipped", "schedule every 1m: the run before goes on") in actions
    later, actions = checked_step(after, replace(DUE, moment=3e9), armed.clock())
    assert later == replace(after, moment=3e9)
    assert not any(isinstance(action, Tell) for action in actions), "told once a run"


def test_of_the_moments_during_a_run_one_is_queued() -> None:
    armed = job(LONG, SHORT, spec=with_schedule(overlap="queue"))
    for _ in range(4):
        armed.handle(DUE)
        armed.run(60.0)
    assert len(armed.starts) == 1
    armed.run(1000.0)
    assert len(armed.starts) == 2
    assert armed.starts[1] == armed.starts[0] + 500.0, "as soon as the first one has ended"
    assert armed.instance.is_armed


def test_a_moment_may_end_the_run_before_and_runs_in_its_place() -> None:
    armed = job(Program(grace=2.0), SHORT, spec=with_schedule(overlap="kill"))
    armed.handle(DUE)
    armed.run(60.0)
    armed.handle(DUE)
    armed.run(60.0)
    assert armed.starts == [1000.0, 1062.0]
    ended = armed.instance.runs[1]
    assert (ended.cause, ended.reason) == ("schedule", "schedule every 1m")
    assert armed.instance.is_armed


def test_a_moment_while_somebody_stops_it_begins_nothing() -> None:
    armed = job(Program(grace=2.0), SHORT, spec=with_schedule(overlap="kill"))
    armed.handle(DUE)
    armed.run(60.0)
    armed.handle(ev.StopRequested())
    armed.handle(DUE)
    armed.run(60.0)
    assert (len(armed.starts), armed.instance.status) == (1, Status.STOPPED)


# --- timeout ---


def test_a_run_that_takes_too_long_is_stopped() -> None:
    armed = job(Program(grace=1.0), spec=with_schedule(timeout=600.0))
    armed.handle(DUE)
    armed.run(599.0)
    assert armed.instance.status is Status.ONLINE
    armed.run(5.0)
    ended = armed.instance.last
    assert ended is not None
    assert (ended.cause, ended.reason, ended.uptime) == ("schedule", "timeout of 10m", 601.0)
    assert armed.instance.is_armed


def test_a_start_is_part_of_the_time_that_a_run_may_take() -> None:
    spec = replace(with_schedule(timeout=10.0), wait_ready=True, listen_timeout=60.0)
    armed = job(Program(), spec=spec)
    armed.handle(DUE)
    armed.run(11.0)
    ended = armed.instance.last
    assert ended is not None
    assert ended.reason == "timeout of 10s"


def test_time_in_which_the_machine_slept_is_not_part_of_it() -> None:
    armed = job(Program(), spec=with_schedule(timeout=600.0))
    armed.handle(DUE)
    armed.run(60.0)
    armed.suspend(3600.0)
    armed.run(530.0)
    assert armed.instance.status is Status.ONLINE
    armed.run(20.0)
    assert armed.instance.last is not None
    assert armed.instance.last.reason == "timeout of 10m"


def test_what_says_that_it_works_has_no_more_time_for_that() -> None:
    armed = job(Program(grace=None), spec=with_schedule(timeout=60.0))
    armed.handle(DUE)
    armed.run(30.0)
    assert armed.instance.run is not None
    armed.handle(ev.Extended(armed.instance.run.run_id, 3600.0, "a model"))
    armed.run(31.0)
    assert armed.instance.stop_reason == "timeout of 1m"


# --- cron_restart ---


def test_cron_restart_gives_a_running_app_a_new_run() -> None:
    kept = job(SERVICE, spec=KEPT)
    kept.run(60.0)
    kept.handle(CRON)
    kept.run(60.0)
    assert kept.instance.status is Status.ONLINE
    assert len(kept.starts) == 2
    ended = kept.instance.last
    assert ended is not None
    assert (ended.cause, ended.reason) == ("schedule", "cron_restart 0 4 * * *")
    assert kept.instance.restarts == 1


def test_cron_restart_leaves_alone_what_was_stopped() -> None:
    kept = job(SERVICE, spec=KEPT)
    kept.run(60.0)
    kept.handle(ev.StopRequested())
    kept.run(60.0)
    kept.handle(CRON)
    kept.run(60.0)
    assert (kept.instance.status, len(kept.starts)) == (Status.STOPPED, 1)


@pytest.mark.parametrize("code", [0, 1])
def test_cron_restart_starts_what_has_ended_by_itself(code: int) -> None:
    """PM2's way to have a job: ``autorestart = false`` and ``cron_restart``."""
    spec = replace(KEPT, restart=RestartPolicy(autorestart="never"))
    kept = job(Program(lives=5.0, code=code), spec=spec)
    for count in (1, 2, 3):
        kept.run(60.0)
        assert kept.instance.status is (Status.EXITED if code == 0 else Status.ERRORED)
        assert len(kept.starts) == count
        kept.handle(CRON)


def test_cron_restart_does_not_take_the_brake_off() -> None:
    spec = replace(KEPT, restart=RestartPolicy(max_restarts=3, delay=0.0))
    kept = job(Program(lives=0.5, code=1), spec=spec)
    kept.run(60.0)
    assert kept.instance.status is Status.ERRORED
    assert len(kept.starts) == 4
    kept.handle(CRON)
    kept.run(60.0)
    assert (kept.instance.status, len(kept.starts)) == (Status.ERRORED, 5)


# --- what depends on a job ---


def test_a_job_has_completed_when_a_run_has_worked() -> None:
    armed = job(Program(lives=5.0, code=1), SHORT)
    asked = {"job": "completed"}
    assert not never_completes(JOB)
    assert standing(asked, {"job": [armed.instance]}).kind == "waits", "it has not run yet"
    armed.handle(DUE)
    armed.run(60.0)
    assert standing(asked, {"job": [armed.instance]}) == ("waits", "job to complete"), "it has failed"
    armed.handle(DUE)
    armed.run(60.0)
    assert standing(asked, {"job": [armed.instance]}).kind == "met"


def test_a_job_has_started_when_it_is_armed() -> None:
    armed = job()
    assert standing({"job": "started"}, {"job": [armed.instance]}).kind == "met"
    armed.handle(ev.StopRequested())
    assert standing({"job": "started"}, {"job": [armed.instance]}).kind == "fails"


# --- another declaration ---


def test_an_app_that_becomes_a_job_is_stopped_and_armed() -> None:
    kept = job(Program(grace=1.0), spec=PLAIN)
    kept.run(10.0)
    kept.handle(ev.SpecChanged(JOB))
    kept.run(10.0)
    assert kept.instance.is_armed
    assert len(kept.starts) == 1
    assert kept.instance.last is not None
    assert kept.instance.last.cause == "config"


def test_a_job_that_becomes_a_service_is_kept_running() -> None:
    armed = job(LONG, spec=JOB)
    armed.handle(DUE)
    armed.run(10.0)
    armed.handle(ev.SpecChanged(PLAIN))
    armed.run(10.0)
    assert (armed.instance.status, len(armed.starts)) == (Status.ONLINE, 2)


def test_another_schedule_counts_anew_and_another_name_of_it_does_not() -> None:
    armed = job()
    armed.handle(DUE)
    armed.run(60.0)
    armed.handle(ev.SpecChanged(replace(JOB, kill_timeout=3.0)))
    assert armed.instance.moment == DUE.moment
    armed.handle(ev.SpecChanged(with_schedule(every=90.0)))
    assert armed.instance.moment is None
    assert armed.instance.is_armed
