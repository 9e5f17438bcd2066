"""The simulation itself: scripted programs do what their scripts say, at the time they say it."""

from __future__ import annotations

from pypm.core import events as ev
from pypm.core.instance import Status
from pypm.core.spec import AppSpec, RestartPolicy
from pypm.testing import FakeClock, Program, Simulation

SPEC = AppSpec("agent", ("/bin/agent",), "/", kill_timeout=4.0, restart=RestartPolicy(delay=10.0))


def started(*programs: Program, spec: AppSpec = SPEC) -> Simulation:
    life = Simulation(spec, programs, clock=FakeClock(100.0))
    life.handle(ev.StartRequested())
    return life


def test_nothing_happens_until_time_passes() -> None:
    life = started(Program(lives=5.0))
    assert life.instance.status is Status.STARTING
    assert life.processes == []
    life.run(0.0)
    assert life.instance.status is Status.ONLINE
    assert life.clock() == 100.0


def test_things_happen_in_their_order_and_at_their_times() -> None:
    life = started(Program(lives=5.0, code=3), Program(lives=7.0, signal=11), Program())
    life.run(100)
    assert life.starts == [100.0, 115.0, 132.0]
    assert [(end.code, end.signal, end.at) for end in reversed(life.instance.runs)] == [
        (3, None, 105.0),
        (None, 11, 122.0),
    ]
    assert life.clock() == 200.0


def test_the_last_program_repeats() -> None:
    life = started(Program(lives=1.0, code=1), Program(lives=2.0, code=2))
    life.run(40)
    assert [end.code for end in reversed(life.instance.runs)] == [1, 2, 2, 2]


def test_the_statuses_are_remembered() -> None:
    life = started(Program(lives=1.0))
    life.run(5)
    assert life.statuses == [Status.STOPPED, Status.STARTING, Status.ONLINE, Status.BACKOFF]


def test_grace_is_how_long_it_takes_to_end_when_asked() -> None:
    life = started(Program(grace=3.0, code=7))
    life.run(1)
    life.handle(ev.StopRequested())
    life.run(2.9)
    assert life.process.alive
    life.run(0.2)
    assert not life.process.alive
    assert life.process.signals == ["SIGTERM"]
    last = life.instance.last
    assert last is not None
    assert last.code == 7


def test_without_grace_it_has_to_be_killed() -> None:
    life = started(Program(grace=None))
    life.run(1)
    life.handle(ev.StopRequested())
    life.run(3.9)
    assert life.process.alive
    life.run(0.2)
    assert not life.process.alive
    last = life.instance.last
    assert last is not None
    assert (last.code, last.signal) == (None, 9)


def test_an_end_by_itself_that_comes_during_its_grace() -> None:
    life = started(Program(lives=3.0, code=1, grace=3.0))
    life.run(2)
    life.handle(ev.StopRequested())
    life.run(2)
    assert life.instance.status is Status.STOPPED
    assert len(life.instance.runs) == 1


def test_readiness_comes_when_the_script_says_so() -> None:
    spec = AppSpec("agent", ("/bin/agent",), "/", wait_ready=True)
    life = started(Program(ready=2.0), spec=spec)
    life.run(1.9)
    assert life.instance.status is Status.STARTING
    life.run(0.2)
    assert life.instance.status is Status.ONLINE


def test_leftovers_live_on_after_the_main_process() -> None:
    life = started(Program(lives=5.0, leftovers=2.0))
    life.run(6)
    assert not life.process.alive
    assert life.instance.status is Status.STOPPING
    life.run(1.1)
    assert life.instance.status is Status.BACKOFF


def test_what_fails_has_no_process() -> None:
    life = started(Program(fails="no such file"), Program())
    life.run(1)
    assert life.processes == []
    assert life.starts == [100.0]
    assert life.instance.status is Status.BACKOFF
    life.run(10)
    assert life.instance.status is Status.ONLINE


def test_after_its_deletion_nothing_happens_any_more() -> None:
    life = started(Program(lives=5.0, code=1))
    life.handle(ev.DeleteRequested())
    assert life.gone
    life.handle(ev.StartRequested())
    life.run(100)
    assert life.starts == []


def test_a_kernel_with_few_pids_gives_them_anew() -> None:
    life = Simulation(SPEC, [Program(lives=1.0, code=1)], pids=2)
    life.handle(ev.StartRequested())
    life.run(45)
    pids = [process.pid for process in life.processes]
    assert pids == [1001, 1000, 1001, 1000, 1001][: len(pids)]
    assert len(pids) > 2


def test_a_suspended_machine_runs_no_program_and_its_clock_goes_on() -> None:
    life = started(Program(lives=5.0, code=3), Program())
    life.run(2.0)
    life.suspend(3600.0)
    assert life.clock() == 3702.0
    life.run(2.9)
    assert life.process.alive
    life.run(0.2)
    assert not life.processes[0].alive
