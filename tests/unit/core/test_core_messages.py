"""Two things that agents and pypm tell each other: please end, and: another process is the main one."""

from __future__ import annotations

from invariants import checked_step
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import AskToEnd, Persist, Publish, Signal, Watch
from pypm.core.instance import Instance, Run, Status
from pypm.core.spec import AppSpec
from pypm.testing import FakeClock, Program, Simulation

SPEC = AppSpec("node", ("/bin/node",), "/", shutdown_with_message=True, kill_timeout=4.0)
RUN = Run(run_id="r", token="t", pid=100, start_ticks=7, started=0.0, ready=True)
ONLINE = Instance(id=1, app="node", index=0, created=0.0, since=0.0, spec=SPEC, status=Status.ONLINE, run=RUN)


def stopped(program: Program, spec: AppSpec = SPEC) -> Simulation:
    life = Simulation(spec, [program], clock=FakeClock(1000.0))
    life.handle(ev.StartRequested())
    life.run(1.0)
    life.handle(ev.StopRequested())
    return life


def test_who_hears_the_message_gets_no_signal() -> None:
    life = stopped(Program(listens=3.0))
    life.run(10.0)
    assert life.process.signals == ["shutdown"]
    assert life.instance.status is Status.STOPPED
    assert life.instance.runs[0].uptime == 4.0


def test_who_does_not_hear_it_is_signalled_then_killed() -> None:
    life = stopped(Program(grace=None))
    life.run(3.9)
    assert life.process.signals == ["shutdown"]
    life.run(0.2)
    assert life.process.signals == ["shutdown", "SIGTERM"]
    assert life.instance.status is Status.STOPPING
    life.run(4.0)
    assert life.process.signals == ["shutdown", "SIGTERM", "SIGKILL"]
    assert life.instance.status is Status.STOPPED


def test_who_has_no_channel_is_signalled_once() -> None:
    asked, _ = checked_step(ONLINE, ev.StopRequested(), 50.0)
    told, _ = checked_step(asked, ev.NotAsked("r"), 50.1)
    assert told.deadline == asked.deadline
    killed, actions = checked_step(told, ev.DeadlinePassed(54.0), 54.0)
    assert killed.killed
    assert Signal("SIGKILL", group=True) in actions


def test_what_it_has_left_is_signalled_at_once() -> None:
    """Only the main process has a channel."""
    life = stopped(Program(listens=1.0, leftovers=2.0))
    life.run(1.0)
    assert life.process.signals == ["shutdown", "SIGTERM"]
    life.run(2.0)
    assert life.instance.status is Status.STOPPED


def test_what_outlives_a_crash_is_signalled() -> None:
    life = Simulation(SPEC, [Program(lives=1.0, code=1, leftovers=1.0)], clock=FakeClock(1000.0))
    life.handle(ev.StartRequested())
    life.run(1.5)
    assert life.instance.status is Status.STOPPING
    assert life.process.signals == ["SIGTERM"]


def test_a_new_master_asks_again_what_was_just_asked() -> None:
    asked, actions = checked_step(ONLINE, ev.StopRequested(), 50.0)
    assert AskToEnd("SIGTERM", group=True) in actions
    assert AskToEnd("SIGTERM", group=True) in checked_step(asked, ev.Recovered(), 51.0)[1]
    later = checked_step(asked, ev.Recovered(), 53.0)[1]
    assert not [each for each in later if isinstance(each, AskToEnd | Signal)]


def test_the_run_goes_on_as_the_process_that_it_names() -> None:
    moved, actions = checked_step(ONLINE, ev.MainPidReported("r", 120, 9), 5.0)
    assert moved.run is not None
    assert (moved.run.pid, moved.run.main_pid, moved.run.main_ticks) == (100, 120, 9)
    assert actions == [Persist(), Publish(), Watch()]
    again, nothing = checked_step(moved, ev.MainPidReported("r", 120, 9), 6.0)
    assert (again, nothing) == (moved, [])


def test_the_first_process_may_be_the_main_one_again() -> None:
    moved, _ = checked_step(ONLINE, ev.MainPidReported("r", 120, 9), 5.0)
    back, actions = checked_step(moved, ev.MainPidReported("r", 100, 7), 6.0)
    assert back == replace(ONLINE)
    assert Watch() in actions
