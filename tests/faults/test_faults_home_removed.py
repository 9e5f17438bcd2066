"""Cleaners and people remove what a running master needs: it is made anew, and agents do not notice."""

from __future__ import annotations

import os
import shutil
import signal

import pytest
from real_pypm import RealPypm, lives, python, sleeper

from pypm.testing import wait_until

SPEAKER = """
import time
from pypm import agent
agent.ready()
while True:
    agent.status("beat %d" % time.monotonic_ns())
    time.sleep(0.05)
"""


def remove_home(pypm: RealPypm) -> None:
    """In one step: what is made anew in it meanwhile would be in the way of its removal."""
    gone = pypm.home.with_name(f"{pypm.home.name}-gone")
    pypm.home.rename(gone)
    shutil.rmtree(gone)


def remove_sockets(pypm: RealPypm) -> None:
    for name in ("pypm.sock", "agents.sock"):
        (pypm.home / name).unlink()


def sockets_are_there(pypm: RealPypm) -> bool:
    return all((pypm.home / name).exists() for name in ("pypm.sock", "agents.sock"))


def test_a_command_waits_for_a_removed_socket(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    pid, master = pypm.pid("a"), pypm.master_pid()
    for words in (["list", "--json"], ["ping", "--json"]):
        remove_sockets(pypm)
        answer = pypm.json(*words)
        assert (answer[0]["pid"] == pid) if words[0] == "list" else (answer["master_pid"] == master)


def test_agents_speak_over_a_removed_socket_and_its_successor(pypm: RealPypm) -> None:
    pypm.start(python("before", SPEAKER, wait_ready=True))
    pid = pypm.pid("before")
    remove_sockets(pypm)
    wait_until(lambda: sockets_are_there(pypm))
    said = pypm.row("before")["status_text"]
    pypm.wait_row("before", lambda row: row["status_text"] != said)
    pypm.ok("start", pypm.ecosystem(python("after", SPEAKER, wait_ready=True), name="second.toml"))
    assert pypm.pid("before") == pid


@pytest.mark.parametrize("whom", ["master", "guardian"])
def test_the_guardian_holds_the_new_sockets(pypm: RealPypm, whom: str) -> None:
    pypm.start(sleeper("a"))
    pid, master = pypm.pid("a"), pypm.master_pid()
    remove_sockets(pypm)
    wait_until(lambda: sockets_are_there(pypm))
    os.kill(master if whom == "master" else pypm.guardian_pid(), signal.SIGKILL)
    wait_until(lambda: pypm.master_pid() != master)
    assert pypm.pid("a") == pid


def test_a_removed_home_is_made_anew(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    pid, guardian = pypm.pid("a"), pypm.guardian_pid()
    remove_home(pypm)
    wait_until(lambda: sockets_are_there(pypm))
    assert pypm.pid("a") == pid
    assert pypm.lock_holder() == guardian
    wait_until((pypm.home / "state" / "state.json").exists)
    pypm.kill_master()
    assert pypm.pid("a") == pid, "the state is there, and the lock is held"
    assert pypm.guardian_pid() == guardian


def test_a_home_that_another_master_has_taken(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    pid, master = pypm.pid("a"), pypm.master_pid()
    os.kill(master, signal.SIGSTOP)
    try:
        remove_home(pypm)
        pypm.folder.mkdir(parents=True)
        pypm.start(sleeper("b"))
    finally:
        os.kill(master, signal.SIGCONT)
    wait_until(lambda: not lives(master), what="the end of the master that nobody can reach")
    assert not lives(pid)
    assert [row["name"] for row in pypm.rows()] == ["b"]
    assert [app["spec"]["name"] for app in pypm.state()["apps"]] == ["b"]
    assert sockets_are_there(pypm)
