"""Two hundred of them: all start, all are seen, all end."""

from __future__ import annotations

import os

from real_pypm import RealPypm, lives, shell, sleeper

from pypm.testing import wait_until


def test_two_hundred_instances_are_started_and_stopped(pypm: RealPypm) -> None:
    pypm.start(sleeper("w", instances=200))
    rows = pypm.json("list")
    assert [row["name"] for row in rows] == [f"w:{index}" for index in range(200)]
    assert {row["status"] for row in rows} == {"online"}
    pids = {row["pid"] for row in rows}
    assert len(pids) == 200
    pypm.ok("restart", "all")
    assert pids.isdisjoint(row["pid"] for row in pypm.rows())
    assert not any(map(lives, pids))
    pypm.ok("stop", "all")
    rows = pypm.rows()
    assert {(row["status"], row["pid"]) for row in rows} == {("stopped", None)}
    pypm.ok("delete", "all")
    assert pypm.rows() == []
    wait_until(lambda: len(os.listdir(f"/proc/{pypm.master_pid()}/fd")) < 40)


def test_fifty_crash_loops_leave_the_master_answering(pypm: RealPypm) -> None:
    pypm.begin(shell("w", "exit 1", instances=50, restart_delay=0, max_restarts=20), sleeper("calm"))
    pid = pypm.wait_status("calm", "online")["pid"]
    answers = 0

    def all_given_up() -> bool:
        nonlocal answers
        answers += 1
        return all(row["status"] == "errored" for row in pypm.rows() if row["app"] == "w")

    wait_until(all_given_up, 60.0)
    assert answers > 3
    assert {row["restarts"] for row in pypm.rows() if row["app"] == "w"} == {20}
    assert pypm.row("calm")["pid"] == pid
    pypm.kill_master()
    pypm.ok("list")
    assert {row["status"] for row in pypm.rows() if row["app"] == "w"} == {"errored"}
    pypm.wait_status("calm", "online")
