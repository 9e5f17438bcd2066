"""Guardian and master are killed, stopped, broken and replaced: the agents do not notice."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from real_pypm import RealPypm, lives, shell, sleeper

import pypm as package
from pypm.testing import wait_until

COUNTER = "i=0; while :; do i=$((i + 1)); echo $i; sleep 0.05; done"


def numbers(pypm: RealPypm, name: str) -> list[int]:
    """What a counter has printed, as its log has it."""
    return [int(line) for line in pypm.log(name).split()]


def goes_on(pypm: RealPypm, name: str) -> None:
    """A counter's log grows, and has every number once and in order."""
    seen = len(numbers(pypm, name))
    wait_until(lambda: len(numbers(pypm, name)) > seen + 3, 20.0, f"more lines of {name}")
    found = numbers(pypm, name)
    assert found == list(range(1, len(found) + 1))


# --- the guardian's death ---


def test_a_master_takes_the_place_of_its_dead_guardian(pypm: RealPypm) -> None:
    pypm.start(shell("a", COUNTER), sleeper("b"))
    agents, master, guardian = [row["pid"] for row in pypm.rows()], pypm.master_pid(), pypm.guardian_pid()
    os.kill(guardian, signal.SIGKILL)
    wait_until(lambda: pypm.master_pid() != master, 20.0, "another master")
    assert pypm.guardian_pid() == master == pypm.lock_holder()
    assert [row["pid"] for row in pypm.rows()] == agents
    goes_on(pypm, "a")
    os.kill(agents[1], signal.SIGKILL)
    row = pypm.wait_row("b", lambda row: row["restarts"] == 1 and row["status"] == "online")
    assert row["last_exit"]["signal"] == "SIGKILL", "the new guardian reaps and tells"
    assert pypm.row("a")["restarts"] == 0


def test_guardians_are_killed_in_a_row(pypm: RealPypm) -> None:
    pypm.start(shell("a", COUNTER))
    agent = pypm.pid("a")
    for _ in range(3):
        master = pypm.master_pid()
        os.kill(pypm.guardian_pid(), signal.SIGKILL)
        wait_until(lambda master=master: pypm.master_pid() != master, 20.0, "another master")
        assert pypm.guardian_pid() == master
    goes_on(pypm, "a")
    assert pypm.pid("a") == agent
    pypm.ok("kill")
    assert not lives(agent)


def test_guardian_and_master_die_together(pypm: RealPypm) -> None:
    """Quiet agents and those that ignore SIGPIPE live and are adopted; who died of it is started once."""
    pypm.start(sleeper("quiet"), shell("deaf", f"trap '' PIPE; {COUNTER}"), shell("loud", COUNTER))
    old = {row["name"]: row["pid"] for row in pypm.rows()}
    pypm.kill_both()
    wait_until(lambda: not lives(old["loud"]), what="the end of what prints into a broken pipe")
    assert lives(old["quiet"])
    assert lives(old["deaf"])
    pypm.ok("list")
    loud = pypm.wait_row("loud", lambda row: row["status"] == "online" and row["pid"] != old["loud"])
    assert loud["restarts"] == 1
    assert "exit status is unknown" in loud["last_exit"]["reason"]
    for name in ("quiet", "deaf"):
        row = pypm.row(name)
        assert (row["pid"], row["restarts"], row["status"]) == (old[name], 0, "online")
    seen = len(numbers(pypm, "deaf"))
    wait_until(lambda: len(numbers(pypm, "deaf")) > seen, 20.0, "its log goes on")
    found = numbers(pypm, "deaf")
    assert found == sorted(set(found)), "what it printed meanwhile is lost; nothing is there twice"
    pypm.ok("stop", "all")
    assert not any(map(lives, old.values()))


# --- masters that hang or cannot begin ---


def test_a_master_that_hangs_is_replaced(pypm: RealPypm) -> None:
    pypm.start(shell("a", COUNTER))
    agent, master = pypm.pid("a"), pypm.master_pid()
    os.kill(master, signal.SIGSTOP)
    wait_until(lambda: not lives(master), 40.0, "the end of the master that does not answer")
    assert pypm.pid("a") == agent
    goes_on(pypm, "a")
    assert f"the master {master} does not answer" in pypm.master_log()


@pytest.fixture
def installed(pypm: RealPypm, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation of pypm of which the test may change the files; the commands and masters use it."""
    folder = pypm.home / "installed"
    shutil.copytree(
        os.path.dirname(package.__file__), folder / "pypm", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return folder / "pypm"


def set_version(installed: Path, version: str) -> None:
    path = installed / "__init__.py"
    path.write_text(path.read_text().replace(f'"{package.__version__}"', f'"{version}"'))


def test_masters_that_cannot_be_loaded_are_tried_again_later_and_later(
    pypm: RealPypm, installed: Path
) -> None:
    pypm.start(shell("a", COUNTER))
    agent = pypm.pid("a")
    main = installed / "master" / "main.py"
    good = main.read_text()
    main.write_text("raise ImportError('half installed')\n")
    pypm.kill_master()
    wait_until(lambda: "4 masters ended soon; the next one starts in 0.4 s" in pypm.master_log(), 30.0)
    assert lives(agent)
    main.write_text(good)
    assert pypm.pid("a") == agent, "the command has waited for a master"
    goes_on(pypm, "a")
    assert pypm.row("a")["restarts"] == 0


# --- updates ---


def test_an_update_touches_no_agent(pypm: RealPypm, installed: Path) -> None:
    pypm.start(shell("a", COUNTER))
    before, guardian, [detail] = pypm.call("ping"), pypm.guardian_pid(), pypm.json("describe", "a")
    set_version(installed, "9.9.9")
    after = pypm.json("update")
    assert after["version"] == "9.9.9" != before["version"]
    assert after["master_pid"] != before["master_pid"]
    assert pypm.guardian_pid() == guardian
    wait_until(lambda: not lives(before["master_pid"]), what="the old master has left")
    [adopted] = pypm.json("describe", "a")
    for name in ("pid", "run_id", "started_at", "restarts"):
        assert adopted[name] == detail[name]
    goes_on(pypm, "a")


BROKEN = {
    "cannot be loaded": ("main.py", "raise ImportError('half installed')\n"),
    "cannot begin": (
        "recovery.py",
        "def read_state(path):\n    raise RuntimeError('half installed')\n",
    ),
}


@pytest.mark.parametrize(("file", "text"), BROKEN.values(), ids=BROKEN.keys())
def test_an_update_to_what_does_not_work_is_taken_back(
    pypm: RealPypm, installed: Path, file: str, text: str
) -> None:
    pypm.start(shell("a", COUNTER))
    agent, before = pypm.pid("a"), pypm.call("ping")
    path = installed / "master" / file
    good = path.read_text()
    path.write_text(text)
    stderr = pypm.fails(1, "update")
    assert "the update failed: the new master ended with exit code 1" in stderr
    assert pypm.call("ping")["master_pid"] == before["master_pid"]
    assert (pypm.pid("a"), pypm.row("a")["restarts"]) == (agent, 0)
    goes_on(pypm, "a")
    path.write_text(good)
    pypm.ok("update")
    assert pypm.pid("a") == agent
    assert pypm.master_pid() != before["master_pid"]


def test_two_updates_at_once(pypm: RealPypm, installed: Path) -> None:
    pypm.start(shell("a", COUNTER))
    agent, guardian = pypm.pid("a"), pypm.guardian_pid()
    set_version(installed, "9.9.9")
    commands = [pypm.popen("update") for _ in range(2)]
    said = [command.communicate(timeout=60)[1] for command in commands]
    codes = [command.returncode for command in commands]
    assert 0 in codes, said
    assert all(code == 0 or b"an update is under way" in text for code, text in zip(codes, said, strict=True))
    assert pypm.call("ping")["version"] == "9.9.9"
    assert (pypm.pid("a"), pypm.guardian_pid()) == (agent, guardian)
    goes_on(pypm, "a")


def test_an_update_after_the_guardians_death_and_a_death_after_the_update(
    pypm: RealPypm, installed: Path
) -> None:
    pypm.start(shell("a", COUNTER))
    agent, master = pypm.pid("a"), pypm.master_pid()
    os.kill(pypm.guardian_pid(), signal.SIGKILL)
    wait_until(lambda: pypm.master_pid() != master, 20.0, "another master")
    set_version(installed, "9.9.9")
    assert pypm.json("update")["version"] == "9.9.9"
    pypm.kill_master()
    assert pypm.call("ping")["version"] == "9.9.9"
    assert pypm.pid("a") == agent
    goes_on(pypm, "a")
