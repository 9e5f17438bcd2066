"""The log and the events of an instance, read from real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_master import make_row

from pypm.logs.catalog import CatalogEntry
from pypm.logs.paths import LogFiles
from pypm.tui import log_reader
from pypm.tui.event_reader import EventReader
from pypm.tui.log_buffer import LogLine
from pypm.tui.log_reader import LogReader


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LogReader:
    files = LogFiles(str(tmp_path / "out.log"), str(tmp_path / "error.log"), None)
    entry = CatalogEntry(id=7, name="a", app="a", namespace="d", index=0, merged=False, files=files)
    monkeypatch.setattr(log_reader, "read_catalog", lambda home: [entry])
    return LogReader(str(tmp_path), 7)


def told(lines: list[LogLine]) -> list[tuple[str, str, bool]]:
    return [(line.text, line.stream, line.is_failure) for line in lines]


def add(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_the_last_lines_and_what_is_added(reader: LogReader, tmp_path: Path) -> None:
    add(tmp_path / "out.log", "".join(f"line {number}\n" for number in range(log_reader.FIRST + 5)))
    first = reader.begin()
    assert (first[0].text, first[-1].text) == ("line 5", f"line {log_reader.FIRST + 4}")
    assert reader.poll() == []
    add(tmp_path / "out.log", "half")
    add(tmp_path / "error.log", "ERROR: bad\n")
    assert told(reader.poll()) == [("ERROR: bad", "error", False)]
    add(tmp_path / "out.log", " a line\n")
    assert told(reader.poll()) == [("half a line", "out", False)]
    reader.close()


def test_a_traceback_is_marked_whole_when_it_has_ended(reader: LogReader, tmp_path: Path) -> None:
    reader.begin()
    add(tmp_path / "error.log", 'fine\nTraceback (most recent call last):\n  File "a.py"\nValueError: x\n')
    lines = reader.poll()
    reader.poll()
    assert [line.is_failure for line in lines] == [False, True, True, True]
    reader.close()


def test_a_flood_is_cut_and_said_to_be(reader: LogReader, tmp_path: Path) -> None:
    reader.begin()
    count = log_reader.MOST_AT_ONCE + 100
    add(tmp_path / "out.log", "x\n" * count)
    lines = reader.poll()
    assert len(lines) == log_reader.MOST_AT_ONCE + 1
    assert lines[0].stream == "note"
    assert "100 lines are left out" in lines[0].text
    reader.close()


def test_a_log_may_be_deleted_and_begun_anew(reader: LogReader, tmp_path: Path) -> None:
    add(tmp_path / "out.log", "old\n")
    assert [line.text for line in reader.begin()] == ["old"]
    (tmp_path / "out.log").unlink()
    assert reader.poll() == []
    add(tmp_path / "out.log", "new\n")
    assert [line.text for line in reader.poll()] == ["new"]
    reader.close()


def test_an_instance_that_nobody_knows_has_no_log(tmp_path: Path) -> None:
    missing = LogReader(str(tmp_path), 5)
    assert missing.begin() == missing.poll() == []
    missing.close()


def events_of(home: Path, *events: dict[str, Any]) -> None:
    text = "".join(json.dumps({"time": "t", **event}) + "\n" for event in events)
    add(home / "events.jsonl", text)


def test_events_of_an_instance_are_those_that_name_it(tmp_path: Path) -> None:
    row = make_row(3, "api:1")
    events_of(
        tmp_path,
        {"event": "run.ended", "name": "api:1", "id": 3},
        {"event": "run.ended", "name": "api:0", "id": 2},
        {"event": "run.ended", "name": "api:1", "id": 9},
        {"event": "operator.stop", "targets": ["api"]},
        {"event": "operator.stop", "targets": ["other"]},
        {"event": "operator.apply", "apps": ["api"]},
        {"event": "operator.restart", "targets": ["3"]},
        {"event": "master.began"},
    )
    add(tmp_path / "events.jsonl", "no event\n[1]\n{}\n")
    reader = EventReader(str(tmp_path))
    names = [event["event"] for event in reader.about(row)]
    assert names == ["operator.restart", "operator.apply", "operator.stop", "run.ended"]
    events_of(tmp_path, {"event": "instance.online", "name": "api:1", "id": 3})
    assert reader.about(row)[0]["event"] == "instance.online"
    reader.close()


def test_a_home_without_events_has_none(tmp_path: Path) -> None:
    reader = EventReader(str(tmp_path))
    assert reader.about(make_row(0)) == []
    events_of(tmp_path, {"event": "run.began", "name": "worker", "id": 0})
    assert len(reader.about(make_row(0))) == 1
    reader.close()
