"""Days of an agent's life on a fake clock: readiness, what a run leaves behind, memory."""

from __future__ import annotations

import pytest
from lives import HOUR, MIB, SERVES, app, delays, started

from pypm.core import events as ev
from pypm.core.instance import Status
from pypm.core.spec import AppSpec
from pypm.testing import Program, Simulation

# --- readiness ---


def waiting(**fields: object) -> AppSpec:
    return app(wait_ready=True, **fields)


def test_who_has_to_say_that_it_is_ready_is_starting_until_then() -> None:
    life = started(waiting(listen_timeout=3.0), Program(ready=2.0))
    life.run(1.9)
    assert life.instance.status is Status.STARTING
    life.run(0.2)
    assert life.instance.status is Status.ONLINE
    life.run(HOUR)
    assert life.instance.status is Status.ONLINE
    assert len(life.starts) == 1


def test_not_ready_in_time_is_a_failure_with_its_reason() -> None:
    life = started(waiting(listen_timeout=3.0), Program(), Program(ready=1.0))
    life.run(3.0)
    assert life.processes[0].signals == ["SIGTERM"]
    life.run(2.0)
    assert life.instance.status is Status.ONLINE
    assert life.instance.reason == "restarted: not ready within 3s"
    last = life.instance.last
    assert last is not None
    assert last.reason == "not ready within 3s"


@pytest.mark.parametrize("timeout", [0.5, 3.0, 30.0, 40.0])
def test_never_ready_is_given_up(timeout: float) -> None:
    """Also where the time to get ready is as long as a healthy uptime."""
    life = started(waiting(listen_timeout=timeout, max_restarts=5), Program())
    life.run(HOUR)
    assert life.instance.status is Status.ERRORED
    assert len(life.starts) == 6
    assert life.instance.reason.startswith("not ready within")
    assert delays(life)[-1] > timeout + 0.3, "and slowed"


def test_never_ready_is_no_success_whatever_its_exit_code() -> None:
    spec = waiting(listen_timeout=3.0, autorestart="on-failure", stop_exit_codes=(0,), max_restarts=2)
    life = started(spec, Program(code=0))
    life.run(60)
    assert life.instance.status is Status.ERRORED
    life = started(waiting(listen_timeout=3.0, autorestart="never"), Program(code=0))
    life.run(60)
    assert life.instance.status is Status.ERRORED
    assert life.instance.reason == "not ready within 3s; autorestart is off"


def test_a_late_ready_of_the_run_before_is_not_believed() -> None:
    life = started(waiting(listen_timeout=3.0), Program(), Program())
    life.run(4.0)
    assert life.process.run_id == "run2"
    life.handle(ev.Ready("run1"))
    assert life.instance.status is Status.STARTING


def test_it_ends_before_it_is_ready() -> None:
    life = started(waiting(listen_timeout=3.0), Program(lives=1.0, code=2), Program(ready=1.0))
    life.run(10.0)
    assert life.instance.status is Status.ONLINE
    assert life.instance.reason == "restarted: exit code 2"
    assert life.process.signals == [], "the deadline of the first run was its own"


# --- the whole tree ---


def test_what_a_run_leaves_behind_is_asked_and_then_killed() -> None:
    life = started(app(kill_timeout=2.0), Program(lives=60.0, code=1, leftovers=HOUR), SERVES)
    life.run(60.0)
    first = life.process
    assert life.instance.status is Status.STOPPING
    assert first.signals == ["SIGTERM"]
    life.run(2.1)
    assert first.signals == ["SIGTERM", "SIGKILL"]
    assert life.instance.status is Status.ONLINE
    assert life.instance.reason == "restarted: exit code 1", "the way it ended, not what we did after that"


def test_leftovers_that_go_when_asked_are_not_killed() -> None:
    life = started(app(), Program(lives=60.0, code=1, leftovers=0.5), SERVES)
    life.run(61.0)
    assert life.processes[0].signals == ["SIGTERM"]
    assert life.instance.status is Status.ONLINE
    assert life.starts[1] == life.starts[0] + 60.5, "not before the tree is gone"


def test_leftovers_are_no_business_of_ours_without_treekill() -> None:
    life = started(app(treekill=False), Program(lives=60.0, code=1, leftovers=HOUR), SERVES)
    life.run(61.0)
    assert life.processes[0].signals == []
    assert life.instance.status is Status.ONLINE


def test_a_stop_is_over_when_the_tree_is_gone() -> None:
    life = started(app(kill_timeout=5.0), Program(leftovers=3.0))
    life.run(10)
    life.handle(ev.StopRequested())
    life.run(2.9)
    assert life.instance.status is Status.STOPPING
    life.run(0.2)
    assert life.instance.status is Status.STOPPED
    assert life.process.signals == ["SIGTERM"]


def test_leftovers_of_a_stop_are_killed_with_the_main_process_gone() -> None:
    life = started(app(kill_timeout=5.0), Program(leftovers=HOUR))
    life.run(10)
    life.handle(ev.StopRequested())
    life.run(1.0)
    life.handle(ev.SpecChanged(app(kill_timeout=5.0, treekill=False)))
    life.run(5.0)
    assert life.instance.status is Status.STOPPED
    assert life.process.signals == ["SIGTERM", "SIGKILL"]


# --- memory ---


def over(life: Simulation, size: int) -> None:
    life.handle(ev.MemoryOver(life.process.run_id, size))


def test_a_memory_restart_says_how_much() -> None:
    life = started(app(max_memory=300 * MIB), SERVES)
    life.run(HOUR)
    over(life, 311 * MIB + 1)
    life.run(1)
    assert life.instance.status is Status.ONLINE
    assert life.instance.reason == "restarted: memory 312M > 300M"
    assert life.instance.restarts == 1
    assert life.processes[0].signals == ["SIGTERM"]


def test_a_memory_restart_of_a_healthy_run_is_no_failure() -> None:
    life = started(app(max_memory=300 * MIB, max_restarts=2), SERVES)
    for _ in range(20):
        life.run(31)
        over(life, 301 * MIB)
        life.run(0.1)
        assert life.instance.status is Status.ONLINE, "at once"
    assert life.instance.restarts == 20
    assert life.instance.restart_times == ()
    assert life.instance.failures == 0


def test_a_memory_restart_of_a_young_run_counts() -> None:
    life = started(app(max_memory=300 * MIB, max_restarts=2, delay=0.0), SERVES)
    for _ in range(3):
        life.run(5)
        over(life, 301 * MIB)
    life.run(5)
    assert life.instance.status is Status.ERRORED
    assert life.instance.reason == "memory 301M > 300M; 2 restarts within 15m"


@pytest.mark.parametrize(
    "policy",
    [{"autorestart": "never"}, {"autorestart": "on-failure"}, {"stop_exit_codes": (0,)}],
    ids=str,
)
def test_a_memory_restart_is_a_restart_whatever_the_exit_code(policy: dict[str, object]) -> None:
    life = started(app(max_memory=300 * MIB, **policy), Program(code=0), SERVES)
    life.run(HOUR)
    over(life, 400 * MIB)
    life.run(1)
    assert life.instance.status is Status.ONLINE


def test_memory_below_the_limit_or_without_one_is_nothing() -> None:
    for spec in (app(max_memory=300 * MIB), app()):
        life = started(spec, SERVES)
        life.run(HOUR)
        over(life, 300 * MIB)
        assert life.instance.status is Status.ONLINE
        assert life.process.signals == []


@pytest.mark.parametrize(
    ("limit", "size", "words"),
    [
        (300 * MIB, 300 * MIB + 1, "memory 301M > 300M"),
        (512 * 1024, 600 * 1024, "memory 600K > 512K"),
        (1000, 1024, "memory 1024B > 1000B"),
        (1024 * MIB, 1025 * MIB, "memory 1025M > 1024M"),
    ],
)
def test_the_reason_never_shows_a_size_below_its_limit(limit: int, size: int, words: str) -> None:
    life = started(app(max_memory=limit), SERVES)
    life.run(HOUR)
    over(life, size)
    assert life.instance.reason == words
