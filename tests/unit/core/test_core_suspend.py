"""The machine is suspended (or all is frozen) for hours: all deadlines pass at once, and nobody is blamed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.instance import Status
from pypm.core.spec import AppSpec, RestartPolicy
from pypm.testing import Program, Simulation

SPEC = AppSpec("agent", ("/bin/agent",), "/", kill_timeout=5.0, listen_timeout=30.0)
NIGHT = 8 * 3600.0


def test_an_agent_that_was_about_to_be_ready_has_the_rest_of_its_time() -> None:
    life = Simulation(replace(SPEC, wait_ready=True), [Program(ready=20.0)])
    life.handle(ev.StartRequested())
    life.run(10)
    life.suspend(NIGHT)
    life.run(60)
    assert life.statuses == [Status.STOPPED, Status.STARTING, Status.ONLINE]
    assert life.process.signals == []


def test_an_agent_that_is_never_ready_has_only_the_rest_of_its_time() -> None:
    life = Simulation(replace(SPEC, wait_ready=True), [Program()])
    life.handle(ev.StartRequested())
    life.run(10)
    life.suspend(NIGHT)
    life.run(19.9)
    assert life.process.signals == []
    life.run(0.2)
    assert life.processes[0].signals == ["SIGTERM"]
    last = life.instance.last
    assert last is not None
    assert last.reason == "not ready within 30s"


def test_a_polite_end_that_was_under_way_is_no_kill() -> None:
    life = Simulation(SPEC, [Program(grace=4.0)])
    life.handle(ev.StartRequested())
    life.run(100)
    life.handle(ev.StopRequested())
    life.run(1)
    life.suspend(NIGHT)
    life.run(60)
    assert life.process.signals == ["SIGTERM"]
    assert life.instance.status is Status.STOPPED


@pytest.mark.parametrize("naps", [1, 3])
def test_a_deaf_agent_is_killed_after_its_grace_however_often_the_lid_is_closed(naps: int) -> None:
    life = Simulation(SPEC, [Program(grace=None)])
    life.handle(ev.StartRequested())
    life.run(100)
    life.handle(ev.StopRequested())
    for _ in range(naps):
        life.run(1)
        life.suspend(NIGHT)
    life.run(5.0 - naps - 0.1)
    assert life.process.signals == ["SIGTERM"]
    life.run(0.2)
    assert life.process.signals == ["SIGTERM", "SIGKILL"]
    assert life.instance.status is Status.STOPPED


def test_what_waits_to_be_restarted_has_waited_long_enough() -> None:
    """A delay is for the world's sake, in which time went on."""
    spec = replace(SPEC, restart=RestartPolicy(delay=600.0))
    life = Simulation(spec, [Program(lives=1.0, code=1), Program()])
    life.handle(ev.StartRequested())
    life.run(10)
    assert life.instance.status is Status.BACKOFF
    life.suspend(NIGHT)
    life.run(0.0)
    assert life.instance.status is Status.ONLINE
    assert life.instance.restarts == 1


def test_an_agent_at_work_notices_nothing() -> None:
    life = Simulation(SPEC, [Program()])
    life.handle(ev.StartRequested())
    life.run(100)
    before = life.instance
    life.suspend(NIGHT)
    life.run(100)
    assert life.instance == before
