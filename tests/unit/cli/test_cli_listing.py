"""The table of instances: what it says, on a terminal of any width and into a pipe."""

from __future__ import annotations

import io
import re
import sys

import pytest
from rich.cells import cell_len
from scripted_master import make_row

from pypm.cli import listing_rich
from pypm.cli.listing import COLUMNS, cells, display_width, fitting, plain_table
from pypm.cli.listing_rich import print_table

WIDE = [
    make_row(
        0, "a-name-of-some-length", namespace="production", health="unhealthy", reason="exit code 1 " * 20
    ),
    make_row(1, "調査員", status="errored", reason="16 restarts within 15m: exit code 1", restarts=16),
    make_row(123, "w:0", status="backoff", retry_in_seconds=2.5, reason="signal SIGKILL"),
]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def on_terminal(
    monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, object]], width: int, **env: str
) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": str(width), **env}.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    print_table(rows)
    monkeypatch.undo()
    return terminal.getvalue()


def without_styles(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def column(row: dict[str, object], name: str) -> str:
    return cells([row])[0][COLUMNS.index(name)]


def test_a_pipe_gets_aligned_text_without_colours() -> None:
    lines = plain_table([make_row(2, "調査員"), make_row(10, "api")]).splitlines()
    assert lines == [
        "id  name    namespace  status   pid  ↺  uptime  cpu  mem  ready  health  note",
        " 2  調査員  default    online  1002  0   1m 5s   2%  12M  yes    -",
        "10  api     default    online  1010  0   1m 5s   2%  12M  yes    -",
    ]


def test_a_pipe_gets_the_whole_note() -> None:
    assert ("exit code 1 " * 20).strip() in plain_table(WIDE)


def test_what_does_not_run_has_no_figures() -> None:
    row = make_row(3, status="stopped")
    assert cells([row]) == [("3", "worker", "default", "stopped", "-", "0", *("-",) * 7, "")]


def test_heartbeat_and_progress_are_shown_beside_ready_where_there_are_any() -> None:
    said = make_row(2, heartbeat_age_seconds=0.4, progress_age_seconds=2820.0)
    head, line, quiet = plain_table([said, make_row(3)]).splitlines()
    assert head.split()[-5:] == ["ready", "health", "beat", "progress", "note"]
    assert line.split()[-2:] == ["400ms", "47m"]
    assert quiet.split()[-2:] == ["-", "-"]
    assert "progress" not in plain_table([make_row(3)])
    wide = fitting(cells([said]), 150, 3)
    assert {"ready", "beat", "progress"} <= set(wide)
    narrow = fitting(cells([said]), 80, 3)
    assert "beat" not in narrow, "they leave first"
    assert "uptime" in narrow


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({}, ""),
        ({"reason": "exit code 1"}, "exit code 1"),
        ({"status_text": "step 3 of 9"}, "step 3 of 9"),
        ({"reason": "unhealthy", "status_text": "step 3 of 9"}, "unhealthy"),
        ({"reason": "exit code 1", "retry_in_seconds": 2.5}, "exit code 1, again in 2.5s"),
        ({"retry_in_seconds": 2.5}, "again in 2.5s"),
        (
            {"status_text": "step 3 of 9", "log_trouble": "its output is dropped"},
            "its output is dropped; step 3 of 9",
        ),
        ({"log_trouble": "its output is dropped"}, "its output is dropped"),
        ({"status_text": "a\nb\x1b[31mc"}, "a b\ufffd[31mc"),
    ],
)
def test_the_note_says_why_or_what_the_agent_says(fields: dict[str, object], note: str) -> None:
    assert column(make_row(**fields), "note") == note


def test_the_note_of_a_job_says_when_it_runs_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pypm.cli.listing.time.time", lambda: 1_700_000_000.0)
    resting = {"status": "exited", "pid": None, "next_run": 1_700_000_090.0}
    assert column(make_row(**resting, reason="exit code 1"), "note") == "exit code 1, next run in 1m 30s"
    assert column(make_row(**resting, reason="armed"), "note") == "armed, next run in 1m 30s"
    running = make_row(next_run=1_700_000_090.0, reason="schedule every 2m")
    assert column(running, "note") == "schedule every 2m"


@pytest.mark.parametrize(("ready", "status", "shown"), [(True, "online", "yes"), (False, "starting", "no")])
def test_ready_is_of_what_runs(ready: bool, status: str, shown: str) -> None:
    assert column(make_row(ready=ready, status=status), "ready") == shown


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("調査員", 6), ("e\u0301", 1), ("↺", 1)])
def test_width_is_that_of_a_terminal(text: str, width: int) -> None:
    assert display_width(text) == width


@pytest.mark.parametrize("width", [20, 30, 40, 60, 79, 80, 100, 120, 200])
def test_a_terminal_gets_whole_lines_of_its_width(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    lines = without_styles(on_terminal(monkeypatch, WIDE, width)).splitlines()
    assert len(lines) == 4 + len(WIDE)
    assert max(map(cell_len, lines)) <= width
    assert len(set(map(cell_len, lines))) == 1


@pytest.mark.parametrize(("width", "missing"), [(200, set()), (30, {"namespace", "health", "cpu", "mem"})])
def test_a_narrow_terminal_gets_what_matters_most(
    monkeypatch: pytest.MonkeyPatch, width: int, missing: set[str]
) -> None:
    header = without_styles(on_terminal(monkeypatch, WIDE, width)).splitlines()[1]
    shown = {name for name in COLUMNS if f" {name} " in header}
    assert {"id", "name", "status"} <= shown
    assert shown & missing == set()
    assert width < 200 or shown == set(COLUMNS) - {"beat", "progress"}, "which nobody has said"


@pytest.mark.parametrize(("health", "is_shown"), [("stalled", True), ("unhealthy", True), ("healthy", False)])
def test_eighty_columns_have_room_for_trouble(
    monkeypatch: pytest.MonkeyPatch, health: str, is_shown: bool
) -> None:
    rows = [make_row(0, "research", health=health, reason="no progress for 30m and no sign of work")]
    lines = without_styles(on_terminal(monkeypatch, rows, 80)).splitlines()
    assert (" health " in lines[1]) is is_shown
    assert (f" {health} " in lines[3]) is is_shown


def test_a_note_that_nobody_has_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "note" not in on_terminal(monkeypatch, [make_row()], 200, NO_COLOR="1")


def test_a_terminal_gets_colours_unless_it_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[32monline" in on_terminal(monkeypatch, [make_row()], 100)
    assert "\x1b[" not in on_terminal(monkeypatch, [make_row()], 100, NO_COLOR="1")


def test_words_of_agents_are_not_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    row = make_row(reason="[red]no[/red] :smile: [/] [link=x]y[/link]")
    assert "[red]no[/red] :smile: [/] [link=x]y[/link]" in on_terminal(monkeypatch, [row], 200, NO_COLOR="1")


def test_every_status_has_a_style() -> None:
    from pypm.core.instance import Status

    assert set(Status) <= set(listing_rich.STATUS_STYLES)
