"""``pypm events``: which events are about whom, of which time, and what a person reads."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pypm.cli.event_words import event_line
from pypm.cli.main import run
from pypm.core.errors import NotFoundError
from pypm.logs.event_view import EventView

Capture = pytest.CaptureFixture[str]
STORY: list[dict[str, Any]] = [
    {"event": "master.started", "pid": 5},
    {"event": "operator.apply", "by": "me (pypm start)", "apps": ["web", "work"], "pid": 9, "uid": 0},
    {"event": "instance.online", "name": "web", "id": 0, "run_id": "r1", "pid": 11},
    {"event": "instance.online", "name": "work:0", "id": 1, "run_id": "r2", "pid": 12},
    {"event": "instance.online", "name": "gone", "id": 7, "run_id": "r3", "pid": 13},
    {"event": "run.ended", "name": "work:0", "id": 1, "reason": "exit code 3", "cause": "exit"},
    {"event": "operator.stop", "by": "me (pypm stop)", "targets": ["web"], "pid": 9},
    {"event": "log.dropping", "path": "HOME/logs/web-out.log", "reason": "no space"},
    {"event": "instance.deleted", "name": "gone", "id": 7},
    {"event": "operator.kill", "by": "me (pypm kill)", "pid": 9},
]


def stamped(minute: int) -> str:
    return f"2026-11-22T10:{minute:02d}:00.000Z"


@pytest.fixture
def story(home: Path) -> Path:
    """A home whose story is in three files, the oldest one compressed."""
    lines = [
        json.dumps({"time": stamped(minute), **event}).replace("HOME", str(home)) + "\n"
        for minute, event in enumerate(STORY)
    ]
    (home / "events.jsonl.2.gz").write_bytes(gzip.compress("".join(lines[:3]).encode(), mtime=1))
    (home / "events.jsonl.1").write_text("".join(lines[3:6]))
    (home / "events.jsonl").write_text("".join(lines[6:]))
    apps = [
        {"spec": {"name": name, "command": ["/bin/true"], "cwd": "/", "namespace": space, "instances": count}}
        for name, space, count in (("web", "front", 1), ("work", "back", 2))
    ]
    instances = [
        {"id": number, "app": app, "index": number // 2} for number, app in enumerate(("web", "work", "work"))
    ]
    instances[1]["index"], instances[2]["index"] = 0, 1
    (home / "state").mkdir()
    (home / "state" / "state.json").write_text(
        json.dumps({"version": 1, "apps": apps, "instances": instances})
    )
    return home


def minutes(home: Path, *targets: str, **times: int) -> list[int]:
    """When the events of a view were."""
    view = EventView(str(home), targets, **times)
    try:
        return [int(told.event["time"][14:16]) for told in view.history(None)]
    finally:
        view.close()


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([], list(range(10))),
        (["all"], list(range(10))),
        (["web"], [1, 2, 6, 7]),
        (["work"], [1, 3, 5]),
        (["work:0"], [3, 5]),
        (["0"], [2, 7]),
        (["back"], [3, 5]),
        (["w*"], [1, 2, 3, 5, 6, 7]),
        (["/^go/"], [4, 8]),
        (["gone", "web"], [1, 2, 4, 6, 7, 8]),
    ],
)
def test_whom_events_are_about(story: Path, targets: list[str], expected: list[int]) -> None:
    if targets == ["all"]:  # an order to kill names nobody
        expected = [minute for minute in expected if minute != 9]
    assert minutes(story, *targets) == expected


def test_who_was_never_there_is_told_with_the_nearest_name(story: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        minutes(story, "wbe")
    assert caught.value.hint == "did you mean web?"


def test_times_are_within_both_bounds(story: Path) -> None:
    assert minutes(story, since=1795341780000, until=1795341960000) == [3, 4, 5, 6]
    assert minutes(story, "gone", since=1795341900000) == [8], "it is known from before"


def test_json_is_the_lines_of_the_file(story: Path, capfd: Capture) -> None:
    assert run(["events", "--json", "-n", "2"]) == 0
    lines = (story / "events.jsonl").read_text().splitlines()
    assert capfd.readouterr().out.splitlines() == lines[-2:]


def test_what_is_no_event_is_counted(story: Path, capfd: Capture) -> None:
    with (story / "events.jsonl").open("a") as file:
        file.write('{"event": 3}\n[]\nnonsense\n')
    assert run(["events", "-n", "1"]) == 0
    assert "3 lines of events.jsonl are no events" in capfd.readouterr().err


def test_where_nothing_has_happened(home: Path, capfd: Capture) -> None:
    assert run(["events"]) == 0
    assert capfd.readouterr() == ("", "pypm: there are no such events\n")


def test_what_a_person_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    def words(**event: Any) -> str:
        date, time, rest = event_line({"time": stamped(0), **event}).split(" ", 2)
        assert (len(date), len(time)) == (10, 8)
        return rest.strip()

    end = {"event": "run.ended", "name": "a", "cause": "exit", "reason": "exit code 3", "uptime_seconds": 5}
    assert words(**end, status="backoff", retry_in_seconds=0.1) == (
        "a  run.ended  exit code 3 [exit], after 5s; again in 100ms"
    )
    assert words(**end, status="starting") == "a  run.ended  exit code 3 [exit], after 5s; started again"
    assert words(**end, status="errored").endswith("after 5s; errored")
    assert words(event="operator.stop", by="me (pypm stop a)", targets=["a", "b"], pid=3, uid=0) == (
        "-  operator.stop  by me (pypm stop a), targets a b"
    )
    assert words(event="instance.held", name="a", reason="quota", held_seconds=90) == (
        "a  instance.held  quota, held_seconds 1m 30s"
    )
    assert words(event="instance.deleted", name="a\x1b[2J") == "a�[2J  instance.deleted"
