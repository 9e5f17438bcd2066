"""Agents that do what they should not: fork daemons, close what they were given, change what they share."""

from __future__ import annotations

from real_pypm import RealPypm, lives, python, shell, with_command

from pypm.testing import wait_until


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third (state) on."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()


def test_an_agent_that_leaves_a_daemon(pypm: RealPypm) -> None:
    """A daemon has a session of its own, and belongs to its run all the same."""
    pypm.begin(shell("a", "setsid sleep 1009.25 & sleep 0.1; exit 0", autorestart=False))
    row = pypm.wait_status("a", "exited")
    assert row["last_exit"]["code"] == 0
    assert with_command("sleep", "1009.25") == []
    assert "Traceback" not in pypm.master_log()


def test_a_daemon_that_holds_the_log_open_is_ended_before_the_next_run(pypm: RealPypm) -> None:
    pypm.begin(shell("a", "setsid sleep 1009.5 & echo run; exit 1", restart_delay=0, max_restarts=3))
    row = pypm.wait_status("a", "errored")
    assert row["restarts"] == 3
    assert pypm.log("a") == b"run\n" * 4
    assert with_command("sleep", "1009.5") == []


def test_the_last_words_of_a_daemon_are_in_the_log(pypm: RealPypm) -> None:
    loop = 'trap "echo from the daemon; exit" TERM; echo up; while :; do sleep 0.05; done'
    script = f"setsid sh -c '{loop}' & wait"
    pypm.start(shell("a", script))
    wait_until(lambda: pypm.log("a") == b"up\n")
    pypm.ok("stop", "a")
    assert pypm.log("a") == b"up\nfrom the daemon\n"


def test_an_agent_that_closes_its_outputs(pypm: RealPypm) -> None:
    pypm.start(shell("a", "echo before; exec >&- 2>&- <&-; exec sleep 1000"))
    wait_until(lambda: pypm.log("a") == b"before\n")
    pid = pypm.pid("a")
    pypm.ok("restart", "a")
    assert not lives(pid)
    wait_until(lambda: pypm.log("a") == b"before\nbefore\n")
    fields = stat_fields(pypm.master_pid())
    assert int(fields[11]) + int(fields[12]) < 300, "a closed pipe does not make the master spin"


def test_an_agent_that_makes_its_stdout_non_blocking(pypm: RealPypm) -> None:
    """The flag belongs to what is opened, which no other run and no master may share."""
    script = (
        "import fcntl, os, sys, time\n"
        "flags = fcntl.fcntl(1, fcntl.F_GETFL)\n"
        "print('blocking' if not flags & os.O_NONBLOCK else 'not blocking')\n"
        "fcntl.fcntl(1, fcntl.F_SETFL, flags | os.O_NONBLOCK)\n"
        "time.sleep(1000)\n"
    )
    pypm.start(python("a", script))
    wait_until(lambda: pypm.log("a"))
    pypm.ok("restart", "a")
    wait_until(lambda: pypm.log("a") == b"blocking\nblocking\n")


def test_an_agent_that_writes_into_its_pipe_faster_than_a_disk(pypm: RealPypm) -> None:
    """The master reads a share at a time and answers in between."""
    pypm.begin(shell("a", "exec yes", logs={"max_size": "1M", "retain": 1}))
    wait_until(lambda: (pypm.home / "logs" / "a-out.log.1").exists(), 20.0)
    assert pypm.json("ping")
    pypm.ok("stop", "a")
    assert pypm.row("a")["status"] == "stopped"
    assert len(list((pypm.home / "logs").glob("a-out*[!x]"))) == 2  # not counting .index


def test_an_agent_that_stops_itself_is_ended_all_the_same(pypm: RealPypm) -> None:
    """A stopped process does not act on SIGTERM, only on SIGKILL."""
    pypm.begin(shell("a", "kill -STOP $$; exec sleep 1000", kill_timeout="150ms"))
    pid = pypm.pid("a")
    wait_until(lambda: stat_fields(pid)[0] == "T")
    pypm.ok("stop", "a")
    assert not lives(pid)


def test_a_fork_bomb_of_short_children_is_swept(pypm: RealPypm) -> None:
    script = "i=0; while test $i -lt 50; do sleep 1009.75 & i=$((i + 1)); done; echo up; wait"
    pypm.start(shell("a", script))
    wait_until(lambda: len(with_command("sleep", "1009.75")) == 50)
    pypm.ok("stop", "a")
    assert with_command("sleep", "1009.75") == []
