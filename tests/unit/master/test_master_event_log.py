from __future__ import annotations

import json
import threading
from pathlib import Path

from pypm.logs.trouble import LogTrouble
from pypm.master.event_log import EventLog


def recorded(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_object_a_line_with_its_time_and_facts(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = EventLog(str(path), wall=lambda: 1795364622.5987)
    events.record("agent.ended", name="wörker:0", lines="a\nb", code=None)
    events.record("bad.name", path="\udcff")
    events.close()
    assert recorded(path) == [
        {
            "time": "2026-11-22T16:23:42.598Z",
            "event": "agent.ended",
            "name": "wörker:0",
            "lines": "a\nb",
            "code": None,
        },
        {"time": "2026-11-22T16:23:42.598Z", "event": "bad.name", "path": "?"},
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_is_not_let_go_of_while_another_thread_writes(tmp_path: Path) -> None:
    """Its descriptor would be another file's by the time of the write."""
    events = EventLog(str(tmp_path / "events.jsonl"))
    writing, may_write = threading.Event(), threading.Event()
    order: list[str] = []

    def write(_: bytes) -> None:
        writing.set()
        assert may_write.wait(20)
        order.append("written")

    events._file.write = write  # type: ignore[method-assign,assignment]
    events._file.reopen = lambda: order.append("let go")  # type: ignore[method-assign]
    threads = [threading.Thread(target=events.record, args=("e",)), threading.Thread(target=events.reopen)]
    threads[0].start()
    assert writing.wait(20)
    threads[1].start()
    threads[1].join(0.05)
    may_write.set()
    for thread in threads:
        thread.join(20)
    assert order == ["written", "let go"]


def test_a_trouble_is_told_at_its_beginning_and_its_end(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = EventLog(str(path))
    events.log_trouble(LogTrouble("/x.log", "write", ended=False, reason="full", dropped_bytes=0))
    events.log_trouble(LogTrouble("/x.log", "write", ended=True, reason="", dropped_bytes=7))
    events.close()
    told = [{key: value for key, value in event.items() if key != "time"} for event in recorded(path)]
    assert told == [
        {"event": "log.dropping", "path": "/x.log", "reason": "full"},
        {"event": "log.dropped", "path": "/x.log", "dropped_bytes": 7},
    ]


def test_events_that_could_not_be_written_are_counted_in_one(tmp_path: Path) -> None:
    place = tmp_path / "home"
    place.write_bytes(b"no folder")
    events = EventLog(str(place / "events.jsonl"))
    events.record("lost")
    place.unlink()
    events.record("kept")
    events.close()
    first, second = recorded(place / "events.jsonl")
    assert (first["event"], second["event"]) == ("events.dropped", "kept")
    assert first["reason"] == "Not a directory"
