"""Pids that the kernel has given to somebody else: nobody is adopted, counted or signalled for another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from real_pypm import RealPypm, lives, shell, sleeper

from pypm.testing import wait_until


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own that has nothing to do with pypm."""
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True, env={})
    yield process
    process.kill()
    process.wait()


def give_pid_away(pypm: RealPypm, app: str, pid: int) -> None:
    """As if the run of ``app`` had ended while nobody watched, and the kernel had given its pid anew."""
    state = pypm.state()
    for instance in state["instances"]:
        if instance["app"] == app:
            instance["run"]["pid"] = pid
    (pypm.home / "state" / "state.json").write_text(json.dumps(state))


@pytest.mark.parametrize("cgroup", ["yes", "no"])
def test_a_pid_that_is_a_strangers_by_now(
    pypm: RealPypm,
    stranger: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
    cgroup: str,
) -> None:
    monkeypatch.setenv("PYPM_CGROUP", cgroup)
    pypm.start(sleeper("a"), sleeper("b"), shell("leaving", "setsid sleep 1000 & exec sleep 1000"))
    old = {row["name"]: row["pid"] for row in pypm.rows()}
    wait_until(
        lambda: len(pypm.state()["instances"]) == 3 and all("run" in i for i in pypm.state()["instances"])
    )
    pypm.kill_both()
    for name in ("a", "leaving"):
        os.kill(old[name], signal.SIGKILL)
        wait_until(lambda pid=old[name]: not lives(pid), what="its end")
        give_pid_away(pypm, name, stranger.pid)
    pypm.ok("list")
    for name in ("a", "leaving"):
        row = pypm.wait_row(name, lambda row: row["status"] == "online" and row["restarts"] == 1)
        assert row["pid"] not in (stranger.pid, old[name])
        assert "exit status is unknown" in row["last_exit"]["reason"]
    assert pypm.pid("b") == old["b"]
    pypm.ok("restart", "all")
    pypm.ok("delete", "all")
    assert stranger.poll() is None
