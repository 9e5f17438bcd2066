"""The @reboot line: what a shell makes of it, and that nobody else's line is ever lost."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pypm.boot import cron
from pypm.boot.job import BootJob
from pypm.boot.steps import take
from pypm.core.errors import RequestError

OTHERS = "# my table\nMAILTO=me\n0 5 * * * backup --at 100\\% # pypm home: /elsewhere\n"


def make_job(home: str = "/home/alice/.pypm", **fields: object) -> BootJob:
    facts = {"name": "pypm", "python": "/usr/bin/python3", "guardian": "/opt/pypm/guardian/__main__.py"}
    return BootJob(**{**facts, "home": home, **fields})  # type: ignore[arg-type]


@pytest.fixture
def table(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A crontab(1) that keeps its table in this file, and says so where there is none."""
    kept = home / "table"
    program = home / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >>{home}/asked\nfor last; do :; done\n'
        f'if [ "$last" = - ]; then cat >{kept}; exit; fi\n'
        f"[ -e {kept} ] || {{ echo no crontab for alice >&2; exit 1; }}\ncat {kept}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:" + os.environ["PATH"])
    return kept


@pytest.mark.parametrize("name", ["plain", "a b", "it's", "100%", "$HOME", 'a"b', "back\\slash"])
def test_the_line_runs_the_guardian_with_the_very_home(home: Path, name: str) -> None:
    """As cron runs it: a bare percent sign ends the command, an escaped one is itself."""
    program = home / "python"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{home}/said\necho trouble >&2\n')
    program.chmod(0o755)
    job = make_job(f"{home}/{name}", python=str(program))
    line = cron.line_of(job)
    assert line.startswith("@reboot ")
    command, bare, _ = line.removeprefix("@reboot ").replace("\\%", "\1").partition("%")
    assert not bare
    subprocess.run(["/bin/sh", "-c", command.replace("\1", "%")], check=True, env={"PATH": os.defpath})
    assert (home / "said").read_text().splitlines() == ["-I", "-S", job.guardian, job.home]
    assert (home / name / "master.log").read_text() == "trouble\n"
    assert (home / name).stat().st_mode & 0o777 == 0o700
    assert (home / name / "master.log").stat().st_mode & 0o777 == 0o600


def test_the_first_line_of_a_table(table: Path) -> None:
    take(cron.install(make_job(), start=True))
    assert table.read_text() == cron.line_of(make_job()) + "\n"


def test_installing_and_removing_leaves_everything_else_as_it_was(table: Path) -> None:
    table.write_text(OTHERS)
    job = make_job()
    take(cron.install(job, start=True))
    assert table.read_text() == OTHERS + cron.line_of(job) + "\n"
    take(cron.remove(job))
    assert table.read_text() == OTHERS


def test_doing_it_again_is_nothing_to_do(table: Path) -> None:
    take(cron.install(make_job(), start=True))
    assert cron.install(make_job(), start=True) == []
    take(cron.remove(make_job()))
    assert cron.remove(make_job()) == []


def test_a_new_interpreter_replaces_the_line(table: Path) -> None:
    take(cron.install(make_job(python="/old/python"), start=True))
    take(cron.install(make_job(), start=True))
    assert table.read_text() == cron.line_of(make_job()) + "\n"


def test_two_homes_have_a_line_each(table: Path) -> None:
    first, second = make_job("/a"), make_job("/a/b")
    take(cron.install(first, start=True))
    take(cron.install(second, start=True))
    take(cron.remove(first))
    assert table.read_text() == cron.line_of(second) + "\n"


def test_a_table_without_a_last_line_break_gets_one(table: Path) -> None:
    table.write_text("0 5 * * * backup")
    take(cron.install(make_job(), start=True))
    assert table.read_text() == "0 5 * * * backup\n" + cron.line_of(make_job()) + "\n"


def test_a_table_that_cannot_be_read_is_not_overwritten(table: Path, home: Path) -> None:
    table.write_text(OTHERS)
    program = home / "bin" / "crontab"
    program.write_text(program.read_text().replace("[ -e", "echo you may not >&2; exit 1\n[ -e"))
    with pytest.raises(RequestError, match="you may not"):
        cron.install(make_job(), start=True)
    assert table.read_text() == OTHERS


def test_the_table_of_another_user(table: Path, home: Path) -> None:
    take(cron.install(make_job(system=True, user="alice"), start=True))
    assert (home / "asked").read_text().splitlines() == ["-u alice -l", "-u alice -"]


def test_without_crontab_it_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(RequestError, match="there is no crontab on this machine"):
        cron.install(make_job(), start=True)
