"""Real programs that grow, fork, leak and work too much, and what becomes of them."""

from __future__ import annotations

import json
from typing import Any

from real_pypm import RealPypm, python

from pypm.testing import wait_until

LONG = 60.0
MIB = 2**20

GROW = """
import os, signal, sys, time

def grow(to, step=2, pause=0.03):
    held = []
    while len(held) * step < to:
        held.append(b"x" * (step * 2**20))
        time.sleep(pause)
    return held

def once(name):
    # True in the first run only.
    if os.path.exists(name):
        return False
    open(name, "w").close()
    return True
"""


def last_exit(pypm: RealPypm, name: str) -> dict[str, Any]:
    """How its first run ended, once the next one is up."""
    row = pypm.wait_row(name, lambda row: row["restarts"] == 1 and row["status"] == "online", LONG)
    found: dict[str, Any] = row["last_exit"]
    return found


def events(pypm: RealPypm, name: str) -> list[str]:
    """The names of the events of an instance so far."""
    lines = (pypm.home / "events.jsonl").read_text().splitlines()
    told = (json.loads(line) for line in lines)
    return [each["event"] for each in told if each.get("name") == name]


def test_one_that_grows_past_its_limit_is_followed_by_another_one(pypm: RealPypm) -> None:
    script = GROW + "held = once('grown') and grow(500, 1, 0.05)\nprint('calm', flush=True)\ntime.sleep(6101)"
    pypm.start(python("a", script, limits={"memory": "60M"}))
    end = last_exit(pypm, "a")
    assert (end["cause"], end["signal"]) == ("memory", "SIGTERM")
    assert end["reason"].startswith("memory ")
    assert end["reason"].endswith("M > 60M")
    assert int(end["reason"].split()[1].removesuffix("M")) < 90, "within one and a half of the limit"
    assert "memory" in pypm.ok("why", "a")


def test_also_where_a_child_is_what_grows(pypm: RealPypm) -> None:
    script = (
        GROW
        + """
if once('grown') and os.fork() == 0:
    os.setsid()
    grow(500)
time.sleep(6102)
"""
    )
    pypm.start(python("a", script, limits={"memory": "60M"}))
    assert last_exit(pypm, "a")["cause"] == "memory"


def test_who_grows_on_while_it_is_told_to_end_is_killed(pypm: RealPypm) -> None:
    script = (
        GROW
        + """
if once('grown'):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    held = grow(900)
time.sleep(6103)
"""
    )
    pypm.start(python("a", script, limits={"memory": "60M"}, kill_timeout="10m"))
    end = last_exit(pypm, "a")
    assert (end["cause"], end["signal"]) == ("memory", "SIGKILL")
    assert "while it was being stopped" in end["reason"]


def test_the_next_master_holds_it_to_its_limit_too(pypm: RealPypm) -> None:
    script = (
        GROW
        + """
while not os.path.exists('go'):
    time.sleep(0.05)
held = once('grown') and grow(500)
time.sleep(6104)
"""
    )
    pypm.start(python("a", script, limits={"memory": "60M"}))
    pid = pypm.pid("a")
    pypm.kill_master()
    assert pypm.pid("a") == pid
    pypm.write("go", "")
    assert last_exit(pypm, "a")["cause"] == "memory"


def test_children_that_share_their_parents_pages_are_no_reason(pypm: RealPypm) -> None:
    script = (
        GROW
        + """
held = b"x" * (40 * 2**20)
for _ in range(5):
    if os.fork() == 0:
        time.sleep(6105)
time.sleep(6105)
"""
    )
    pypm.start(python("a", script, limits={"memory": "120M"}))
    # Each has the 40 MB; that has been looked at several times when it has run for so long.
    row = pypm.wait_row("a", lambda row: (row["memory_bytes"] or 0) > 200 * MIB, LONG)
    row = pypm.wait_row("a", lambda each: each["uptime_seconds"] > row["uptime_seconds"] + 3, LONG)
    assert (row["restarts"], row["status"]) == (0, "online")
    [usage] = [each["usage"] for each in pypm.json("describe", "a")]
    assert usage["processes"] == 6
    assert usage["proportional_bytes"] < 120 * MIB
    assert not [each for each in events(pypm, "a") if each.startswith("memory")]


def test_who_is_asked_can_give_memory_back(pypm: RealPypm) -> None:
    script = (
        GROW
        + """
from pypm import agent
held = []
def shed():
    held.clear()
    print("gave it back", flush=True)
agent.on_memory_pressure(shed)
while not os.path.exists('go'):
    time.sleep(0.05)
for _ in range(35):
    held.append(b"x" * (2 * 2**20))
time.sleep(6106)
"""
    )
    pypm.start(python("a", script, limits={"memory": "400M", "memory_warn": "50M", "memory_high": "60M"}))
    wait_until(lambda: pypm.json("describe", "a")[0]["actions"] == ["memory-pressure"], LONG)
    pypm.write("go", "")
    wait_until(lambda: b"gave it back" in pypm.log("a"), LONG)
    wait_until(lambda: "memory.normal" in events(pypm, "a"), LONG)
    assert pypm.row("a")["restarts"] == 0


def test_who_says_late_how_to_give_memory_back_is_asked_at_once(pypm: RealPypm) -> None:
    script = (
        GROW
        + """
from pypm import agent
held = grow(70)
while not os.path.exists('go'):
    time.sleep(0.05)
agent.on_memory_pressure(lambda: print("asked", flush=True))
time.sleep(6110)
"""
    )
    pypm.start(python("a", script, limits={"memory": "400M", "memory_high": "60M"}))
    wait_until(lambda: "memory.high" in events(pypm, "a"), LONG)
    pypm.write("go", "")
    wait_until(lambda: pypm.log("a") == b"asked\n", LONG)


def test_who_is_asked_by_a_signal(pypm: RealPypm) -> None:
    script = (
        GROW
        + """
signal.signal(signal.SIGUSR2, lambda *_: print("heard", flush=True))
held = grow(70)
while True:
    time.sleep(6107)
"""
    )
    limits = {"memory": "400M", "memory_high": "60M", "memory_high_signal": "USR2"}
    pypm.start(python("a", script, limits=limits))
    wait_until(lambda: pypm.log("a") == b"heard\n", LONG)


def test_the_last_hour_outlives_the_master(pypm: RealPypm) -> None:
    pypm.start(python("a", GROW + "held = grow(30)\ntime.sleep(6108)"))

    def usage() -> dict[str, Any]:
        found: dict[str, Any] = pypm.call("describe", targets=["a"])[0]["usage"]
        return found

    before = wait_until(lambda: found if len((found := usage())["memory"]) > 1 else None, LONG)
    pypm.kill_master()
    after = usage()
    assert after["memory"][: len(before["memory"])] == before["memory"]
    assert len(after["cpu"]) == len(after["memory"])
    assert max(each for each in after["memory"] if each) > 30 * MIB
    shown = pypm.ok("describe", "a")
    assert "peak" in shown
    assert "open files" in shown


def test_a_run_that_is_old_enough_ends_its_task_first(pypm: RealPypm) -> None:
    script = (
        GROW
        + """
from pypm import agent
if once('first'):
    with agent.task("answer"):
        while not os.path.exists('go'):
            time.sleep(0.05)
        print("answered", flush=True)
    while True:  # what is said just when a master dies may be lost: the end of the next task says it again
        time.sleep(0.2)
        with agent.task("answer"):
            pass
time.sleep(6109)
"""
    )
    pypm.start(python("a", script, limits={"max_runtime": "6s", "recycle_grace": "10m"}))
    wait_until(lambda: [each["running"] for each in pypm.json("describe", "a")[0]["tasks"]] == [1], LONG)
    row = pypm.wait_row("a", lambda row: row["uptime_seconds"] > 8, LONG)
    assert (row["restarts"], row["status"]) == (0, "online"), "it has a task under way"
    pypm.kill_master()
    pypm.write("go", "")
    row = pypm.wait_row("a", lambda row: row["restarts"] > 0, LONG)
    [*_, first] = pypm.json("describe", "a")[0]["runs"]
    assert (first["cause"], first["reason"]) == ("max-runtime", "max_runtime of 6s")
    assert pypm.log("a").startswith(b"answered\n")


def test_who_works_too_much_for_too_long(pypm: RealPypm) -> None:
    script = "while True:\n    pass"
    cpu = {"percent": 2, "for": "2s", "action": "restart"}
    pypm.begin(python("a", script, limits={"cpu": cpu}))
    row = pypm.wait_row("a", lambda row: row["restarts"] > 0, LONG)
    assert (row["last_exit"]["cause"], row["last_exit"]["reason"]) == ("cpu", "cpu above 2 % for 2s")
    assert "cpu.high" in events(pypm, "a")
