"""Options of ``pm2 start`` that are none of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_master import ScriptedMaster, make_change, make_row, make_settled

from pypm.cli.main import run
from pypm.cli.output import guarded
from pypm.cli.pm2_options import AS_ALWAYS, REFUSED, SHORT, VALUED


@pytest.mark.parametrize("name", [*REFUSED, *(SHORT[each] for each in REFUSED if each in SHORT)])
def test_what_is_refused_says_what_to_do_instead(capfd: pytest.CaptureFixture[str], name: str) -> None:
    words = [name, "5"] if name in VALUED or name == SHORT["--pid"] else [name]
    assert guarded(run, ["start", "sleep", *words]) == 2
    out, error = capfd.readouterr()
    assert out == ""
    full = next((each for each, short in SHORT.items() if short == name), name)
    assert error == f"pypm: pypm does not have {full}\nhint: {REFUSED[full]}\n"


@pytest.mark.parametrize("name", AS_ALWAYS)
def test_what_asks_for_what_is_so_anyway_changes_nothing(home: Path, name: str) -> None:
    row = make_row(0, "a")
    answers = {"list": [row], "apply": make_change(row), "wait": make_settled(row), "declared": []}
    with ScriptedMaster(home, **answers) as master:
        assert guarded(run, ["start", "sleep", "-n", "a", name, "--", "5"]) == 0
        assert guarded(run, ["start", "sleep", "-n", "a", "--", "5"]) == 0
    first, second = master.asked("apply")
    assert first["apps"] == second["apps"]
