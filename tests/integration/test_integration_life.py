"""The life of an instance with real processes: groups, signals, the sweep, backoff and the brake."""

from __future__ import annotations

import os
import signal
from itertools import pairwise
from typing import Any

import pytest
from real_pypm import RealPypm, lives, shell, sleeper, with_command

from pypm.system.process import group_exists
from pypm.testing import wait_until

DEAF = "trap '' TERM; echo up; while :; do sleep 0.05; done"


def test_an_agent_has_its_own_session_and_reads_nothing(pypm: RealPypm) -> None:
    pypm.start(shell("a", "cat; echo end of input; ls -l /proc/self/fd | grep -c -- '->'; exec sleep 1000"))
    wait_until(lambda: pypm.log("a").count(b"\n") == 2)
    pid = pypm.pid("a")
    assert os.getsid(pid) == os.getpgid(pid) == pid
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    end, descriptors = pypm.log("a").splitlines()
    assert end == b"end of input"
    # 0, 1, 2 (grep's pipe), and the folder that ls reads
    assert int(descriptors) == 4, "nothing of the master's is inherited"


def test_signals_are_as_after_a_login(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    with open(f"/proc/{pypm.pid('a')}/status") as file:
        masks = dict(line.split(":", 1) for line in file if line.startswith("Sig"))
    assert int(masks["SigIgn"], 16) == 0
    assert int(masks["SigBlk"], 16) == 0


def test_stop_sends_sigterm_to_the_whole_group(pypm: RealPypm) -> None:
    pypm.start(shell("a", "sleep 1001.25 & sleep 1001.25 & wait"))
    wait_until(lambda: len(with_command("sleep", "1001.25")) == 2)
    pypm.ok("stop", "a")
    assert with_command("sleep", "1001.25") == []
    assert "SIGKILL" not in pypm.row("a")["last_exit"]["reason"]


def test_what_does_not_end_is_killed_with_its_children(pypm: RealPypm) -> None:
    pypm.start(shell("a", f"sh -c '{DEAF.replace(chr(39), chr(34))}' & {DEAF}", kill_timeout="150ms"))
    wait_until(lambda: pypm.log("a") == b"up\nup\n")
    pid = pypm.pid("a")
    pypm.ok("stop", "a")
    row = pypm.row("a")
    assert row["last_exit"]["signal"] == "SIGKILL"
    assert "SIGKILL after 150ms" in row["last_exit"]["reason"]
    assert not lives(pid)
    wait_until(lambda: not group_exists(pid), what="the end of all that is in its group")


def test_a_child_that_outlives_the_stopped_main_process_is_killed(pypm: RealPypm) -> None:
    child = DEAF.replace("'", '"')
    pypm.start(shell("a", f"sh -c '{child}' & wait", kill_timeout="150ms"))
    wait_until(lambda: pypm.log("a") == b"up\n")
    pid = pypm.pid("a")
    pypm.ok("stop", "a")
    wait_until(lambda: not group_exists(pid), what="the end of all that is in its group")


def test_the_declared_signal_is_sent_first(pypm: RealPypm) -> None:
    script = "trap 'echo int; exit 0' INT; trap 'echo term' TERM; echo up; while :; do sleep 0.05; done"
    pypm.start(shell("a", script, kill_signal="SIGINT"))
    wait_until(lambda: pypm.log("a"))
    pypm.ok("stop", "a")
    assert pypm.log("a") == b"up\nint\n"
    assert pypm.row("a")["last_exit"]["code"] == 0


def test_without_treekill_children_are_let_live(pypm: RealPypm) -> None:
    pypm.start(shell("a", "sleep 1001.5 & exec sleep 1000", treekill=False))
    [child] = wait_until(lambda: with_command("sleep", "1001.5"))
    pypm.ok("stop", "a")
    assert lives(child)
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: not lives(child))


def test_children_are_swept_when_the_main_process_dies_by_itself(pypm: RealPypm) -> None:
    pypm.start(shell("a", "echo run; sleep 1001.75 & exec sleep 1000", restart_delay=0))
    [child] = wait_until(lambda: with_command("sleep", "1001.75"))
    os.kill(pypm.pid("a"), signal.SIGKILL)
    pypm.wait_row("a", lambda row: row["restarts"] == 1 and row["status"] == "online")
    assert not lives(child)
    wait_until(lambda: len(with_command("sleep", "1001.75")) == 1)
    assert pypm.row("a")["last_exit"]["reason"] == "killed by SIGKILL"


def test_a_child_that_is_deaf_to_the_sweep_is_killed_before_the_restart(pypm: RealPypm) -> None:
    child = DEAF.replace("'", '"')
    pypm.start(shell("a", f"sh -c '{child}' & exec sleep 1000", kill_timeout="150ms", restart_delay=0))
    wait_until(lambda: pypm.log("a") == b"up\n")
    pid = pypm.pid("a")
    os.kill(pid, signal.SIGKILL)
    pypm.wait_row("a", lambda row: row["restarts"] == 1 and row["status"] == "online")
    wait_until(lambda: not group_exists(pid), what="the end of all that is in its group")


def test_no_zombie_is_left(pypm: RealPypm) -> None:
    """Orphans come to the master, which has to reap them."""
    pypm.start(shell("a", "(sleep 0.01 & ) ; exec sleep 1000"))
    master = pypm.master_pid()

    def children() -> list[str]:
        with open(f"/proc/{master}/task/{master}/children") as file:
            return file.read().split()

    wait_until(lambda: children() == [str(pypm.pid("a"))])


def test_a_crash_loop_is_slowed_and_ends_errored_with_its_reason(pypm: RealPypm) -> None:
    keys = {"exp_backoff_restart_delay": "10ms", "max_restarts": 4, "min_uptime": "5s"}
    done = pypm.run("start", pypm.ecosystem(shell("a", "echo run; exit 7", **keys)))
    assert done.returncode == 1
    row = pypm.wait_status("a", "errored")
    assert row["reason"] == "exit code 7; 4 restarts within 15m"
    assert (row["restarts"], row["pid"], row["desired"]) == (4, None, "up")
    assert pypm.log("a") == b"run\n" * 5
    history = pypm.json("describe", "a")[0]["history"]
    assert [step["to"] for step in history].count("backoff") == 4
    assert pypm.json("describe", "a")[0]["runs"][0]["code"] == 7


def test_the_first_restart_comes_at_once_and_then_it_grows(pypm: RealPypm) -> None:
    pypm.begin(shell("a", "exit 1", max_restarts=4))
    pypm.wait_status("a", "errored")
    history = pypm.json("describe", "a")[0]["history"]
    ends = [step for step in history if step["event"] == "Exited"]
    assert [step["to"] for step in ends] == ["starting", "backoff", "backoff", "backoff", "errored"]
    waits = [after["at"] - before["at"] for before, after in pairwise(history) if before["to"] == "backoff"]
    # 100, 150 and 225 ms, with a jitter of 10 % that lets none of them become as short as the one before
    assert [wait > least for wait, least in zip(waits, (0.085, 0.13, 0.2), strict=True)] == [True] * 3


def test_an_errored_app_starts_again_when_told_so(pypm: RealPypm) -> None:
    pypm.begin(shell("a", "test -e fixed && exec sleep 1000; exit 1", max_restarts=0))
    pypm.wait_status("a", "errored")
    pypm.write("fixed", "")
    pypm.ok("start", "a")
    assert pypm.row("a")["status"] == "online"


@pytest.mark.parametrize(
    ("script", "code", "name", "reason"),
    [
        ("exit 0", 0, None, "exit code 0"),
        ("exit 255", 255, None, "exit code 255"),
        ("kill -SEGV $$", None, "SIGSEGV", "killed by SIGSEGV"),
        ("kill -TERM $$", None, "SIGTERM", "killed by SIGTERM"),
    ],
)
def test_exit_codes_and_signals_are_told_apart(
    pypm: RealPypm, script: str, code: int | None, name: str | None, reason: str
) -> None:
    pypm.begin(shell("a", f"ulimit -c 0; {script}", autorestart=False))
    row = pypm.wait_status("a", "exited", "errored")
    assert (row["last_exit"]["code"], row["last_exit"]["signal"]) == (code, name)
    assert row["last_exit"]["reason"] == reason
    assert row["status"] == ("exited" if code == 0 else "errored")


def test_a_signal_death_is_never_a_success(pypm: RealPypm) -> None:
    """PM2 takes a death by signal for exit code 0."""
    pypm.begin(
        shell("a", "echo run; kill -KILL $$", autorestart="on-failure", max_restarts=1, restart_delay=0)
    )
    pypm.wait_status("a", "errored")
    assert pypm.log("a") == b"run\nrun\n"


def test_stop_exit_codes_end_it_for_good(pypm: RealPypm) -> None:
    pypm.begin(shell("a", "echo run; exit 42", stop_exit_codes=[42]))
    row = pypm.wait_status("a", "exited")
    assert "stop_exit_codes" in row["reason"]
    assert pypm.log("a") == b"run\n"


def test_on_failure_restarts_failures_only(pypm: RealPypm) -> None:
    script = "echo run; test -e flag && exit 0; touch flag; exit 1"
    pypm.begin(shell("a", script, autorestart="on-failure"))
    row = pypm.wait_status("a", "exited")
    assert (row["restarts"], row["last_exit"]["code"]) == (1, 0)
    assert pypm.log("a") == b"run\nrun\n"


def test_a_program_that_vanishes_is_a_spawn_failure_with_its_reason(pypm: RealPypm) -> None:
    program = pypm.write("tool", "#!/bin/sh\nexec sleep 1000\n", 0o755)
    pypm.start({"name": "a", "command": ["./tool"], "max_restarts": 1, "restart_delay": 0})
    program.unlink()
    done = pypm.run("restart", "a")
    assert done.returncode == 1
    row = pypm.wait_status("a", "errored")
    assert row["reason"].startswith(f"could not start: {program}: no such file")
    assert row["last_exit"]["code"] is None
    assert row["last_exit"]["signal"] is None


def test_a_folder_that_vanishes_is_a_spawn_failure_too(pypm: RealPypm) -> None:
    (pypm.folder / "there").mkdir()
    pypm.start(sleeper("a", cwd="there", max_restarts=0))
    (pypm.folder / "there").rmdir()
    pypm.run("restart", "a")
    reason = pypm.wait_status("a", "errored")["reason"]
    assert "there: no such file or folder" in reason


def test_stop_during_backoff_stops(pypm: RealPypm) -> None:
    pypm.begin(shell("a", "exit 1", exp_backoff_restart_delay="60s", max_backoff="60s"))
    row = pypm.wait_status("a", "backoff")
    assert 0 < row["retry_in_seconds"] <= 66
    pypm.ok("stop", "a")
    row = pypm.row("a")
    assert (row["status"], row["retry_in_seconds"]) == ("stopped", None)


def most_down_during(pypm: RealPypm, *words: str) -> int:
    """How many instances were not online at once while a command ran."""
    seen: list[list[dict[str, Any]]] = []
    with pypm.popen(*words) as process:
        while process.poll() is None:
            seen.append(pypm.rows())
    assert process.returncode == 0
    return max(sum(row["status"] != "online" for row in rows) for rows in seen)


@pytest.mark.parametrize(("options", "least", "most"), [((), 4, 4), (("--parallel", "2"), 1, 2)])
def test_restart_of_many_is_parallel_with_a_bound(
    pypm: RealPypm, options: tuple[str, ...], least: int, most: int
) -> None:
    pypm.start(shell("w", "trap 'sleep 1; exit' TERM; echo up; while :; do sleep 0.05; done", instances=4))
    wait_until(lambda: all(pypm.log(f"w:{index}") for index in range(4)))
    before = {row["pid"] for row in pypm.rows()}
    assert least <= most_down_during(pypm, "restart", "all", *options) <= most
    after = pypm.rows()
    assert before.isdisjoint(row["pid"] for row in after)
    assert [row["restarts"] for row in after] == [1] * 4


def test_a_stop_while_it_restarts_wins(pypm: RealPypm) -> None:
    end = "while ! test -e flag; do sleep 0.02; done; exit"
    pypm.start(shell("a", f"trap '{end}' TERM; echo up; while :; do sleep 0.05; done"))
    wait_until(lambda: pypm.log("a"))
    restart = pypm.popen("restart", "a")
    pypm.wait_status("a", "stopping")
    with pypm.popen("stop", "a") as stop:
        pypm.wait_row("a", lambda row: row["desired"] == "down")
        pypm.write("flag", "")
        stop.communicate(timeout=60)
    restart.communicate()
    row = pypm.row("a")
    assert (row["status"], row["desired"]) == ("stopped", "down")


def test_ids_are_stable_and_small(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("b"), sleeper("c"))
    pypm.ok("delete", "b")
    pypm.ok("restart", "all")
    pypm.start(sleeper("a"), sleeper("c"), sleeper("d"))
    assert {row["name"]: row["id"] for row in pypm.rows()} == {"a": 0, "c": 2, "d": 3}
    pypm.ok("delete", "all")
    pypm.start(sleeper("e"))
    assert pypm.row("e")["id"] == 0


def test_who_is_stopped_with_a_signal_hears_that_it_is_to_end(pypm: RealPypm) -> None:
    """As under systemd, SIGCONT follows: its grace period would be over before it could do anything."""
    script = "trap 'echo goodbye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    pypm.start(shell("a", script, kill_timeout="60s"))
    wait_until(lambda: pypm.log("a") == b"ready\n")
    os.kill(pypm.pid("a"), signal.SIGSTOP)
    pypm.ok("stop", "a")
    assert pypm.log("a") == b"ready\ngoodbye\n"
    assert pypm.row("a")["last_exit"]["code"] == 0
