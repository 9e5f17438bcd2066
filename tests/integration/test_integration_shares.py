"""Limits of whole trees where the kernel holds nobody to them: counted by us, or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_pypm import RealPypm, shell, sleeper

FEW = "sleep 5981 & sleep 5981 & sleep 5981 & wait"


@pytest.fixture(autouse=True)
def without_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYPM_CGROUP", "no")


def test_a_share_of_cpu_is_refused_with_the_reason_and_nothing_is_declared(pypm: RealPypm) -> None:
    done = pypm.run("start", pypm.ecosystem(sleeper("a", limits={"cpu_max": "50%"})))
    assert done.returncode == 1
    assert "a: limits.cpu_max: this machine cannot hold it to that: PYPM_CGROUP=no" in done.stderr
    assert pypm.rows() == []


def test_with_best_effort_it_starts_and_that_is_told(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", limits={"cpu_max": "50%", "enforce": "best_effort"}))
    assert '"event":"limits.not_enforced","name":"a"' in (pypm.home / "events.jsonl").read_text()


def test_who_has_too_many_tasks_is_restarted(pypm: RealPypm) -> None:
    pypm.begin(shell("a", FEW, limits={"tasks": 3}))
    row = pypm.wait_row("a", lambda row: row["last_exit"] is not None)
    assert (row["last_exit"]["cause"], row["last_exit"]["reason"]) == ("tasks", "4 tasks > 3")
    assert row["restarts"] >= 1


def test_of_a_namespace_the_one_that_uses_most_is_restarted(pypm: RealPypm) -> None:
    file = Path(pypm.ecosystem(shell("a", FEW, namespace="team"), sleeper("b", namespace="team")))
    file.write_text(file.read_text() + "\n[namespaces.team.limits]\ntasks = 4\n")
    pypm.ok("start", str(file), "--no-wait")
    row = pypm.wait_row("a", lambda row: row["last_exit"] is not None)
    assert row["last_exit"]["reason"].startswith("the namespace team uses 5 tasks of 4")
    assert pypm.row("b")["restarts"] == 0


def test_doctor_tells_who_holds_agents_to_what(pypm: RealPypm) -> None:
    def told() -> list[str]:
        table = {each["what"]: each["by"] for each in pypm.json("doctor")["limits"]}
        return [table[name] for name in ("memory", "cpu_max", "tasks", "kill")]

    expected = ["pypm", "nobody", "pypm", "pypm"]
    assert told() == expected, "without a master"
    pypm.start(sleeper("a"))
    assert told() == expected
    assert "start again without PYPM_CGROUP=no" in pypm.ok("doctor")
