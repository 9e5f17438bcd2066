"""What ``pypm doctor`` finds good and bad, and what it says to do about it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from scripted_master import ScriptedMaster, make_doctor

from pypm.cli import checks
from pypm.cli.checks import Check, check_home, check_machine, check_master
from pypm.cli.doctor import table
from pypm.cli.main import run
from pypm.cli.output import guarded
from pypm.core.errors import RequestError

FACTS = make_doctor(Path("/home"))

FULL = {"path": "/x.log", "kind": "write", "reason": "No space left on device"}
MARKS = {"level": "marks", "cgroups": "unified", "folder": None, "trouble": "it is not delegated to us"}


def named(found: list[Check], name: str) -> Check:
    (check,) = (each for each in found if each.name == name)
    return check


def of_home(home: Path, *, running: bool = True) -> list[Check]:
    return list(check_home(str(home), running=running))


def of_master(**changed: Any) -> list[Check]:
    return list(check_master(FACTS | changed))


# --- the home ---


def test_a_good_home_has_nothing_to_mend(home: Path) -> None:
    found = of_home(home)
    assert [each.name for each in found] == ["home", "sockets", "disk", "stale files"]
    assert {each.level for each in found} <= {"ok", "warn"}  # the disk of the machine may be nearly full
    assert all(each.level == "ok" for each in found if each.name != "disk")


def test_settings_of_the_home_are_read(home: Path) -> None:
    settings = home / "config.toml"
    settings.write_text('[logs]\ntotal_size = "3G"\n')
    assert named(of_home(home), "settings").level == "ok"
    settings.write_text('[logs]\ntotal_sise = "3G"\n')
    check = named(of_home(home), "settings")
    assert check.level == "fail"
    assert f'{settings}: logs.total_sise: unknown key; did you mean "total_size"?' in check.text
    assert "goes on with what held before" in check.remedy


def test_a_home_that_is_not_there_is_no_trouble(home: Path) -> None:
    (check,) = of_home(home / "new")
    assert check.level == "ok"
    assert not (home / "new").exists()


def test_what_others_can_read_fails(home: Path) -> None:
    (home / "state").mkdir()
    (home / "state" / "state.json").write_text("{}")
    (home / "state" / "state.json").chmod(0o640)
    home.chmod(0o750)
    found = of_home(home)
    assert named(found, "home").remedy == f"chmod 700 {home}"
    assert named(found, "state").remedy == f"chmod 600 {home}/state/state.json"
    assert [named(found, name).level for name in ("home", "state")] == ["fail", "fail"]


def test_a_home_of_another_user_fails(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(home).st_uid + 1)
    check = named(of_home(home), "home")
    assert check.level == "fail"
    assert "PYPM_HOME" in check.remedy


def test_a_long_home_has_its_sockets_elsewhere_and_says_where(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    long = home / ("x" * 100)
    long.mkdir(mode=0o700)
    check = named(of_home(long), "sockets")
    assert check.level == "ok"
    assert f"in {home}/pypm-" in check.text


@pytest.mark.parametrize(("free", "level"), [(300, "ok"), (100, "warn"), (10, "fail")])
def test_a_full_disk(home: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    real = os.statvfs(home)
    values = list(real[:10])
    values[1], values[4] = 1, free * checks.MEBIBYTE  # f_frsize, f_bavail
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(values))
    assert named(of_home(home), "disk").level == level


def test_a_read_only_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = list(os.statvfs(home)[:10])
    values[8] |= os.ST_RDONLY
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(values))
    assert named(of_home(home), "disk").level == "fail"


def test_old_sockets_and_a_state_that_was_set_aside_are_named(home: Path) -> None:
    (home / "state").mkdir(mode=0o700)
    (home / "state" / "state.json.unusable-1700000000").touch()
    (home / "pypm.sock").touch()
    running, down = of_home(home, running=True), of_home(home, running=False)
    assert "unusable-1700000000" in named(running, "stale files").text
    assert [each.level for each in down if each.name == "stale files"] == ["warn", "warn"]
    assert any("pypm.sock" in each.text for each in down)


# --- the master ---


def test_a_good_master_has_nothing_to_mend() -> None:
    found = of_master()
    assert {each.level for each in found} == {"ok"}
    assert not any(each.remedy for each in found)
    assert "pid 11" in named(found, "master").text
    assert "pid 10" in named(found, "guardian").text
    assert "/g" in named(found, "tree control").text


def test_only_some_of_many_logs_are_named() -> None:
    text = named(of_master(log_troubles=[FULL | {"path": f"/{n}.log"} for n in range(5)]), "logs").text
    assert text.startswith("/0.log takes nothing, and output is dropped (No space left on device); /1.log ")
    assert text.endswith("; and 2 more")
    assert "/3.log" not in text


@pytest.mark.parametrize(
    ("changed", "name", "level", "remedy"),
    [
        ({"version": "0.0.1"}, "master", "warn", "pypm update"),
        ({"guarded": False}, "guardian", "fail", "master.log"),
        ({"state_trouble": "no space left on device"}, "saving", "fail", "room"),
        ({"log_troubles": [FULL]}, "logs", "fail", "make room"),
        ({"log_troubles": [FULL | {"kind": "block"}]}, "logs", "fail", "make room"),
        ({"log_troubles": [FULL | {"kind": "rotation"}]}, "logs", "warn", "make room"),
        ({"open_files": 1000}, "open files", "warn", "LimitNOFILE"),
        ({"subreaper": False}, "orphans", "fail", "seccomp"),
        ({"tree_control": MARKS}, "tree control", "warn", "Delegate=yes"),
        (
            {"tree_control": MARKS | {"trouble": "PYPM_CGROUP=no"}},
            "tree control",
            "warn",
            "without PYPM_CGROUP",
        ),
        ({"tree_control": MARKS | {"cgroups": "none"}}, "tree control", "warn", "kernel"),
        ({"tree_control": FACTS["tree_control"] | {"level": "cgroup"}}, "tree control", "ok", "5.14"),
    ],
)
def test_what_is_wrong_with_a_master(changed: dict[str, Any], name: str, level: str, remedy: str) -> None:
    found = of_master(**changed)
    check = named(found, name)
    assert check.level == level
    assert remedy in check.remedy
    assert {each.level for each in found if each.name != name} == {"ok"}


def test_no_limit_of_open_files_is_none_that_is_near() -> None:
    assert named(of_master(open_files=10_000, open_files_limit=-1), "open files").level == "ok"


def test_no_master_is_no_trouble() -> None:
    (check,) = check_master(None)
    assert check.level == "ok"


# --- the machine ---


def test_this_machine_is_complete() -> None:
    found = list(check_machine())
    assert named(found, "packages").level == "ok"
    assert "pyzmq" in named(found, "packages").text
    assert named(found, "/proc").level == "ok"


def test_a_missing_package_fails_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "USED_PACKAGES", ("click", "no-such-package"))
    check = named(list(check_machine()), "packages")
    assert check.level == "fail"
    assert "pip install no-such-package" in check.remedy


# --- the command ---


def test_the_table_has_a_line_a_check_and_the_remedy_below() -> None:
    lines = table(
        [Check("home", "ok", "fine"), Check("disk", "fail", "full\x1b[2J", "make room")]
    ).splitlines()
    assert lines[0] == "ok    home  fine"
    assert lines[1].startswith("fail  disk  full")
    assert "\x1b" not in lines[1]
    assert lines[2].strip() == "→ make room"


@pytest.mark.parametrize(
    ("changed", "status"), [({}, 0), ({"tree_control": MARKS}, 0), ({"guarded": False}, 1)]
)
def test_only_a_failure_is_a_failure(
    home: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], status: int
) -> None:
    with ScriptedMaster(home, doctor=make_doctor(home, **changed)):
        assert guarded(run, ["doctor", "--json"]) == status
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is (status == 0)
    assert {"name", "level", "text", "remedy"} == set(answer["checks"][0])


def test_a_master_that_cannot_answer_is_a_failure(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedMaster(home, doctor=RequestError("there is no method 'doctor'")):
        assert guarded(run, ["doctor"]) == 1
    assert "no method" in capsys.readouterr().out


def test_without_a_master_the_rest_is_checked_and_none_is_started(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(run, ["doctor"]) == 0
    assert "none runs" in capsys.readouterr().out
    assert os.listdir(home) == []
