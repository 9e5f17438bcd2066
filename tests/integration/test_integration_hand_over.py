"""Between guardian and master: signals, updates, deaths and full descriptors at the worst moments."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

from real_pypm import RealPypm, command_line, lives, python, shell, sleeper

from pypm.testing import wait_until

GONE = 20.0


def masters_of(guardian: int) -> list[int]:
    """The living children of a guardian that are masters (and not agents)."""
    children = Path(f"/proc/{guardian}/task/{guardian}/children").read_text().split()
    return [int(pid) for pid in children if b"pypm" in command_line(int(pid))]


def is_gone(pypm: RealPypm, *pids: int) -> bool:
    return pypm.lock_holder() is None and not any(map(lives, pids))


def test_to_be_told_to_end_while_a_master_begins_ends_all(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    agent, guardian, master = pypm.pid("a"), pypm.guardian_pid(), pypm.master_pid()
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: masters_of(guardian) not in ([], [master]), GONE, "a new master")
    os.kill(guardian, signal.SIGTERM)
    wait_until(lambda: is_gone(pypm, guardian, agent), GONE, "the end of all")
    saved = pypm.state()["instances"][0]

    assert saved.get("desired", "up") == "up", "what the end of the master stops is wanted still"


def test_to_be_told_to_end_where_no_master_is_ends_all(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    agent, guardian, master = pypm.pid("a"), pypm.guardian_pid(), pypm.master_pid()
    os.kill(guardian, signal.SIGSTOP)
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: not lives(master), what="the end of the master")
    os.kill(guardian, signal.SIGTERM)
    os.kill(guardian, signal.SIGCONT)
    wait_until(lambda: is_gone(pypm, guardian, agent), GONE, "the end of all")


def test_a_state_that_no_master_can_use_costs_no_agent(pypm: RealPypm) -> None:
    pypm.start(shell("a", "while sleep 0.05; do echo beat; done"))
    agent, guardian = pypm.pid("a"), pypm.guardian_pid()
    file, aside = pypm.home / "state" / "state.json", pypm.home / "state" / "aside"
    os.kill(pypm.master_pid(), signal.SIGSTOP)
    state = file.read_bytes()
    file.rename(aside)
    file.write_text(json.dumps({**json.loads(state), "version": 999}))
    [stopped] = masters_of(guardian)
    os.kill(stopped, signal.SIGKILL)
    wait_until(lambda: "version 999" in pypm.master_log(), GONE, "a master that refuses")
    wait_until(lambda: "ended with exit code 78" in pypm.master_log(), GONE, "its end")
    aside.rename(file)
    wait_until(lambda: pypm.pid("a") == agent, GONE, "adoption")
    assert pypm.guardian_pid() == guardian
    size = len(pypm.log("a"))
    wait_until(lambda: len(pypm.log("a")) > size, GONE, "further lines")


def test_a_guardian_that_dies_before_it_has_handed_over_is_replaced(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    agent, guardian, master = pypm.pid("a"), pypm.guardian_pid(), pypm.master_pid()
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: masters_of(guardian) not in ([], [master]), GONE, "a new master")
    os.kill(guardian, signal.SIGKILL)
    wait_until(lambda: not lives(guardian), what="the end of the guardian")
    wait_until(lambda: pypm.lock_holder() not in (None, guardian), GONE, "a guardian that nobody asked for")
    assert pypm.pid("a") == agent


SLOW = """
import os, signal, time
def end(*_):
    while not os.path.exists("flag"):
        time.sleep(0.02)
    exit()
signal.signal(signal.SIGTERM, end)
print("up")
while True:
    time.sleep(100)
"""
"""Ends when it is told to and there is a flag."""


def test_a_kill_during_an_update_is_the_end(pypm: RealPypm) -> None:
    """The guardian, held up meanwhile, learns of the update when the end has begun."""
    pypm.start(python("a", SLOW, kill_timeout="60s"))
    wait_until(lambda: b"up" in pypm.log("a"), what="its handler")
    agent, guardian = pypm.pid("a"), pypm.guardian_pid()
    os.kill(guardian, signal.SIGSTOP)
    try:
        update = pypm.popen("update")
        events = pypm.home / "events.jsonl"
        wait_until(lambda: '"operator.update"' in events.read_text(), what="the update to begin")
        kill = pypm.popen("kill")
        wait_until(lambda: pypm.row("a")["status"] == "stopping", what="the kill to begin")
    finally:
        os.kill(guardian, signal.SIGCONT)
    assert b"the master is ending" in update.communicate(timeout=60)[1]
    assert update.returncode == 1
    pypm.write("flag", "")
    assert kill.communicate(timeout=60)[1] == b""
    wait_until(lambda: is_gone(pypm, guardian, agent), GONE, "the end of all")


def test_nothing_is_started_by_a_master_that_ends(pypm: RealPypm) -> None:
    pypm.start(
        python("slow", SLOW),
        sleeper("other"),
    )
    wait_until(lambda: b"up" in pypm.log("slow"), what="its handler")
    kill = pypm.popen("kill")
    wait_until(lambda: pypm.row("slow")["status"] == "stopping", what="the kill to begin")
    assert "the master is ending" in pypm.fails(1, "start", "other")
    pypm.write("flag", "")
    assert kill.communicate(timeout=60)[1] == b""
    assert kill.returncode == 0


def test_a_deletion_that_is_overruled_is_answered(pypm: RealPypm) -> None:
    pypm.start(python("slow", SLOW))
    wait_until(lambda: b"up" in pypm.log("slow"), what="its handler")
    answers: list[Any] = []
    deleting = threading.Thread(target=lambda: answers.append(pypm.call("delete", targets=["slow"])))
    deleting.start()
    wait_until(lambda: pypm.row("slow")["status"] == "stopping", what="the deletion to begin")
    pypm.call("restart", targets=["slow"])
    pypm.write("flag", "")
    deleting.join(20.0)
    assert [change["action"] for change in answers[0]["instances"]] == ["unchanged"]
    assert answers[0]["warnings"] == ["slow was wanted again before it was gone, and stays"]
    assert pypm.wait_status("slow", "online")["desired"] == "up"


def test_a_stopped_guardian_stops_no_master(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    guardian = pypm.guardian_pid()
    os.kill(guardian, signal.SIGSTOP)
    try:
        for number in range(250):  # each declaration holds two pipes: more than the connection has room for
            pypm.call(
                "apply",
                apps=[{"name": f"n{number}", "command": ["/bin/true"], "cwd": "/", "autostart": False}],
            )
            pypm.call("start", targets=[f"n{number}"])
            pypm.call("delete", targets=[f"n{number}"])
        assert pypm.row("a")["status"] == "online"
    finally:
        os.kill(guardian, signal.SIGCONT)
    agent, master = pypm.pid("a"), pypm.kill_master()
    wait_until(lambda: pypm.master_pid() != master and pypm.pid("a") == agent, GONE, "adoption")
