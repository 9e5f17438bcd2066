"""Orders that are answered when all is done tell on a terminal how far they are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from scripted_master import ScriptedMaster, make_row

from pypm.cli.going import is_renewed
from pypm.cli.main import run
from pypm.testing import wait_until

ROWS = [make_row(0, "a"), make_row(1, "b")]
AFTER = [make_row(0, "a", pid=None), make_row(1, "b")]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_deletion_that_takes_its_time_is_told_on_a_terminal_only(
    terminal: bool, home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    written: list[str] = []
    monkeypatch.setattr("pypm.cli.waiting.Progress._write", lambda _, text: written.append(text))

    def delete(_: dict[str, Any]) -> dict[str, Any]:
        master.answers["list"] = AFTER
        if terminal:
            wait_until(lambda: any("deleted: 1 of 2" in text for text in written), 30.0, "it is told")
        return {"instances": [{"id": 0, "name": "a", "action": "deleted"}], "warnings": []}

    with ScriptedMaster(home, list=ROWS, delete=delete) as master:
        assert run(["delete", "all"]) == 0
        assert bool(master.asked("list")) is terminal
    assert capfd.readouterr().out == "deleted a\n"
    if terminal:
        assert "waiting for b" in "".join(written)
        assert written[-1] == "\r\x1b[K", "the line is taken away"
    else:
        assert written == []


def test_a_reload_waits_for_new_runs_and_for_no_job() -> None:
    before = make_row(0, pid=7)
    assert not is_renewed(before, before)
    assert not is_renewed(before, make_row(0, pid=8, status="starting"))
    assert is_renewed(before, make_row(0, pid=8))
    job = make_row(0, pid=None, status="exited", next_run=1.0)
    assert is_renewed(job, job)
    assert not is_renewed(before, None)
