"""Masters come, die and come again: one at a time, and nothing ever runs twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from real_pypm import RealPypm, lives, shell, sleeper, with_command

from pypm.testing import wait_until


def marked(name: str, seconds: str, **keys: object) -> dict[str, object]:
    """An app whose processes can be counted by their command line."""
    return {"name": name, "command": ["sleep", seconds], **keys}


def masters_of(pypm: RealPypm) -> list[int]:
    title = f"pypm: master [{pypm.home}]".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    if file.read().rstrip(b"\0") == title:
                        found.append(int(name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def test_six_first_commands_at_once_make_one_master(pypm: RealPypm) -> None:
    commands = [pypm.popen("list", "--json") for _ in range(6)]
    answers = [(command.communicate(), command.returncode) for command in commands]
    assert answers == [((b"[]\n", b""), 0)] * 6
    assert masters_of(pypm) == [pypm.master_pid()]


def test_six_first_starts_of_one_file_start_it_once(pypm: RealPypm) -> None:
    file = pypm.ecosystem(marked("a", "1002.25"), marked("w", "1002.5", instances=3))
    commands = [pypm.popen("start", file, "--json") for _ in range(6)]
    for command in commands:
        stdout, stderr = command.communicate()
        assert command.returncode == 0, stderr
        assert {row["status"] for row in json.loads(stdout)["rows"]} == {"online"}
    assert masters_of(pypm) == [pypm.master_pid()]
    assert (len(with_command("sleep", "1002.25")), len(with_command("sleep", "1002.5"))) == (1, 3)
    assert [row["restarts"] for row in pypm.rows()] == [0] * 4


def test_a_second_master_is_refused_and_the_first_one_unharmed(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    master, agent = pypm.master_pid(), pypm.pid("a")
    second = subprocess.run(
        [sys.executable, "-m", "pypm.master"], capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert f"{pypm.home} has a master already (pid {master})" in second.stderr
    assert "Traceback" not in second.stderr
    assert (pypm.master_pid(), pypm.pid("a")) == (master, agent)


def test_after_kill_9_the_next_command_has_everything_back_once(pypm: RealPypm) -> None:
    pypm.start(
        marked("a", "1003.25"), marked("w", "1003.5", instances=3), sleeper("down"), marked("b", "1003.75")
    )
    pypm.ok("stop", "down")
    pypm.ok("restart", "b")
    old = {row["name"]: row["pid"] for row in pypm.rows()}
    dead = pypm.kill_master()
    assert "connection refused" not in pypm.ok("list").lower()
    assert pypm.master_pid() != dead
    for name in ("a", "w:0", "w:1", "w:2", "b"):
        pypm.wait_row(name, lambda row: row["status"] == "online" and row["pid"] not in old.values())
    counts = [len(with_command("sleep", each)) for each in ("1003.25", "1003.5", "1003.75")]
    assert counts == [1, 3, 1]
    assert not any(lives(pid) for pid in old.values() if pid is not None)
    rows = {row["name"]: row for row in pypm.rows()}
    assert (rows["down"]["status"], rows["down"]["desired"]) == ("stopped", "down")
    assert rows["b"]["restarts"] >= 1, "counters are kept"
    assert rows["a"]["reason"] == "restarted: its master was lost"
    assert [row["id"] for row in pypm.rows()] == [0, 1, 2, 3, 4, 5]


def test_children_of_a_lost_masters_agents_are_ended_too(pypm: RealPypm) -> None:
    pypm.start(shell("a", "sleep 1004.25 & exec sleep 1000"))
    [child] = wait_until(lambda: with_command("sleep", "1004.25"))
    pypm.kill_master()
    pypm.ok("list")
    pypm.wait_row("a", lambda row: row["status"] == "online" and "master" in row["reason"])
    assert not lives(child)
    wait_until(lambda: len(with_command("sleep", "1004.25")) == 1)


def test_an_agent_that_died_while_no_master_watched_is_started_again(pypm: RealPypm) -> None:
    pypm.start(marked("a", "1004.5"), shell("once", "echo run; sleep 1004.75", autorestart=False))
    pypm.kill_master()
    for seconds in ("1004.5", "1004.75"):
        for pid in with_command("sleep", seconds):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: with_command("sleep", "1004.5") == [])
    pypm.ok("list")
    row = pypm.wait_status("a", "online")
    assert "exit status is unknown" in row["last_exit"]["reason"]
    assert len(with_command("sleep", "1004.5")) == 1
    assert pypm.wait_status("once", "errored", "exited")["restarts"] == 0


def test_children_of_an_agent_that_died_unwatched_are_ended(pypm: RealPypm) -> None:
    pypm.start(shell("a", "sleep 1003.25 & echo up; exec sleep 1000"))
    [child] = wait_until(lambda: with_command("sleep", "1003.25"))
    pid = pypm.pid("a")
    pypm.kill_master()
    os.kill(pid, signal.SIGKILL)
    pypm.ok("list")
    pypm.wait_row("a", lambda row: row["status"] == "online" and row["pid"] != pid)
    assert not lives(child)
    wait_until(lambda: len(with_command("sleep", "1003.25")) == 1)


def test_three_masters_in_a_row_are_killed(pypm: RealPypm) -> None:
    pypm.start(marked("w", "1005.25", instances=4))
    for _ in range(3):
        pypm.kill_master()
        pypm.ok("list")
        for index in range(4):
            pypm.wait_row(
                f"w:{index}", lambda row: row["status"] == "online" and row["last_exit"] is not None
            )
        assert len(with_command("sleep", "1005.25")) == 4


def saved(instance: dict[str, Any]) -> tuple[int, str]:
    """What is in the state file of restarts and status; defaults are left out there."""
    return instance.get("restarts", 0), instance.get("status", "stopped")


def test_a_crash_loops_brake_survives_its_master(pypm: RealPypm) -> None:
    pypm.begin(shell("a", "echo run; exit 1", exp_backoff_restart_delay="300ms", max_restarts=4))
    wait_until(lambda: [saved(each) for each in pypm.state()["instances"]] == [(2, "backoff")])
    pypm.kill_master()
    pypm.ok("list")
    row = pypm.wait_status("a", "errored")
    assert row["restarts"] == 4
    assert pypm.log("a") == b"run\n" * 5


def test_sigterm_ends_the_agents_and_the_next_master_starts_those_that_were_up(pypm: RealPypm) -> None:
    pypm.start(marked("up", "1006.25"), marked("down", "1006.5"), shell("broken", "sleep 1000"))
    pypm.ok("stop", "down")
    pypm.terminate_master()
    assert with_command("sleep", "1006.25") == []
    assert not os.path.exists(pypm.home / "pypm.sock")
    states = {each["app"]: each for each in pypm.state()["instances"]}
    assert states["up"].get("run") is None
    pypm.ok("list")
    pypm.wait_status("up", "online")
    row = pypm.row("down")
    assert (row["status"], row["desired"]) == ("stopped", "down")
    assert (len(with_command("sleep", "1006.25")), len(with_command("sleep", "1006.5"))) == (1, 0)


def test_an_app_that_was_given_up_stays_so_for_the_next_master(pypm: RealPypm) -> None:
    pypm.begin(shell("a", "echo run; exit 1", max_restarts=0))
    pypm.wait_status("a", "errored")
    pypm.terminate_master()
    pypm.ok("list")
    row = pypm.row("a")
    assert (row["status"], row["reason"]) == ("errored", "exit code 1; max_restarts is 0")
    assert pypm.log("a") == b"run\n"


def test_a_master_that_died_in_the_middle_of_a_stop_is_finished_by_the_next(pypm: RealPypm) -> None:
    pypm.start(shell("a", "trap '' TERM; echo up; while :; do sleep 0.05; done", kill_timeout="2s"))
    wait_until(lambda: pypm.log("a"))
    pid = pypm.pid("a")
    pypm.ok("stop", "a", "--no-wait")
    pypm.kill_master()
    assert lives(pid)
    pypm.ok("list")
    row = pypm.wait_status("a", "stopped")
    assert row["desired"] == "down"
    assert not lives(pid)


def test_a_client_that_waits_is_told_when_its_master_dies(pypm: RealPypm) -> None:
    pypm.begin(sleeper("a", wait_ready=True))
    with pypm.popen("restart", "a") as waiting:
        pypm.wait_row("a", lambda row: row["restarts"] == 1)
        pypm.kill_master()
        _, stderr = waiting.communicate(timeout=20)
    assert waiting.returncode in (1, 4)
    assert b"Traceback" not in stderr
    assert b"master" in stderr
    pypm.ok("delete", "a")


def test_a_stale_socket_of_a_dead_master_is_no_obstacle(pypm: RealPypm) -> None:
    pypm.ok("list")
    pypm.kill_master()
    assert (pypm.home / "pypm.sock").exists()
    assert "no master" in pypm.fails(4, "ping")
    assert pypm.json("list") == []
    pypm.ok("ping")


def test_every_answered_change_is_on_the_disk(pypm: RealPypm) -> None:
    """A verb answers after the commit: a master that dies right then has lost nothing."""
    for number in range(5):
        pypm.ok("start", "--name", f"a{number}", "--no-wait", "--", "sleep", f"1007.{number}5")
        pypm.kill_master()
        assert [app["spec"]["name"] for app in pypm.state()["apps"]] == [
            f"a{each}" for each in range(number + 1)
        ]
    pypm.ok("list")
    for number in range(5):
        pypm.wait_status(f"a{number}", "online")
        wait_until(lambda number=number: len(with_command("sleep", f"1007.{number}5")) == 1)
