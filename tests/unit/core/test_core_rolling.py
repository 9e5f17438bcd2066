"""How far the renewal of an instance has come, by the states that the state machine comes to."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pypm.core.events import RestartRequested, StartRequested, StopRequested
from pypm.core.rolling import at_once, renewal_of
from pypm.core.spec import AppSpec, HealthSpec, RestartPolicy, Rung
from pypm.testing import Program, Simulation

SPEC = AppSpec("agent", ("/bin/agent",), "/", kill_timeout=5.0, min_uptime=2.0)
LIVES = Program(grace=1.0)


def reloaded(spec: AppSpec, *programs: Program) -> tuple[Simulation, float]:
    """An app that has been up for a while and has just been told to begin anew."""
    life = Simulation(spec, programs)
    life.handle(StartRequested())
    life.run(60.0)
    life.handle(RestartRequested())
    return life, life.clock()


def kinds(life: Simulation, since: float, *times: float) -> list[str]:
    found = []
    for time in times:
        life.run(since + time - life.clock())
        found.append(renewal_of(life.instance, since, life.clock()).kind)
    return found


def test_it_is_done_when_the_new_run_has_lived_for_its_min_uptime() -> None:
    life, since = reloaded(SPEC, LIVES)
    assert kinds(life, since, 0.0, 0.9, 1.1, 2.9, 3.1) == ["under way"] * 4 + ["done"]


def test_what_says_by_itself_that_it_is_ready_is_done_when_it_has() -> None:
    spec = replace(SPEC, wait_ready=True, listen_timeout=30.0)
    life, since = reloaded(spec, Program(ready=1.0, grace=0.0), Program(ready=8.0))
    assert kinds(life, since, 1.0, 7.9, 8.1) == ["under way", "under way", "done"]


def test_what_is_not_ready_in_time_has_failed() -> None:
    spec = replace(SPEC, wait_ready=True, listen_timeout=5.0)
    life, since = reloaded(spec, Program(ready=1.0), Program(ready=None))
    assert kinds(life, since, 4.9, 5.1) == ["under way", "failed"]
    assert "not ready" in renewal_of(life.instance, since, life.clock()).reason


def test_what_is_not_ready_in_time_has_failed_also_where_it_is_only_told() -> None:
    alert = HealthSpec(on_startup=(Rung("alert"),))
    spec = replace(SPEC, wait_ready=True, listen_timeout=5.0, health=alert)
    life, since = reloaded(spec, Program(ready=1.0), Program(ready=None))
    assert kinds(life, since, 4.9, 8.0) == ["under way", "failed"]
    assert renewal_of(life.instance, since, life.clock()).reason == "not ready within 5s"


def test_a_crash_counts_also_where_the_policy_has_started_another_run_at_once() -> None:
    life, since = reloaded(SPEC, LIVES, Program(lives=0.5, code=3), LIVES)
    life.run(1.6)
    assert life.instance.run is not None
    found = renewal_of(life.instance, since, life.clock())
    assert (found.kind, found.reason) == ("failed", "exit code 3")


def test_what_cannot_be_started_has_failed() -> None:
    life, since = reloaded(SPEC, LIVES, Program(fails="no such file"))
    life.run(2.0)
    assert renewal_of(life.instance, since, life.clock()).kind == "failed"


def test_an_end_that_is_right_by_its_policy_is_no_failure() -> None:
    spec = replace(SPEC, restart=RestartPolicy(autorestart="on-failure"))
    life, since = reloaded(spec, LIVES, Program(lives=0.1, code=0))
    assert kinds(life, since, 3.0) == ["done"]


def test_what_somebody_stops_meanwhile_is_no_failure() -> None:
    life, since = reloaded(SPEC, LIVES)
    life.run(1.5)
    life.handle(StopRequested())
    assert kinds(life, since, 5.0) == ["left"]
    assert renewal_of(None, since, life.clock()).kind == "left"


@pytest.mark.parametrize(("missing", "together"), [(0, 1), (1, 1), (4, 4)])
def test_as_many_are_renewed_together_as_may_be_missing(missing: int, together: int) -> None:
    assert at_once(missing) == together
