"""Slow disks, clocks that jump, a suspended machine, no more processes: agents run on, and nothing is lost.

``conditions/sitecustomize.py`` makes the conditions, between a real master and the kernel.
"""

from __future__ import annotations

import errno
import json
import os
import signal
from pathlib import Path

import pytest
from real_pypm import RealPypm, lives, python, shell, sleeper

from pypm.testing import wait_until

COUNTER = "i=0; while :; do i=$((i + 1)); echo $i; sleep 0.05; done"
YEARS = 10 * 365 * 86400.0
NIGHT = 8 * 3600.0


class Conditions:
    """The conditions in which masters work from now on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.are()

    def are(self, **values: float) -> None:
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps(values))
        os.rename(draft, self.path)


@pytest.fixture
def conditions(pypm: RealPypm, monkeypatch: pytest.MonkeyPatch) -> Conditions:
    made = Conditions(pypm.home / "conditions.json")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "conditions"))
    monkeypatch.setenv("PYPM_CONDITIONS", str(made.path))
    return made


def goes_on(pypm: RealPypm, name: str) -> None:
    """A counter's log grows, and has every number once and in order."""

    def numbers() -> list[int]:
        return [int(line) for line in pypm.log(name).split()]

    seen = len(numbers())
    wait_until(lambda: len(numbers()) > seen + 3, 20.0, f"more lines of {name}")
    found = numbers()
    assert found == list(range(1, len(found) + 1))


# --- a disk on which fsync takes seconds ---


def test_a_slow_disk_holds_up_who_wants_to_be_sure_and_nobody_else(
    pypm: RealPypm, conditions: Conditions
) -> None:
    pypm.start(sleeper("a"), shell("b", COUNTER))
    old = pypm.pid("a")
    conditions.are(stuck=True)
    with pypm.popen("restart", "a", "--no-wait") as command:
        pypm.wait_row("a", lambda row: row["pid"] not in (None, old))
        assert command.poll() is None, "it is answered when it is on the disk; others are answered meanwhile"
        goes_on(pypm, "b")
        assert command.poll() is None
        conditions.are()
        assert command.wait(60.0) == 0


def test_nothing_is_lost_of_what_a_slow_disk_has_not_taken_yet(
    pypm: RealPypm, conditions: Conditions
) -> None:
    pypm.start(sleeper("a"), sleeper("b"))
    old, saved = pypm.pid("a"), pypm.state()
    conditions.are(stuck=True)
    os.kill(old, signal.SIGKILL)
    row = pypm.wait_row("a", lambda row: row["restarts"] == 1 and row["status"] == "online")
    with pypm.popen("stop", "b") as command:
        pypm.wait_row("b", lambda row: row["status"] == "stopped")
        assert pypm.state() == saved
        pypm.kill_master(at_once=True)
        conditions.are()
        assert command.wait(60.0) == 0
    after = pypm.row("a")
    assert (after["pid"], after["restarts"]) == (row["pid"], 1)
    assert after["last_exit"]["signal"] == "SIGKILL"
    assert pypm.row("b")["status"] == "stopped"


# --- clocks ---


@pytest.mark.parametrize("seconds", [YEARS, -YEARS], ids=["forward", "back"])
def test_somebody_sets_the_clock(pypm: RealPypm, conditions: Conditions, seconds: float) -> None:
    """Durations are not measured on it: nobody is late, no backoff is over or endless, no uptime jumps."""
    late = shell("late", "sleep 1000", wait_ready=True, listen_timeout="10m")
    crashing = shell("crashing", "exit 1", restart_delay="10m")
    pypm.begin(shell("a", COUNTER), late, crashing)
    pypm.wait_status("crashing", "backoff")
    before = {row["name"]: (row["pid"], row["status"]) for row in pypm.rows()}
    conditions.are(wall=seconds)
    pypm.ok("reset", "a")
    goes_on(pypm, "a")
    assert {row["name"]: (row["pid"], row["status"]) for row in pypm.rows()} == before
    assert 0 <= pypm.row("a")["uptime_seconds"] < 3600
    pypm.kill_master()
    assert {row["name"]: (row["pid"], row["status"]) for row in pypm.rows()} == before
    os.kill(pypm.pid("a"), signal.SIGKILL)
    row = pypm.wait_row("a", lambda row: row["restarts"] == 1 and row["status"] == "online")
    assert 0 <= row["uptime_seconds"] < 3600
    conditions.are()


SLOW = """
import os, time
from pypm import agent
while not os.path.exists("{flag}"): time.sleep(0.05)
agent.ready()
time.sleep(1000)
"""


def test_a_night_in_suspend(pypm: RealPypm, conditions: Conditions) -> None:
    """All deadlines pass at once: who had a time to do something still has it, what waited has waited."""
    flag = pypm.folder / "flag"
    slow = python("slow", SLOW.format(flag=flag), wait_ready=True, listen_timeout="1m")
    ended = f"trap 'while ! test -e {flag}; do sleep 0.05; done; exit 0' TERM; while :; do sleep 0.05; done"
    polite = shell("polite", f"echo up; {ended}", kill_timeout="1m")
    once = "test -e crashed && exec sleep 1000; touch crashed; exit 1"
    crashing = shell("crashing", once, restart_delay="1h")
    pypm.begin(slow, polite, crashing, sleeper("calm"))
    pypm.wait_status("crashing", "backoff")
    wait_until(lambda: pypm.log("polite"))
    pids = {name: pypm.pid(name) for name in ("slow", "polite", "calm")}
    with pypm.popen("stop", "polite") as command:
        pypm.wait_status("polite", "stopping")
        conditions.are(asleep=NIGHT)
        assert pypm.wait_status("crashing", "online")["restarts"] == 1
        assert pypm.row("slow")["status"] == "starting"
        assert pypm.row("polite")["status"] == "stopping"
        assert all(map(lives, pids.values()))
        flag.touch()
        assert command.wait(60.0) == 0
    assert "SIGKILL" not in pypm.row("polite")["reason"]
    assert pypm.wait_status("slow", "online")["pid"] == pids["slow"]
    assert pypm.pid("calm") == pids["calm"]


# --- no more processes ---


def test_a_machine_on_which_nothing_can_be_forked(pypm: RealPypm, conditions: Conditions) -> None:
    pypm.start(sleeper("a", restart_delay="100ms", max_restarts="unlimited"), sleeper("calm"))
    calm = pypm.pid("calm")
    conditions.are(fork=errno.EAGAIN)
    os.kill(pypm.pid("a"), signal.SIGKILL)
    row = pypm.wait_row("a", lambda row: row["restarts"] >= 3)
    assert "the limit of processes is reached" in row["reason"]
    done = pypm.run("start", "--name", "b", "--max-restarts", "0", "--", "sleep", "1000")
    assert done.returncode == 1
    assert "the limit of processes is reached" in done.stderr
    conditions.are()
    pypm.wait_status("a", "online")
    pypm.ok("start", "b")
    assert pypm.pid("calm") == calm
