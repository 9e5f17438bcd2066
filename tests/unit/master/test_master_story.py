"""The story: what is told of an instance's life, and how little of a storm."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import FakeLoop
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.instance import Instance, RunEnd
from pypm.core.machine import step
from pypm.core.spec import AppSpec, RestartPolicy, Rule
from pypm.master.engine import _is_news
from pypm.master.story import Story
from pypm.testing import FakeClock, Program, Simulation, simulation

Told = list[tuple[str, dict[str, Any]]]


class Teller:
    """A simulated life of which a story is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, spec: AppSpec, *programs: Program) -> None:
        self.told: Told = []
        self.clock = FakeClock()
        self.loop = FakeLoop(self.clock)
        self.instances: dict[int, Instance] = {}
        self.story = Story(self.loop, self._record, self.instances, self.clock)  # type: ignore[arg-type]
        monkeypatch.setattr(simulation, "step", self._step)
        self.life = Simulation(spec, programs, clock=self.clock)

    def _record(self, what: str, **facts: Any) -> None:
        self.told.append((what, facts))

    def _step(self, instance: Instance, event: ev.Event, now: float) -> Any:
        after, actions = step(instance, event, now)
        self.instances[after.id] = after
        if _is_news(instance, after):
            self.story.step(instance, after, event)
        return after, actions

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.told]

    def last(self, name: str) -> dict[str, Any]:
        return next(facts for what, facts in reversed(self.told) if what == name)


def app(*rules: Rule, **fields: Any) -> AppSpec:
    return AppSpec("worker", ("/bin/worker",), "/", restart=RestartPolicy(rules=rules), **fields)


def test_a_life_from_start_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    teller = Teller(monkeypatch, app(wait_ready=True), Program(ready=1.0))
    teller.life.handle(ev.StartRequested())
    teller.life.run(5.0)
    teller.life.handle(ev.StopRequested(by="root (pypm stop worker)"))
    teller.life.run(1.0)
    assert teller.names == [
        "instance.starting",
        "instance.online",
        "instance.stopping",
        "run.ended",
        "instance.stopped",
    ]
    assert teller.last("instance.online") == {"name": "worker", "id": 0, "run_id": "run1", "pid": 1001}
    assert teller.last("run.ended") == {
        "name": "worker",
        "id": 0,
        "run_id": "run1",
        "pid": 1001,
        "cause": "operator",
        "reason": "stopped by root (pypm stop worker)",
        "code": 0,
        "signal": None,
        "uptime_seconds": 5.0,
        "status": "stopped",
    }


def test_a_storm_is_one_line_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    teller = Teller(monkeypatch, app(), Program(lives=0.1, code=1))
    teller.life.handle(ev.StartRequested())
    teller.life.run(1000.0)
    assert teller.names == ["instance.online", *["run.ended"] * 17, "instance.errored"]
    ends = [facts for what, facts in teller.told if what == "run.ended"]
    assert [end["status"] for end in ends] == ["starting", *["backoff"] * 15, "errored"]
    assert ends[1]["retry_in_seconds"] == pytest.approx(0.1, rel=0.11)


def test_a_run_that_lasts_after_a_short_one_is_told_of_a_bit_later(monkeypatch: pytest.MonkeyPatch) -> None:
    teller = Teller(monkeypatch, app(), Program(lives=0.1, code=1), Program())
    teller.life.handle(ev.StartRequested())
    teller.life.run(0.5)
    assert teller.names == ["instance.online", "run.ended"]
    teller.loop.run(2.0)
    assert teller.names == ["instance.online", "run.ended", "instance.online"]
    assert teller.told[-1][1]["run_id"] == "run2"
    teller.loop.run(10.0)
    assert len(teller.told) == 3


def test_what_is_held_says_for_how_long_and_by_which_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = Rule("hold", codes=(75,), hold_for=60.0)
    teller = Teller(monkeypatch, app(rule), Program(lives=5.0, code=75))
    teller.life.handle(ev.StartRequested())
    teller.life.run(6.0)
    assert teller.last("run.ended")["rule"] == "rule 1 (exit code 75): hold"
    assert teller.last("instance.held") == {
        "name": "worker",
        "id": 0,
        "reason": "exit code 75; held for 1m",
        "held_seconds": 60.0,
    }


def test_a_log_that_is_being_read_is_no_status_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    teller = Teller(monkeypatch, app(Rule("hold", log="x")), Program(lives=5.0, code=1, writes=("x",)))
    teller.life.handle(ev.StartRequested())
    teller.life.run(6.0)
    assert teller.names == ["instance.online", "run.ended", "instance.held"]


def test_an_end_that_is_heard_of_late_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    teller = Teller(monkeypatch, app(), Program())
    teller.life.handle(ev.StartRequested())
    teller.life.run(100.0)
    teller.life.handle(ev.Exited("run1", 1, at=teller.clock() - 40.0))
    assert teller.last("run.ended")["ended_seconds_ago"] == 40.0


def test_a_report_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    teller = Teller(monkeypatch, app(), Program())
    teller.life.handle(ev.StartRequested())
    teller.life.run(1.0)
    before = teller.life.instance
    end = RunEnd(at=teller.clock(), uptime=1.0, reason="no heartbeat for 1s", snapshot="/r", cause="watchdog")
    teller.story.step(before, replace(before, runs=(end,)), ev.TreeGone("run1"))
    assert teller.last("run.ended")["report"] == "/r"
