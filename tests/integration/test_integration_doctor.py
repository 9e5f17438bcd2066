"""``pypm doctor`` with a real master: its facts are true."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from real_pypm import RealPypm, shell, sleeper

from pypm.testing import wait_until


def check(answer: dict[str, list[dict[str, str]]], name: str) -> dict[str, str]:
    return next(each for each in answer["checks"] if each["name"] == name)


def test_all_is_well_with_a_new_master(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("b", autostart=False))
    with pypm.connect() as connection:
        facts = connection.call("doctor")
        # Connections that have just ended, and files that are read meanwhile, come and go.
        open_files = f"/proc/{facts['master_pid']}/fd"
        wait_until(lambda: connection.call("doctor")["open_files"] == len(os.listdir(open_files)))
    assert (facts["running"], facts["instances"], facts["state_trouble"]) == (1, 2, None)
    assert facts["subreaper"]
    assert facts["guarded"]
    assert facts["open_files_limit"] >= facts["open_files"]
    answer = pypm.json("doctor")
    assert answer["ok"]
    assert str(facts["master_pid"]) in check(answer, "master")["text"]


def test_a_log_that_takes_nothing_is_named_as_long_as_it_is_used(pypm: RealPypm) -> None:
    pypm.start(shell("a", "while echo line; do sleep 0.05; done", out_file="/dev/full"), sleeper("b"))
    wait_until(lambda: bool(pypm.call("doctor")["log_troubles"]))
    assert pypm.call("doctor")["log_troubles"] == [
        {"path": "/dev/full", "kind": "write", "reason": "No space left on device"}
    ]
    assert pypm.row("a")["log_trouble"] == "its output is dropped (/dev/full: No space left on device)"
    assert pypm.row("b")["log_trouble"] == ""
    assert "its logs  its output is dropped (/dev/full:" in pypm.ok("why", "a")
    pypm.ok("delete", "a")
    assert check(pypm.json("doctor"), "logs")["level"] == "ok"


def test_groups_that_are_switched_off_are_said_to_be(pypm: RealPypm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYPM_CGROUP", "no")
    pypm.start(sleeper("a"))
    control = pypm.call("doctor")["tree_control"]
    assert (control["level"], control["folder"]) == ("marks", None)
    assert check(pypm.json("doctor"), "tree control")["level"] == "warn"


def test_a_group_in_force_holds_the_run_and_is_gone_with_the_master(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    control = pypm.call("doctor")["tree_control"]
    if not control["folder"]:
        pytest.skip(control["trouble"])
    folder = f"{control['folder']}/{pypm.row('a')['id']}"
    wait_until(lambda: Path(f"{folder}/cgroup.procs").read_text().split() == [str(pypm.pid("a"))])
    pypm.ok("kill")
    assert not os.path.exists(control["folder"])


def test_a_home_that_others_can_read_is_a_failure(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    pypm.home.chmod(0o755)
    done = pypm.run("doctor")
    assert done.returncode == 1
    assert f"chmod 700 {pypm.home}" in done.stdout


def test_what_limits_the_machine_can_hold_is_told_without_a_master_as_well(pypm: RealPypm) -> None:
    before = pypm.json("doctor")["limits"]
    pypm.start(sleeper("a"))
    assert {"memory", "cpu_max", "cpu", "tasks", "oom_score_adj", "sandbox"} <= {
        each["what"] for each in before
    }
    assert before == pypm.json("doctor")["limits"]


@pytest.mark.parametrize("runs", [False, True])
def test_a_limit_that_this_machine_refuses_is_a_warning_of_validate(
    pypm: RealPypm, monkeypatch: pytest.MonkeyPatch, runs: bool
) -> None:
    monkeypatch.setenv("PYPM_CGROUP", "no")
    if runs:
        pypm.start(sleeper("a"))
    own = {"name": "b", "command": "/bin/true", "limits": {"cpu_max": 50}}
    kind = {"name": "c", "command": "/bin/true", "limits": {"cpu_max": 50, "enforce": "best_effort"}}
    shared = {"name": "d", "command": "/bin/true", "namespace": "team"}
    spaces = {"team": {"limits": {"cpu_max": 100}}}
    pypm.write("ecosystem.json", json.dumps({"apps": [own, kind, shared], "namespaces": spaces}))
    [file] = pypm.json("validate", "ecosystem.json")["files"]
    assert file["ok"]
    found = [(each["app"], each["key"]) for each in file["warnings"]]
    assert found == [("b", "limits.cpu_max"), ("d", "namespaces.team.limits.cpu_max")]
    assert "PYPM_CGROUP=no switches them off" in file["warnings"][0]["text"]
