"""The property list, read by the standard library's reader."""

from __future__ import annotations

import os
import plistlib
from pathlib import Path

import pytest

from pypm.boot import launchd
from pypm.boot.job import BootJob
from pypm.boot.steps import RemoveFile, RunProgram, WriteFile, take
from pypm.core.errors import RequestError


def make_job(home: str = "/Users/alice/.pypm", **fields: object) -> BootJob:
    facts = {"name": "pypm", "python": "/usr/bin/python3", "guardian": "/opt/pypm/guardian/__main__.py"}
    return BootJob(**{**facts, "home": home, **fields})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))


@pytest.mark.parametrize("path", ["/Users/alice/.pypm", "/Users/a & b/<x>--y/'\"", "/Users/wörk %s $HOME"])
def test_the_list_says_what_is_run(path: str) -> None:
    job = make_job(path)
    content = plistlib.loads(launchd.plist_text(job).encode())
    assert content["ProgramArguments"] == list(job.command)
    assert content["EnvironmentVariables"] == {"PYPM_HOME": path}
    assert content["RunAtLoad"] is True
    assert "UserName" not in content


def test_the_guardians_end_is_nobody_elses_and_a_meant_one_is_final() -> None:
    content = plistlib.loads(launchd.plist_text(make_job()).encode())
    assert content["AbandonProcessGroup"] is True
    assert content["KeepAlive"] == {"SuccessfulExit": False}


def test_a_users_list_is_written_loaded_and_removed(home: Path) -> None:
    path = home / "Library/LaunchAgents/pypm.pypm.plist"
    write, load = launchd.install(make_job(), start=True)
    assert write == WriteFile(str(path), launchd.plist_text(make_job()))
    assert load == RunProgram(("launchctl", "bootstrap", f"gui/{os.geteuid()}", str(path)))
    assert launchd.install(make_job(), start=False) == [write]
    assert launchd.remove(make_job()) == []
    take([write])
    assert launchd.remove(make_job()) == [RemoveFile(str(path))]


def test_the_machines_list_runs_as_whom_it_should() -> None:
    job = make_job(system=True, user="alice")
    assert plistlib.loads(launchd.plist_text(job).encode())["UserName"] == "alice"
    _, load = launchd.install(job, start=True)
    assert load == RunProgram(("launchctl", "bootstrap", "system", launchd.path_of(job)))
    assert launchd.path_of(job) == "/Library/LaunchDaemons/pypm.pypm.plist"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "was not written by pypm"),
        (plistlib.dumps({"Label": "x"}).decode(), "was not written by pypm"),
        (plistlib.dumps([]).decode(), "was not written by pypm"),
        (launchd.plist_text(make_job("/Users/bob/.pypm")), "starts another home, /Users/bob/.pypm"),
    ],
)
def test_a_list_of_somebody_else_is_left_alone(text: str, words: str) -> None:
    take([WriteFile(launchd.path_of(make_job()), text)])
    for plan in (lambda: launchd.install(make_job(), start=True), lambda: launchd.remove(make_job())):
        with pytest.raises(RequestError, match=words):
            plan()
