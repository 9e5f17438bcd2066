"""Masters come, die and come again: one at a time, and nothing ever runs twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from real_pypm import RealPypm, lives, python, shell, sleeper, with_command

from pypm.guardian.guardian import REFUSED
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
    assert second.returncode == REFUSED
    assert f"{pypm.home} has a master already (guardian {pypm.guardian_pid()})" in second.stderr
    assert "Traceback" not in second.stderr
    assert (pypm.master_pid(), pypm.pid("a")) == (master, agent)


def facts(row: dict[str, Any]) -> dict[str, Any]:
    """What a change of masters must not touch."""
    names = ("id", "name", "status", "desired", "pid", "restarts", "ready", "health", "reason", "last_exit")
    return {name: row[name] for name in names}


def test_after_kill_9_everything_goes_on_as_it_was(pypm: RealPypm) -> None:
    pypm.start(
        marked("a", "1003.25"), marked("w", "1003.5", instances=3), sleeper("down"), marked("b", "1003.75")
    )
    pypm.ok("stop", "down")
    pypm.ok("restart", "b")
    before, [detail] = pypm.rows(), pypm.json("describe", "b")
    dead = pypm.kill_master()
    after = pypm.rows()
    assert pypm.master_pid() != dead
    assert [facts(row) for row in after] == [facts(row) for row in before]
    assert all(
        new["uptime_seconds"] >= old["uptime_seconds"]
        for old, new in zip(before, after, strict=True)
        if old["pid"]
    )
    [adopted] = pypm.json("describe", "b")
    for name in ("run_id", "started_at", "created_at", "runs", "spec"):
        assert adopted[name] == detail[name]
    counts = [len(with_command("sleep", each)) for each in ("1003.25", "1003.5", "1003.75")]
    assert counts == [1, 3, 1]


def test_children_of_an_adopted_agent_go_on_and_are_ended_with_it(pypm: RealPypm) -> None:
    pypm.start(shell("a", "sleep 1004.25 & exec sleep 1000"))
    [child] = wait_until(lambda: with_command("sleep", "1004.25"))
    pypm.kill_master()
    pypm.ok("list")
    assert lives(child)
    pypm.ok("stop", "a")
    assert not lives(child)


def test_how_an_agent_ended_is_known_though_no_master_watched(pypm: RealPypm) -> None:
    """The guardian reaps it and tells the next master, which acts as the policy says."""
    pypm.start(
        marked("a", "1004.5"),
        shell("once", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done", autorestart=False),
    )
    wait_until(lambda: pypm.log("once"))
    old, once = pypm.pid("a"), pypm.pid("once")

    with pypm.without_master():
        os.kill(old, signal.SIGKILL)
        os.kill(once, signal.SIGTERM)
        wait_until(lambda: not lives(old) and not lives(once))
    row = pypm.wait_row("a", lambda row: row["status"] == "online" and row["restarts"] == 1)
    assert row["last_exit"]["signal"] == "SIGKILL"
    assert len(with_command("sleep", "1004.5")) == 1
    row = pypm.wait_status("once", "errored")
    assert (row["restarts"], row["last_exit"]["code"]) == (0, 7)


def test_children_of_an_agent_that_died_unwatched_are_ended(pypm: RealPypm) -> None:
    pypm.start(shell("a", "sleep 1003.25 & echo up; exec sleep 1000"))
    [child] = wait_until(lambda: with_command("sleep", "1003.25"))
    pid = pypm.pid("a")
    with pypm.without_master():
        os.kill(pid, signal.SIGKILL)
    pypm.wait_row("a", lambda row: row["status"] == "online" and row["pid"] != pid)
    assert not lives(child)
    wait_until(lambda: len(with_command("sleep", "1003.25")) == 1)


def test_three_masters_in_a_row_are_killed(pypm: RealPypm) -> None:
    pypm.start(marked("w", "1005.25", instances=4))
    before = [facts(row) for row in pypm.rows()]
    for _ in range(3):
        pypm.kill_master()
        assert [facts(row) for row in pypm.rows()] == before
    assert len(with_command("sleep", "1005.25")) == 4


def saved(instance: dict[str, Any]) -> tuple[int, str]:
    """What is in the state file of restarts and status; defaults are left out there."""
    return instance.get("restarts", 0), instance.get("status", "stopped")


def test_a_crash_loops_brake_survives_its_master(pypm: RealPypm) -> None:
    pypm.begin(shell("a", "echo run; exit 1", exp_backoff_restart_delay="300ms", max_restarts=4))
    wait_until(lambda: any(0 < saved(each)[0] < 4 for each in pypm.state()["instances"]))
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
    pypm.start(shell("a", "trap '' TERM; echo up; while :; do sleep 0.05; done", kill_timeout="6s"))
    wait_until(lambda: pypm.log("a"))
    pid = pypm.pid("a")
    pypm.ok("stop", "a", "--no-wait")
    pypm.kill_master(at_once=True)
    assert lives(pid)
    pypm.ok("list")
    row = pypm.wait_status("a", "stopped")
    assert row["desired"] == "down"
    assert not lives(pid)


def test_a_client_that_waits_goes_on_waiting_with_the_next_master(pypm: RealPypm) -> None:
    script = (
        "import os, time\n"
        "from pypm import agent\n"
        "while not os.path.exists('flag'): time.sleep(0.02)\n"
        "agent.ready()\n"
        "time.sleep(1000)\n"
    )
    pypm.ok("list")
    file = pypm.ecosystem(python("a", script, wait_ready=True))
    with pypm.popen("start", file, "--json") as waiting:
        first = wait_until(lambda: pypm.rows() and pypm.row("a")["pid"])
        pypm.kill_master(at_once=True)
        assert pypm.pid("a") == first
        assert waiting.poll() is None
        pypm.write("flag", "")
        stdout, stderr = waiting.communicate(timeout=30)
    assert (waiting.returncode, stderr) == (0, b"")
    assert [(row["status"], row["pid"]) for row in json.loads(stdout)["rows"]] == [("online", first)]


def test_a_stale_socket_of_a_dead_guardian_is_no_obstacle(pypm: RealPypm) -> None:
    pypm.ok("list")
    pypm.kill_both()
    assert (pypm.home / "pypm.sock").exists()
    assert "no master" in pypm.fails(4, "ping")
    assert pypm.json("list") == []
    pypm.ok("ping")


def test_every_answered_change_is_on_the_disk(pypm: RealPypm) -> None:
    """A verb answers after the commit: a master that dies right then has lost nothing."""
    for number in range(5):
        pypm.ok("start", "--name", f"a{number}", "--no-wait", "--", "sleep", f"1007.{number}5")
        pypm.kill_master(at_once=True)
        assert [app["spec"]["name"] for app in pypm.state()["apps"]] == [
            f"a{each}" for each in range(number + 1)
        ]
    pypm.ok("list")
    for number in range(5):
        pypm.wait_status(f"a{number}", "online")
        wait_until(lambda number=number: len(with_command("sleep", f"1007.{number}5")) == 1)
