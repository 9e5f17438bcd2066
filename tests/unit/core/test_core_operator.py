"""What an operator orders, in each status an instance can be in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.instance import Desired, Status
from pypm.core.spec import AppSpec, RestartPolicy
from pypm.testing import Program, Simulation

PLAIN = AppSpec("agent", ("/bin/agent",), "/", kill_timeout=5.0)
WAITING = AppSpec("agent", ("/bin/agent",), "/", kill_timeout=5.0, wait_ready=True, listen_timeout=60.0)
NEVER = AppSpec("agent", ("/bin/agent",), "/", restart=RestartPolicy(autorestart="never"))
DELAYED = AppSpec("agent", ("/bin/agent",), "/", restart=RestartPolicy(delay=100.0))
STUBBORN = Program(grace=None)


def stopped() -> Simulation:
    return Simulation(PLAIN, [Program()])


def ordered() -> Simulation:
    """Starting, and its process is not spawned yet."""
    life = Simulation(PLAIN, [Program()])
    life.handle(ev.StartRequested())
    return life


def not_ready() -> Simulation:
    """Starting, with a run that has not said that it is ready."""
    life = Simulation(WAITING, [Program(), Program(ready=1.0)])
    life.handle(ev.StartRequested())
    life.run(1)
    return life


def online(program: Program | None = None) -> Simulation:
    life = Simulation(PLAIN, [program or Program(), Program()])
    life.handle(ev.StartRequested())
    life.run(10)
    return life


def stopping() -> Simulation:
    life = online(STUBBORN)
    life.handle(ev.StopRequested())
    life.run(1)
    return life


def backoff() -> Simulation:
    life = Simulation(DELAYED, [Program(lives=1.0, code=1), Program()])
    life.handle(ev.StartRequested())
    life.run(2)
    return life


def errored() -> Simulation:
    life = Simulation(NEVER, [Program(lives=1.0, code=1), Program()])
    life.handle(ev.StartRequested())
    life.run(2)
    return life


def exited() -> Simulation:
    life = Simulation(NEVER, [Program(lives=1.0, code=0), Program()])
    life.handle(ev.StartRequested())
    life.run(2)
    return life


Situation = Callable[[], Simulation]
SITUATIONS: dict[Situation, Status] = {
    stopped: Status.STOPPED,
    ordered: Status.STARTING,
    not_ready: Status.STARTING,
    online: Status.ONLINE,
    stopping: Status.STOPPING,
    backoff: Status.BACKOFF,
    errored: Status.ERRORED,
    exited: Status.EXITED,
}
each_situation = pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)


@each_situation
def test_the_situations_are_what_they_say(situation: Situation) -> None:
    assert situation().instance.status is SITUATIONS[situation]


@each_situation
def test_a_stop_leads_to_stopped_and_it_stays_so(situation: Situation) -> None:
    life = situation()
    life.handle(ev.StopRequested())
    assert life.instance.desired is Desired.DOWN
    life.run(3600)
    assert life.instance.status is Status.STOPPED
    assert life.instance.reason.startswith("stopped by operator")
    assert not any(process.alive for process in life.processes)


@each_situation
def test_a_start_leads_to_online(situation: Situation) -> None:
    life = situation()
    life.handle(ev.StartRequested())
    life.run(3600)
    if situation is not_ready:
        assert life.instance.reason == "restarted: not ready within 1m", "its first run never gets ready"
    assert life.instance.status is Status.ONLINE
    assert life.instance.desired is Desired.UP


@each_situation
def test_a_restart_leads_to_a_new_run(situation: Situation) -> None:
    life = situation()
    spawned = len(life.processes)
    life.handle(ev.RestartRequested())
    life.run(50)
    assert len(life.processes) == spawned + 1
    assert life.instance.status is Status.ONLINE
    assert life.instance.desired is Desired.UP


@each_situation
def test_a_deletion_leaves_nothing(situation: Situation) -> None:
    life = situation()
    life.handle(ev.DeleteRequested())
    life.run(3600)
    assert life.gone
    assert not any(process.alive for process in life.processes)


def test_a_stop_before_the_spawn_spawns_nothing() -> None:
    life = ordered()
    life.handle(ev.StopRequested())
    life.run(10)
    assert life.processes == []


def test_a_graceful_stop_is_not_killed() -> None:
    life = online(Program(grace=4.9))
    life.handle(ev.StopRequested())
    life.run(5)
    assert life.process.signals == ["SIGTERM"]
    assert life.instance.reason == "stopped by operator"


def test_who_does_not_go_is_killed_and_the_reason_says_so() -> None:
    life = online(STUBBORN)
    life.handle(ev.StopRequested())
    life.run(4.9)
    assert life.process.signals == ["SIGTERM"]
    life.run(0.2)
    assert life.process.signals == ["SIGTERM", "SIGKILL"]
    assert life.instance.status is Status.STOPPED
    assert life.instance.reason == "stopped by operator (SIGKILL after 5s)"
    last = life.instance.last
    assert last is not None
    assert (last.signal, last.reason) == (9, life.instance.reason)


def test_sigkill_is_sent_again_to_what_has_not_gone() -> None:
    life = stopping()
    run = life.process.run_id
    life.process.alive = False  # the kernel has not let go of it: nobody tells of its end
    life.handle(ev.DeadlinePassed(life.instance.deadline or 0.0))
    deadline = life.instance.deadline
    assert deadline == life.clock() + 5.0
    life.clock.now = deadline
    life.handle(ev.DeadlinePassed(deadline))
    assert life.process.signals[-2:] == ["SIGKILL", "SIGKILL"]
    life.handle(ev.Exited(run, signal=9))
    assert life.instance.status is Status.STOPPED


def test_the_app_names_the_signal_and_whether_the_tree_gets_it() -> None:
    spec = AppSpec("agent", ("/bin/agent",), "/", kill_signal="SIGINT", treekill=False)
    life = Simulation(spec, [Program()])
    life.handle(ev.StartRequested())
    life.run(10)
    life.handle(ev.StopRequested())
    assert life.process.signals == ["SIGINT"]


def test_a_start_while_it_is_being_stopped_wins() -> None:
    life = stopping()
    life.handle(ev.StartRequested())
    life.run(60)
    assert life.instance.status is Status.ONLINE
    assert len(life.processes) == 2


def test_the_last_of_many_orders_wins() -> None:
    life = stopping()
    for event in (ev.StartRequested(), ev.RestartRequested(), ev.DeleteRequested(), ev.StartRequested()):
        life.handle(event)
    life.run(60)
    assert not life.gone
    assert life.instance.status is Status.ONLINE
    life = stopping()
    for event in (ev.StartRequested(), ev.StopRequested()):
        life.handle(event)
    life.run(60)
    assert life.instance.status is Status.STOPPED


def test_a_stop_does_not_save_what_is_being_deleted() -> None:
    life = online(STUBBORN)
    life.handle(ev.DeleteRequested())
    life.handle(ev.StopRequested())
    life.run(60)
    assert life.gone


def test_a_stop_during_the_restart_of_a_memory_limit_wins() -> None:
    spec = AppSpec("agent", ("/bin/agent",), "/", max_memory=100)
    life = Simulation(spec, [STUBBORN])
    life.handle(ev.StartRequested())
    life.run(60)
    life.handle(ev.MemoryOver("run1", 200))
    life.handle(ev.StopRequested())
    life.run(60)
    assert life.instance.status is Status.STOPPED
    assert life.instance.reason == "stopped by operator (SIGKILL after 10s)"


def test_a_start_during_the_restart_of_a_memory_limit_keeps_its_reason() -> None:
    spec = AppSpec("agent", ("/bin/agent",), "/", max_memory=100)
    life = Simulation(spec, [Program(grace=2.0)])
    life.handle(ev.StartRequested())
    life.run(60)
    life.handle(ev.MemoryOver("run1", 200))
    life.handle(ev.StartRequested())
    life.run(60)
    assert life.instance.reason == "restarted: memory 200B > 100B"


@pytest.mark.parametrize("order", [ev.RestartRequested(), ev.StartRequested()], ids=str)
def test_who_starts_it_anew_clears_the_brake(order: ev.Event) -> None:
    spec = AppSpec("agent", ("/bin/agent",), "/", restart=RestartPolicy(max_restarts=3))
    life = Simulation(spec, [Program(lives=0.1, code=1)])
    life.handle(ev.StartRequested())
    life.run(60)
    assert life.instance.status is Status.ERRORED
    assert len(life.starts) == 4
    life.handle(order)
    life.run(60)
    assert life.instance.status is Status.ERRORED
    assert len(life.starts) == 8, "as many tries as the first time"
    assert life.starts[5] - life.starts[4] == pytest.approx(0.1), "and the first one at once"


def test_an_operators_restart_counts_as_a_restart_but_not_towards_the_brake() -> None:
    life = online()
    for _ in range(40):
        life.handle(ev.RestartRequested())
        life.run(1)
    assert life.instance.status is Status.ONLINE
    assert life.instance.restarts == 40
    assert life.instance.restart_times == ()
    assert life.instance.reason == "restarted by operator"


def test_the_reason_of_a_restart_is_kept() -> None:
    life = online()
    life.handle(ev.RestartRequested(reason="restarted for a change of env"))
    life.run(1)
    assert life.instance.reason == "restarted for a change of env"
    last = life.instance.last
    assert last is not None
    assert last.reason == "restarted for a change of env"


def test_what_the_agent_says_is_kept_with_its_run() -> None:
    life = online()
    life.handle(ev.StatusReported("run1", "reading"))
    life.handle(ev.Beat("run1"))
    run = life.instance.run
    assert run is not None
    assert (run.status_text, run.last_beat) == ("reading", life.clock())
    life.handle(ev.RestartRequested())
    life.run(1)
    run = life.instance.run
    assert run is not None
    assert (run.status_text, run.last_beat) == ("", None)


def test_who_ends_by_itself_says_so_but_not_who_was_told_to() -> None:
    life = online()
    life.handle(ev.StoppingReported("run1"))
    assert life.instance.reason == "the agent is ending by itself"
    life = stopping()
    life.handle(ev.StoppingReported("run1"))
    assert life.instance.reason == "stopped by operator"


def test_a_new_spec_holds_from_the_next_run_on_and_its_timeouts_at_once() -> None:
    life = online(STUBBORN)
    life.handle(ev.SpecChanged(replace(PLAIN, kill_timeout=1.0)))
    assert len(life.starts) == 1
    life.handle(ev.StopRequested())
    life.run(1.1)
    assert life.instance.status is Status.STOPPED


# --- a master that leaves ---


@each_situation
def test_what_a_leaving_master_stops_is_to_be_up_again(situation: Situation) -> None:
    life = situation()
    wanted = life.instance.desired
    life.handle(ev.StopRequested(by="the end of the master", keep_desired=True))
    assert life.instance.desired is wanted
    tries = len(life.starts)
    life.run(3600)
    assert len(life.starts) == tries, "the leaving master starts nothing more"
    assert not any(process.alive for process in life.processes)
    assert life.instance.run is None


def test_a_leaving_master_leaves_the_delay_to_the_next_one() -> None:
    life = backoff()
    deadline = life.instance.deadline
    life.handle(ev.StopRequested(keep_desired=True))
    assert life.instance.status is Status.BACKOFF
    assert life.instance.deadline == deadline
    life.handle(ev.Recovered())
    life.run(200)
    assert life.instance.status is Status.ONLINE
    assert life.starts[-1] == deadline


@pytest.mark.parametrize("event", [ev.StartRequested(), ev.RestartRequested()], ids=["start", "restart"])
def test_a_restart_that_is_not_waited_for_counts_like_one_that_is(event: ev.Event) -> None:
    life = backoff()
    life.handle(event)
    assert life.instance.restarts == 1
    assert life.instance.restart_times == (), "but not towards the brake"
    life.run(3600)
    assert (life.instance.restarts, len(life.starts)) == (1, 2)


def test_a_start_of_what_had_ended_for_good_is_no_restart() -> None:
    for situation in (stopped, errored, exited):
        life = situation()
        life.handle(ev.RestartRequested())
        assert life.instance.restarts == 0
