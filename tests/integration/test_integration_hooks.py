"""Hooks with real programs, and the stop as a sequence: when, with which facts, within what time."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from real_pypm import RealPypm, lives, python, shell, sleeper

from pypm.testing import wait_until

COUNTS_TERM = (
    "import os, signal, sys, time\n"
    "def end(*_):\n"
    "    with open('order', 'a') as file: file.write('term ')\n"
    "    raise SystemExit(0)\n"
    "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\ntime.sleep(1000)\n"
)
ONCE_ALLOWED = "echo begun >> hooks; while [ ! -e go ]; do sleep 0.05; done; printf 'hook ' >> order"


def sh(script: str, timeout: str | None = None) -> dict[str, Any]:
    """A hook that is a line of shell."""
    table: dict[str, Any] = {"command": ["/bin/sh", "-c", script]}
    return table if timeout is None else {**table, "timeout": timeout}


def events(pypm: RealPypm, kind: str) -> list[dict[str, Any]]:
    lines = (pypm.home / "events.jsonl").read_text().splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == kind]


def facts(pypm: RealPypm, name: str = "facts") -> dict[str, str]:
    """What a hook that runs ``env > NAME.part; mv NAME.part NAME`` was told."""
    path = pypm.folder / name
    wait_until(path.exists, 20.0)
    return dict(line.partition("=")[::2] for line in path.read_text().splitlines())


def test_post_start_comes_when_the_run_is_ready(pypm: RealPypm) -> None:
    script = (
        "import os, time\nfrom pypm import agent\nwhile not os.path.exists('flag'): time.sleep(0.02)\n"
        "open('was-ready', 'w').close()\nagent.ready()\ntime.sleep(1000)\n"
    )
    hook = sh("echo from the hook; ls > seen; env > facts.part; mv facts.part facts")
    pypm.begin(python("a", script, wait_ready=True, post_start=hook, env={"COLOUR": "red"}))
    pypm.wait_row("a", lambda row: row["status"] == "starting" and row["pid"] is not None)
    assert not (pypm.folder / "seen").exists()
    pypm.write("flag", "")
    told = facts(pypm)
    assert "was-ready" in (pypm.folder / "seen").read_text()
    row = pypm.row("a")
    assert (told["PYPM_EVENT"], told["PYPM_NAME"], told["COLOUR"]) == ("post_start", "a", "red")
    assert (told["PYPM_PID"], told["PYPM_STATUS"]) == (str(row["pid"]), "online")
    assert "PYPM_AGENT_TOKEN" not in told
    assert "NOTIFY_SOCKET" not in told
    wait_until(lambda: b"from the hook\n" in pypm.log("a"), 20.0)
    wait_until(lambda: events(pypm, "hook.done") != [], 20.0)
    assert pypm.row("a")["pid"] == row["pid"]


def test_pre_stop_comes_before_the_signal_and_is_shown(pypm: RealPypm) -> None:
    pypm.start(python("a", COUNTS_TERM, pre_stop=sh(ONCE_ALLOWED)))
    wait_until(lambda: pypm.log("a") == b"up\n", 20.0)
    with pypm.popen("stop", "a") as stop:
        row = pypm.wait_row("a", lambda row: row["awaited"] == "its pre_stop hook runs")
        assert (row["status"], row["retry_in_seconds"]) == ("stopping", None)
        assert "its pre_stop hook runs" in pypm.ok("list")
        pypm.write("go", "")
        stop.communicate(timeout=30)
    assert (pypm.folder / "order").read_text() == "hook term "
    assert pypm.row("a")["status"] == "stopped"


def test_pre_stop_is_told_why(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", pre_stop=sh("env > facts.part; mv facts.part facts")))
    run_id = pypm.json("describe", "a")[0]["run_id"]
    pypm.ok("restart", "a")
    told = facts(pypm)
    assert (told["PYPM_EVENT"], told["PYPM_CAUSE"], told["PYPM_RUN_ID"]) == ("pre_stop", "operator", run_id)
    assert told["PYPM_REASON"].startswith("restarted by")


def test_a_hook_that_never_ends_is_killed_with_all_it_has_started(pypm: RealPypm) -> None:
    forks = "sleep 1000 & echo $! >> pids; setsid sleep 1000 & echo $! >> pids; echo $$ >> pids; sleep 1000"
    pypm.start(sleeper("a", pre_stop=sh(forks, "3s")))
    pypm.ok("stop", "a")
    assert pypm.row("a")["last_exit"]["signal"] == "SIGTERM"
    pids = [int(word) for word in (pypm.folder / "pids").read_text().split()]
    assert len(pids) == 3
    wait_until(lambda: not any(map(lives, pids)), 20.0)
    [failed] = wait_until(lambda: events(pypm, "hook.failed"))
    assert (failed["hook"], failed["reason"]) == ("pre_stop", "killed after its timeout of 3s")


def test_what_a_hook_leaves_behind_ends_with_it(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", post_start=sh("setsid sleep 1000 & echo $! > pids.part; mv pids.part pids")))
    wait_until(lambda: events(pypm, "hook.done") != [], 20.0)
    pid = int((pypm.folder / "pids").read_text())
    wait_until(lambda: not lives(pid), 20.0)
    assert pypm.row("a")["status"] == "online"


def test_on_failure_has_the_facts_of_the_run_that_failed(pypm: RealPypm) -> None:
    hook = sh("env > facts.part; mv facts.part facts")
    pypm.begin(shell("a", "exit 7", max_restarts=0, on_failure=hook))
    pypm.wait_status("a", "errored")
    told = facts(pypm)
    assert (told["PYPM_EVENT"], told["PYPM_CAUSE"], told["PYPM_EXIT_CODE"]) == ("on_failure", "exit", "7")
    assert (told["PYPM_REASON"], told["PYPM_STATUS"]) == ("exit code 7", "errored")
    assert told["PYPM_RUN_ID"] == pypm.row("a")["last_exit"]["run_id"]
    assert "PYPM_SIGNAL" not in told


def test_a_death_by_signal_is_a_failure_and_a_stop_is_none(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", on_failure=sh('echo "$PYPM_SIGNAL" >> failures')))
    pypm.ok("restart", "a")
    os.kill(pypm.row("a")["pid"], signal.SIGSEGV)
    pypm.wait_row("a", lambda row: row["restarts"] == 2 and row["status"] == "online")
    wait_until(lambda: events(pypm, "hook.done") != [], 20.0)
    pypm.ok("stop", "a")
    assert (pypm.folder / "failures").read_text() == "SIGSEGV\n"
    assert len(events(pypm, "hook.done")) == 1


def test_a_run_that_could_not_start_has_failed(pypm: RealPypm) -> None:
    program = pypm.write("program", "#!/bin/sh\nexec sleep 1000\n", 0o755)
    hook = sh("env > facts.part; mv facts.part facts")
    pypm.start({"name": "a", "command": [str(program)], "max_restarts": 0, "on_failure": hook})
    pypm.ok("stop", "a")
    program.unlink()
    assert pypm.run("start", "a").returncode == 1
    assert facts(pypm)["PYPM_CAUSE"] == "spawn"


def test_a_hook_that_fails_stops_nothing(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", post_start=sh("echo no >&2; exit 3"), pre_stop=sh("kill -9 $$")))
    wait_until(lambda: events(pypm, "hook.failed") != [], 20.0)
    assert pypm.row("a")["status"] == "online"
    pypm.ok("stop", "a")
    failed = [(each["hook"], each["reason"]) for each in events(pypm, "hook.failed")]
    assert failed == [("post_start", "exit code 3"), ("pre_stop", "killed by SIGKILL")]
    assert "its hook post_start: exit code 3" in (pypm.home / "master.log").read_text()


def test_wrong_hooks_are_refused_when_the_file_is_read(pypm: RealPypm) -> None:
    error = pypm.fails(1, "start", pypm.ecosystem(sleeper("a", pre_stop="no-such-program now")))
    assert "no-such-program" in error
    error = pypm.fails(1, "start", pypm.ecosystem(sleeper("a", pre_stop="a && b")))
    assert 'write ["sh", "-c", "…"]' in error
    error = pypm.fails(1, "start", pypm.ecosystem(sleeper("a", pre_stop={"comand": "true"})))
    assert "comand" in error


def test_a_pre_stop_whose_master_is_killed_is_run_again_and_the_signal_comes_once(pypm: RealPypm) -> None:
    pypm.start(python("a", COUNTS_TERM, pre_stop=sh(ONCE_ALLOWED)))
    wait_until(lambda: pypm.log("a") == b"up\n", 20.0)
    pypm.ok("stop", "a", "--no-wait")
    hooks = pypm.folder / "hooks"
    wait_until(lambda: hooks.exists() and hooks.read_text() == "begun\n", 20.0)
    os.kill(pypm.json("ping")["master_pid"], signal.SIGKILL)
    wait_until(lambda: hooks.read_text() == "begun\nbegun\n", 20.0)
    pypm.write("go", "")
    pypm.wait_status("a", "stopped")
    assert (pypm.folder / "order").read_text() == "hook term ", "the first one was killed before it wrote"


def test_more_hooks_than_run_at_once_all_run(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", instances=40, post_start=sh("echo $PYPM_INSTANCE >> ran")))
    wait_until(lambda: len(events(pypm, "hook.done")) == 40, 60.0)
    assert sorted(map(int, (pypm.folder / "ran").read_text().split())) == list(range(40))


def test_a_stop_waits_for_no_hooks_of_others(pypm: RealPypm) -> None:
    busy = sh("echo begun >> busy; while [ ! -e go ]; do sleep 0.2; done", "100s")
    pypm.begin(sleeper("busy", instances=16, post_start=busy), sleeper("a", pre_stop=sh("echo a > stopped")))
    log = pypm.folder / "busy"
    wait_until(lambda: log.exists() and log.read_text() == "begun\n" * 16, 30.0)
    pypm.ok("stop", "a")
    assert (pypm.folder / "stopped").read_text() == "a\n"
    assert events(pypm, "hook.done") != []
    pypm.write("go", "")


FINISHES_ITS_STEP = (
    "import os, signal, time\nfrom pypm import agent\nasked = []\n"
    "signal.signal(signal.SIGTERM, lambda *_: asked.append(1))\n"
    "agent.heartbeat()\nprint('up', flush=True)\n"
    "while not asked: time.sleep(0.02)\n"
    "agent.extend_deadline(EXTENSION, 'finishing the step')\n"
    "while not os.path.exists('step-done'): time.sleep(0.02)\n"
    "open('saved', 'w').close()\n"
)


def test_an_agent_that_finishes_its_step_is_waited_for_and_seen(pypm: RealPypm) -> None:
    script = FINISHES_ITS_STEP.replace("EXTENSION", "100")
    pypm.start(python("a", script, kill_timeout="30s"))
    wait_until(lambda: pypm.log("a") == b"up\n", 20.0)
    with pypm.popen("stop", "a") as stop:
        row = pypm.wait_row("a", lambda row: "finishing the step" in row["awaited"])
        assert row["awaited"].startswith("finishing the step (extended): SIGTERM sent, SIGKILL in ")
        assert int(row["awaited"].rpartition(" ")[2].rstrip("s").replace("m", "")) > 0
        assert "finishing the step (extended)" in pypm.ok("list")
        pypm.write("step-done", "")
        stop.communicate(timeout=30)
    assert (pypm.folder / "saved").exists()
    assert pypm.row("a")["last_exit"]["code"] == 0


def test_nobody_extends_a_stop_for_ever(pypm: RealPypm) -> None:
    script = FINISHES_ITS_STEP.replace("EXTENSION", "1000")
    pypm.start(python("a", script, kill_timeout="200ms", health={"max_extension": "600ms"}))
    wait_until(lambda: pypm.log("a") == b"up\n", 20.0)
    pypm.ok("stop", "a")
    assert pypm.row("a")["last_exit"]["signal"] == "SIGKILL"
    assert not (pypm.folder / "saved").exists()
