"""What a new master makes of what an old one left: each status, its run alive or not, also after a reboot."""

from __future__ import annotations

import msgspec
import pytest
from invariants import checked_step
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.instance import NO_SPEC, After, Desired, Instance, RunEnd, Status, shift
from pypm.core.spec import AppSpec, RestartPolicy
from pypm.core.state import App, State, after_reboot
from pypm.testing import FakeClock, Program, Simulation

SPEC = AppSpec("agent", ("/bin/agent",), "/", kill_timeout=5.0)
LOST = "ended while no master watched; its exit status is unknown"


def recover(life: Simulation, *, alive: bool) -> None:
    """The master dies, and the next one finds what there is: a run that lives, or one that ended unseen."""
    run = life.instance.run
    life.handle(ev.Recovered())
    if run is not None and not alive:
        life.handle(ev.TreeGone(run.run_id) if run.leaving else ev.Exited(run.run_id))


def online(spec: AppSpec = SPEC, *programs: Program) -> Simulation:
    life = Simulation(spec, programs or [Program()])
    life.handle(ev.StartRequested())
    life.run(100)
    return life


def test_a_run_of_another_master_goes_on() -> None:
    life = online()
    before = life.instance
    recover(life, alive=True)
    life.run(100)
    assert life.instance == before
    assert life.process.signals == []
    assert len(life.processes) == 1


def test_an_end_that_the_guardian_saw_is_told_as_it_was() -> None:
    life = online()
    run = life.instance.run
    assert run is not None
    life.process.alive = False
    life.handle(ev.Exited(run.run_id, None, 11, core_dumped=True, at=run.started + 40.0))
    last = life.instance.last
    assert last is not None
    assert (last.signal, last.reason, last.uptime) == (11, "killed by SIGSEGV (core dumped)", 40.0)


def test_the_restart_of_the_machine_is_no_failure_of_the_app() -> None:
    life = online(replace(SPEC, restart=RestartPolicy(autorestart="never")))
    run = life.instance.run
    assert run is not None
    life.process.alive = False
    life.handle(ev.Exited(run.run_id, reason="the machine was restarted"))
    life.run(1)
    assert life.instance.status is Status.ONLINE
    assert life.instance.reason == "restarted: the machine was restarted"


def test_a_run_that_ended_meanwhile_is_started_anew() -> None:
    life = online()
    life.process.alive = False
    recover(life, alive=False)
    life.run(1)
    assert life.instance.status is Status.ONLINE
    last = life.instance.last
    assert last is not None
    assert (last.code, last.signal, last.reason) == (None, None, LOST)


def test_a_crash_loop_of_the_master_is_no_way_around_the_brake() -> None:
    life = online(replace(SPEC, restart=RestartPolicy(max_restarts=3)))
    for _ in range(10):
        life.run(1)
        life.process.alive = False
        recover(life, alive=False)
    assert life.instance.status is Status.ERRORED
    assert len(life.starts) == 4


def test_a_start_whose_process_was_never_made_is_made() -> None:
    life = Simulation(SPEC, [Program()])
    life.handle(ev.StartRequested())
    recover(life, alive=False)
    life.run(1)
    assert life.instance.status is Status.ONLINE
    assert len(life.processes) == 1, "once"


def test_one_that_is_not_ready_yet_has_the_rest_of_its_time() -> None:
    spec = replace(SPEC, wait_ready=True, listen_timeout=30.0)
    life = Simulation(spec, [Program(ready=20.0)])
    life.handle(ev.StartRequested())
    life.run(10)
    recover(life, alive=True)
    life.run(11)
    assert life.instance.status is Status.ONLINE
    late = Simulation(spec, [Program()])
    late.handle(ev.StartRequested())
    late.run(10)
    recover(late, alive=True)
    late.run(19)
    assert late.instance.status is Status.STARTING
    late.run(2)
    assert late.instance.runs[0].reason == "not ready within 30s"


@pytest.mark.parametrize("alive", [True, False])
def test_a_stop_half_done_is_finished(alive: bool) -> None:
    life = online(SPEC, Program(grace=None))
    life.handle(ev.StopRequested())
    life.run(2)
    life.process.alive = alive
    recover(life, alive=alive)
    life.run(5.1)
    assert life.instance.status is Status.STOPPED
    assert life.instance.desired is Desired.DOWN
    assert life.instance.reason == "stopped by operator" + (" (SIGKILL after 5s)" if alive else "")


@pytest.mark.parametrize("alive", [True, False])
def test_a_stop_for_the_end_of_the_master_is_followed_by_a_start(alive: bool) -> None:
    life = online(SPEC, Program(grace=None), Program())
    life.handle(ev.StopRequested(by="the end of the master", keep_desired=True))
    life.run(2)
    life.process.alive = alive
    recover(life, alive=alive)
    life.run(6)
    assert life.instance.status is Status.ONLINE


@pytest.mark.parametrize("alive", [True, False])
def test_a_restart_half_done_is_finished(alive: bool) -> None:
    life = online(SPEC, Program(grace=None), Program())
    life.handle(ev.RestartRequested())
    life.run(2)
    life.process.alive = alive
    recover(life, alive=alive)
    life.run(6)
    assert life.instance.status is Status.ONLINE


@pytest.mark.parametrize("alive", [True, False])
def test_a_deletion_half_done_is_finished(alive: bool) -> None:
    life = online(SPEC, Program(grace=None))
    life.handle(ev.DeleteRequested())
    life.run(2)
    life.process.alive = alive
    recover(life, alive=alive)
    life.run(6)
    assert life.gone


def test_what_is_known_of_an_end_is_kept_while_its_tree_lives_on() -> None:
    life = online(SPEC, Program(lives=50.0, code=3, leftovers=1000.0), Program())
    assert life.instance.status is Status.ONLINE
    life = Simulation(SPEC, [Program(lives=50.0, code=3, leftovers=1000.0), Program()])
    life.handle(ev.StartRequested())
    life.run(51)
    assert life.instance.status is Status.STOPPING
    recover(life, alive=False)
    last = life.instance.last
    assert last is not None
    assert (last.code, last.reason) == (3, "exit code 3")


def test_the_rest_of_a_delay_is_waited_for() -> None:
    life = Simulation(replace(SPEC, restart=RestartPolicy(delay=60.0)), [Program(lives=1.0, code=1)])
    life.handle(ev.StartRequested())
    life.run(31)
    assert life.instance.status is Status.BACKOFF
    recover(life, alive=False)
    life.run(31)
    assert [round(start - life.starts[0]) for start in life.starts] == [0, 61]


def test_what_was_stopped_stays_stopped_and_what_should_be_up_is_started() -> None:
    life = Simulation(SPEC, [Program()])
    recover(life, alive=False)
    life.run(1)
    assert life.instance.status is Status.ONLINE, "declared, and never started"
    life.handle(ev.StopRequested())
    life.run(1)
    recover(life, alive=False)
    life.run(1)
    assert life.instance.status is Status.STOPPED


@pytest.mark.parametrize("status", [Status.ERRORED, Status.EXITED])
def test_what_was_given_up_or_has_ended_is_left_alone(status: Status) -> None:
    instance = Instance(
        id=1, app="agent", index=0, created=0.0, since=0.0, spec=SPEC, status=status, reason="because"
    )
    assert checked_step(instance, ev.Recovered(), 5.0) == (instance, [])


# --- a reboot ---


def test_a_reboot_keeps_how_long_ago_everything_was() -> None:
    policy = RestartPolicy(max_restarts=3, window=600.0, delay=0.0)
    clock = FakeClock(50_000.0)
    life = Simulation(replace(SPEC, restart=policy), [Program(lives=10.0, code=1)], clock=clock)
    life.handle(ev.StartRequested())
    life.run(25)
    assert len(life.instance.restart_times) == 2
    ago = [clock() - time for time in life.instance.restart_times]
    # Two minutes later the machine is up again, for 7 seconds.
    state = State(1, "boot a", clock(), 1e9, 1, [App(life.instance.spec, 49_000.0)], [life.instance])
    moved = after_reboot(state, 7.0, 1e9 + 120.0)
    instance = moved.instances[0]
    assert [7.0 - time for time in instance.restart_times] == pytest.approx([each + 120.0 for each in ago])
    assert moved.apps[0].created == pytest.approx(49_000.0 - clock() - 120.0 + 7.0)
    clock.now = 7.0
    again = Simulation(instance.spec, [Program(lives=10.0, code=1)], clock=clock)
    again.instance = instance
    recover(again, alive=False)
    again.run(3600)
    assert again.instance.status is Status.ERRORED, "the restarts before the reboot count"
    assert len(again.starts) == 1


def test_a_wall_clock_that_was_set_back_makes_nothing_happen_in_the_future() -> None:
    instance = Instance(id=1, app="agent", index=0, created=900.0, since=1000.0, spec=SPEC)
    state = State(1, "boot a", 1000.0, 1e9, 2, [App(SPEC, 900.0)], [instance])
    moved = after_reboot(state, 7.0, 1e9 - 5000.0)
    assert moved.instances[0].since == 7.0


def test_every_time_of_an_instance_is_moved() -> None:
    life = Simulation(replace(SPEC, wait_ready=True), [Program(lives=1.0, code=1), Program()])
    life.handle(ev.StartRequested())
    life.run(2)
    life.handle(ev.Beat(life.process.run_id))
    run = life.instance.run
    assert run is not None
    end = RunEnd(at=life.clock(), uptime=1.0, reason="exit code 1")
    before = replace(life.instance, run=replace(run, leaving=end), after=After.STOP)
    after = shift(before, 1000.0)
    assert shift(after, -1000.0) == before
    assert times(before) != []
    assert times(after) == [time + 1000.0 for time in times(before)]


def times(instance: Instance) -> list[float]:
    """Every float in an instance that is no duration: a new field that nobody moves is found here."""
    found: list[float] = []

    def walk(name: str, part: object) -> None:
        if isinstance(part, dict):
            for key, each in part.items():
                walk(key, each)
        elif isinstance(part, list | tuple):
            for each in part:
                walk(name, each)
        elif isinstance(part, float) and name != "uptime":
            found.append(part)

    walk("", msgspec.to_builtins(replace(instance, spec=NO_SPEC)))
    return found
