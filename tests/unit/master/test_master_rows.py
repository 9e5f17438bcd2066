"""Rows and details: what clients see of an instance."""

from __future__ import annotations

import json

import msgspec
import pytest
from fakes import SPEC, new_engine, new_instance
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.instance import Instance
from pypm.core.spec import AppSpec, LogSpec, Origin, RestartPolicy, Rule
from pypm.core.state import App
from pypm.logs.trouble import LogTrouble, TroubleKind
from pypm.master.rows import Moment, make_detail, make_row
from pypm.master.sampler import Sample
from pypm.testing import FakeClock, Program, Simulation

MOMENT = Moment(boot=1100.0, wall=2_000_000_000.0)


def lived(spec: AppSpec, *programs: Program, seconds: float = 100.0) -> Instance:
    life = Simulation(spec, programs or [Program()])
    life.handle(ev.StartRequested())
    life.run(seconds)
    return life.instance


def row_of(instance: Instance, sample: Sample | None = None) -> dict[str, object]:
    return json.loads(msgspec.json.encode(make_row(instance, sample, "/logs", MOMENT)))  # type: ignore[no-any-return]


def test_a_row_of_what_runs() -> None:
    spec = replace(SPEC, namespace="lab", instances=2)
    instance = lived(spec, Program(lives=40.0, signal=11), Program())
    sample = Sample("run2", 1099.0, 3.0, 12.345, 50_000_000, 2, 3)
    assert row_of(instance, sample) == {
        "id": 0,
        "name": "agent:0",
        "app": "agent",
        "namespace": "lab",
        "instance": 0,
        "status": "online",
        "desired": "up",
        "pid": 1002,
        "restarts": 1,
        "uptime_seconds": 60.0,
        "last_run": 1999999940.0,
        "next_run": None,
        "cpu_percent": 12.3,
        "memory_bytes": 50_000_000,
        "ready": True,
        "health": "unknown",
        "reason": "restarted: killed by SIGSEGV",
        "awaited": "",
        "last_exit": {
            "code": None,
            "signal": "SIGSEGV",
            "reason": "killed by SIGSEGV",
            "cause": "signal",
            "report": "",
            "run_id": "run1",
            "rule": "",
            "at": 1_999_999_940.0,
            "uptime_seconds": 40.0,
        },
        "status_text": "",
        "heartbeat_age_seconds": None,
        "progress_age_seconds": None,
        "progress_text": "",
        "iteration": None,
        "waiting_for": "",
        "waiting_seconds": None,
        "evidence": "",
        "trouble": "",
        "retry_in_seconds": None,
        "held_until": None,
        "log_trouble": "",
        "out_file": "/logs/agent-0-out.log",
        "error_file": "/logs/agent-0-error.log",
    }


def test_a_row_of_what_never_ran() -> None:
    row = row_of(replace(new_instance(3), created=1000.0))
    assert (row["status"], row["name"]) == ("stopped", "agent")
    for name in ("pid", "uptime_seconds", "cpu_percent", "memory_bytes", "last_exit", "retry_in_seconds"):
        assert row[name] is None
    assert row["ready"] is False


def test_a_row_of_what_waits_says_how_long() -> None:
    delayed = replace(SPEC, restart=RestartPolicy(delay=30.0))
    row = row_of(lived(delayed, Program(lives=80.0, code=1)))
    assert row["status"] == "backoff"
    assert row["retry_in_seconds"] == 10.0
    late = row_of(lived(delayed, Program(lives=69.0, code=1), seconds=98.0))
    assert late["retry_in_seconds"] == 0.0, "never below zero"


def test_a_row_of_what_is_held_says_until_when() -> None:
    held = replace(SPEC, restart=RestartPolicy(rules=(Rule("hold", codes=(75,), hold_for=50.0),)))
    row = row_of(lived(held, Program(lives=80.0, code=75)))
    assert (row["status"], row["retry_in_seconds"]) == ("held", 30.0)
    assert row["held_until"] == MOMENT.wall + 30.0
    assert row["last_exit"]["rule"] == "rule 1 (exit code 75): hold"
    told = replace(SPEC, restart=RestartPolicy(rules=(Rule("hold"),)))
    row = row_of(lived(told, Program(lives=80.0, code=75)))
    assert (row["status"], row["retry_in_seconds"], row["held_until"]) == ("held", None, None)


def test_streams_that_are_kept_nowhere() -> None:
    row = row_of(new_instance(0, replace(SPEC, logs=LogSpec(disabled=True))))
    assert (row["out_file"], row["error_file"]) == (None, None)


def test_a_detail_is_a_row_with_all_that_is_known() -> None:
    clock = FakeClock(1040.0)
    engine, _ = new_engine(clock)
    engine.add(replace(new_instance(0), created=1000.0))
    engine.handle(0, ev.StartRequested())
    clock.advance(60.0)
    instance = engine.instances[0]
    app = App(SPEC, 1000.0, Origin({"SECRET": "x"}, 0o027))
    detail = make_detail(instance, None, "/logs", MOMENT, app, engine.history(0), None)
    data = json.loads(msgspec.json.encode(detail))
    assert data.items() >= row_of(instance).items()
    assert data["spec"]["name"] == "agent"
    assert data["origin_umask"] == 0o027
    assert data["created_at"] == 1_999_999_900.0
    assert data["started_at"] == 1_999_999_940.0
    assert data["run_id"] == "run1"
    assert data["history"] == [
        {"at": 1_999_999_940.0, "event": "StartRequested", "from": "stopped", "to": "starting", "reason": ""},
        {"at": 1_999_999_940.0, "event": "Spawned", "from": "starting", "to": "online", "reason": ""},
    ]
    assert "SECRET" not in msgspec.json.encode(detail).decode()
    assert "token1" not in msgspec.json.encode(detail).decode(), "the run's secret stays ours"


@pytest.mark.parametrize(
    ("troubles", "told"),
    [
        ({"/logs/agent-out.log": "rotation"}, "its log cannot be rotated (/logs/agent-out.log: no space)"),
        (
            {"/logs/agent-out.log": "rotation", "/logs/agent-error.log": "write"},
            "its output is dropped (/logs/agent-error.log: no space)",
        ),
        (
            {"/logs/agent-out.log": "block", "/logs/agent-error.log": "write"},
            "it waits, as its log takes nothing (/logs/agent-out.log: no space)",
        ),
        ({"/logs/other-out.log": "block"}, ""),
    ],
)
def test_what_is_wrong_with_its_logs_is_told(troubles: dict[str, TroubleKind], told: str) -> None:
    present = {
        path: LogTrouble(path, kind, ended=False, reason="no space", dropped_bytes=0)
        for path, kind in troubles.items()
    }
    row = make_row(lived(SPEC), None, "/logs", MOMENT, troubles=present)
    assert row.log_trouble == told
