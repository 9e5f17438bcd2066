"""The reason: real programs that end in all ways, the rules for that, ``pypm why`` and ``pypm events``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from real_pypm import RealPypm, python, shell, sleeper

from pypm.testing import wait_until

LIMITED = "echo 'Error: rate limit, retry after 2' >&2; echo done; exit 1"


def why(pypm: RealPypm, name: str) -> dict[str, Any]:
    (facts,) = pypm.json("why", name)
    return dict(facts)


def events(pypm: RealPypm, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in pypm.ok("events", "--json", "-n", "1000", *words).splitlines()]


def last_cause(pypm: RealPypm, name: str) -> tuple[str, str]:
    end = pypm.row(name)["last_exit"]
    return end["cause"], end["reason"]


# --- rules ---


def once(pypm: RealPypm, script: str) -> str:
    """A line of shell in the first run, and a long sleep in the next ones."""
    mark = pypm.folder / "second"
    return f"if [ -e {mark} ]; then exec sleep 1000; fi; touch {mark}; {script}"


def test_an_exit_code_holds_for_a_time_and_then_it_goes_on(pypm: RealPypm) -> None:
    rules = {"rules": [{"codes": [75], "action": "hold", "for": "4s"}]}
    pypm.begin(shell("a", once(pypm, "exit 75"), restart=rules))
    row = pypm.wait_status("a", "held")
    assert row["reason"] == "exit code 75; held for 4s"
    assert 0 < row["retry_in_seconds"] <= 4
    assert row["held_until"] == pytest.approx(time.time() + row["retry_in_seconds"], abs=20)
    row = pypm.wait_status("a", "online")
    assert (row["restarts"], row["last_exit"]["rule"]) == (1, "rule 1 (exit code 75): hold")


def test_the_log_says_for_how_long(pypm: RealPypm, request: pytest.FixtureRequest) -> None:
    rules = [
        {"log": r"never written", "action": "stop"},
        {"log": r"rate limit.*retry after (\d+)", "action": "hold", "for": "$1s"},
    ]
    apps = [
        shell("raw", LIMITED, restart={"rules": rules}),
        shell("text", LIMITED, restart={"rules": rules}, logs={"format": "text"}),
        shell("json", LIMITED, restart={"rules": rules}, logs={"format": "json"}),
    ]
    pypm.begin(*apps)
    for name in ("raw", "text", "json"):
        row = pypm.wait_status(name, "held")
        assert row["reason"] == 'exit code 1, "Error: rate limit, retry after 2"; held for 2s'
        pypm.wait_row(name, lambda row: row["restarts"] >= 1)


def test_held_until_told_also_by_the_next_master(pypm: RealPypm) -> None:
    rules = {"rules": [{"code": 77, "action": "hold", "reason": "login failed"}]}
    pypm.begin(shell("a", once(pypm, "exit 77"), restart=rules))
    pypm.wait_status("a", "held")
    pypm.kill_master()
    row = pypm.row("a")
    assert (row["status"], row["held_until"]) == ("held", None)
    assert row["reason"] == "login failed (exit code 77); held until told"
    pypm.ok("start", "a")
    assert pypm.row("a")["status"] == "online"


def test_an_end_without_a_master_is_judged_by_the_next_one_by_the_log_too(pypm: RealPypm) -> None:
    go = pypm.folder / "go"
    script = f"while [ ! -e {go} ]; do sleep 0.02; done; {LIMITED}"
    rules = {"rules": [{"log": r"retry after (\d+)", "action": "hold", "for": "$1h"}]}
    pypm.start(shell("a", script, restart=rules))
    os.kill(pypm.master_pid(), signal.SIGKILL)
    go.touch()
    row = pypm.wait_status("a", "held")
    assert row["reason"] == 'exit code 1, "Error: rate limit, retry after 2"; held for 2h'
    pypm.kill_master()
    assert pypm.row("a")["held_until"] == pytest.approx(row["held_until"], abs=20)


def test_stop_and_a_delay_of_its_own(pypm: RealPypm) -> None:
    rules = {"rules": [{"code": 3, "action": "stop"}, {"code": 4, "action": "restart", "delay": "1h"}]}
    pypm.begin(shell("done", "exit 3", restart=rules), shell("later", "exit 4", restart=rules))
    assert pypm.wait_status("done", "exited")["reason"] == "exit code 3; not restarted"
    row = pypm.wait_status("later", "backoff")
    assert 3500 < row["retry_in_seconds"] <= 3600


# --- causes ---


def test_how_runs_end_by_themselves(pypm: RealPypm) -> None:
    off = {"autorestart": False}
    pypm.begin(
        shell("exits", "exit 3", **off),
        shell("crashes", "kill -SEGV $$", **off),
        python("eats", "data = b'x' * 60_000_000; import time; time.sleep(1000)", max_memory_restart="20M"),
        shell("slow", "sleep 1000", wait_ready=True, listen_timeout="300ms", **off),
        {"name": "gone", "command": ["/bin/sh"], "args": ["-c", "exec sleep 1000"], **off},
    )
    pypm.wait_status("exits", "errored")
    assert last_cause(pypm, "exits") == ("exit", "exit code 3")
    pypm.wait_status("crashes", "errored")
    assert last_cause(pypm, "crashes")[0] == "signal"
    assert "SIGSEGV" in last_cause(pypm, "crashes")[1]
    pypm.wait_status("slow", "errored")
    assert last_cause(pypm, "slow") == ("not-ready", "not ready within 300ms")
    pypm.wait_row("eats", lambda row: row["last_exit"] is not None)
    assert last_cause(pypm, "eats")[0] == "memory"
    os.kill(pypm.pid("gone"), signal.SIGKILL)
    pypm.wait_status("gone", "errored")
    assert last_cause(pypm, "gone") == ("signal", "killed by SIGKILL"), "nothing speaks for the kernel"


def test_a_program_that_cannot_be_started(pypm: RealPypm) -> None:
    program = pypm.write("agent", "#!/bin/sh\nexit 1\n", 0o755)
    pypm.begin({"name": "a", "command": [str(program)], "restart_delay": "200ms", "max_restarts": 1000})
    pypm.wait_row("a", lambda row: row["last_exit"] is not None)
    program.unlink()
    pypm.wait_row("a", lambda row: row["last_exit"]["cause"] == "spawn")


def test_who_ordered_it(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("b", env={"X": "1"}))
    pypm.ok("restart", "a")
    cause, reason = last_cause(pypm, "a")
    assert cause == "operator"
    assert "(pypm restart a)" in reason
    pypm.start(sleeper("a"), sleeper("b", env={"X": "2"}))
    assert last_cause(pypm, "b")[0] == "config"
    pypm.ok("stop", "a")
    order = next(each for each in reversed(events(pypm)) if each["event"] == "operator.stop")
    assert (order["uid"], order["command"], order["targets"]) == (os.getuid(), "pypm stop a", ["a"])
    assert order["by"] in pypm.row("a")["reason"]


def memory_group() -> Path | None:
    """A control group with 64 MiB, where we may make one."""
    for base in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup"):
        group = Path(base) / f"pypm-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        for limit in ("memory.limit_in_bytes", "memory.max"):
            if (group / limit).exists():
                (group / limit).write_text(str(64 * 2**20))
                return group
        group.rmdir()
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes control groups")
def test_the_kernel_kills_for_want_of_memory(pypm: RealPypm) -> None:
    group = memory_group()
    if group is None:
        pytest.skip("no control group with the memory controller can be made here")
    eat = "import os\nopen({!r}, 'w').write('0')\nwhile True: data = bytearray(b'x' * 400_000_000)"
    try:
        rules = {"rules": [{"cause": "oom", "action": "stop"}]}
        pypm.begin(python("a", eat.format(str(group / "cgroup.procs")), restart=rules))
        row = pypm.wait_status("a", "errored", "backoff", timeout=30.0)
        assert row["last_exit"]["cause"] == "oom"
        assert "out of memory" in row["reason"]
    finally:
        pypm.ok("delete", "a")
        group.rmdir()


# --- why ---


def test_why_one_crashed_is_held_or_given_up(pypm: RealPypm) -> None:
    hold = {"rules": [{"code": 75, "action": "hold", "for": "1h"}]}
    pypm.begin(
        shell("crashed", "echo 'no such model' >&2; exit 3", restart_delay="1h"),
        shell("held", "echo 'quota used up'; exit 75", restart=hold),
        shell("given-up", "exit 9", max_restarts=2),
        sleeper("fine"),
    )
    pypm.wait_status("crashed", "backoff")
    facts = why(pypm, "crashed")
    assert (facts["status"], facts["cause"], facts["reason"]) == ("backoff", "exit", "exit code 3")
    assert facts["last_words"]["lines"] == ["no such model"]
    assert facts["next"]["at"] == pytest.approx(time.time() + 3600, abs=20)
    assert "1h" in facts["rule"]
    text = pypm.ok("why", "crashed")
    assert "crashed is backoff, since" in text
    assert "  | no such model\n" in text

    pypm.wait_status("held", "held")
    facts = why(pypm, "held")
    assert facts["rule"] == "rule 1 (exit code 75): hold"
    assert (facts["last_words"]["stream"], facts["last_words"]["lines"]) == ("out", ["quota used up"])
    assert "`pypm start held`" in facts["next"]["what"]

    pypm.wait_status("given-up", "errored")
    facts = why(pypm, "given-up")
    assert facts["next"]["at"] is None
    assert (len(facts["runs"]), facts["last_words"]) == (3, None)
    assert "given up after 2 restarts" in facts["rule"]

    assert "fine is online" in pypm.ok("why", "fine")
    assert "no app" in pypm.fails(3, "why", "nobody")


def test_why_one_is_stalled_and_one_waits(pypm: RealPypm) -> None:
    say = (
        "import json, os, time, zmq\n"
        "socket = zmq.Context.instance().socket(zmq.DEALER)\n"
        "socket.connect(os.environ['PYPM_AGENT_ENDPOINT'])\n"
        "def say(kind, **fields):\n"
        "    message = {'v': 1, 'token': os.environ['PYPM_AGENT_TOKEN'], 'type': kind, **fields}\n"
        "    socket.send(json.dumps(message).encode())\n"
    )
    stall = "print('the queue is empty')\nsay('progress', message='question 7')\ntime.sleep(1000)"
    wait = "say('extend', seconds=600, text='model call')\ntime.sleep(1000)"
    health = {"progress_timeout": "1s", "on_stall": ["alert", "restart after 1h"]}
    pypm.start(python("stalled", say + stall, health=health), python("waiting", say + wait, health=health))
    pypm.wait_row("stalled", lambda row: row["health"] == "stalled")
    facts = why(pypm, "stalled")
    assert facts["trouble"].startswith("no progress for 1s")
    assert facts["rule"] == "alert, restart after 1h"
    assert facts["progress_text"] == "question 7"
    assert facts["last_words"]["lines"] == ["the queue is empty"]
    assert facts["next"]["at"] == pytest.approx(time.time() + 3600, abs=20)
    assert "stalled is online and stalled" in pypm.ok("why", "stalled")
    pypm.wait_row("waiting", lambda row: row["waiting_for"] == "model call")
    assert why(pypm, "waiting")["waiting_for"] == "model call"
    assert "model call, for " in pypm.ok("why", "waiting")


def test_why_without_a_master(pypm: RealPypm) -> None:
    hold = {"rules": [{"code": 77, "action": "hold", "reason": "login failed"}]}
    pypm.begin(shell("a", "echo 'wrong password' >&2; exit 77", restart=hold))
    pypm.wait_status("a", "held")
    with_master = why(pypm, "a")
    pypm.terminate_master()
    done = pypm.run("why", "a")
    assert "no master runs" in done.stderr
    assert "login failed (exit code 77); held until told" in done.stdout
    assert "  | wrong password\n" in done.stdout
    without = why(pypm, "a")
    assert (with_master["source"], without["source"]) == ("master", "state")
    for key in ("status", "reason", "rule", "next", "last_words", "cause", "runs"):
        assert without[key] == with_master[key] or key in ("next", "runs")
    assert pypm.lock_holder() is None, "nobody has started a master for it"
    pypm.fails(3, "why", "b")


# --- events ---


def test_the_story_goes_on_across_the_death_of_a_master(pypm: RealPypm) -> None:
    go = pypm.folder / "go"
    pypm.start(shell("a", f"while [ ! -e {go} ]; do sleep 0.02; done; exit 5", autorestart=False))
    first = pypm.master_pid()
    os.kill(first, signal.SIGKILL)
    go.touch()
    pypm.wait_status("a", "errored")
    told = events(pypm)
    names = [each["event"] for each in told]
    assert names[:3] == ["master.started", "operator.apply", "instance.online"]
    assert names[3:5] == ["master.started", "master.adopted"] or "run.ended" in names[3:]
    masters = [each["pid"] for each in told if each["event"] == "master.started"]
    assert masters == [first, pypm.master_pid()]
    (end,) = [each for each in told if each["event"] == "run.ended"]
    assert (end["code"], end["cause"], end["status"]) == (5, "exit", "errored")
    assert [each["event"] for each in events(pypm, "a")] == [
        "operator.apply",
        "instance.online",
        "run.ended",
        "instance.errored",
    ]


def test_events_need_no_master_and_know_times_and_those_who_are_gone(pypm: RealPypm) -> None:
    assert pypm.ok("events", "--json") == ""
    pypm.start(sleeper("a"), sleeper("b"))
    pypm.ok("delete", "a")
    pypm.terminate_master()
    about = [each["event"] for each in events(pypm, "a")]
    assert about[-3:] == ["instance.stopping", "run.ended", "instance.deleted"]
    assert "operator.delete" in about
    assert events(pypm, "--since", "1h") == events(pypm)
    assert events(pypm, "--until", "1h") == []
    assert len(pypm.ok("events", "-n", "2").splitlines()) == 2
    assert "no app" in pypm.fails(3, "events", "nobody")
    assert "--since" in pypm.fails(2, "events", "--since", "soon")
    assert pypm.lock_holder() is None


def test_events_are_followed_across_rotation(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    follower = pypm.popen("events", "-f", "--json", "a")
    seen: list[dict[str, Any]] = []
    try:
        assert follower.stdout is not None
        os.set_blocking(follower.stdout.fileno(), False)
        rest = b""

        def names() -> list[str]:
            nonlocal rest
            rest += follower.stdout.read() or b""  # type: ignore[union-attr]
            *lines, rest = rest.split(b"\n")
            seen.extend(json.loads(line) for line in lines)
            return [each["event"] for each in seen]

        wait_until(lambda: "instance.online" in names(), 20.0)
        events_file = Path(pypm.home) / "events.jsonl"
        events_file.rename(f"{events_file}.1")
        os.kill(pypm.master_pid(), signal.SIGUSR2)
        wait_until(lambda: "all logs are opened anew" in pypm.master_log(), 20.0)
        pypm.ok("restart", "a")
        wait_until(lambda: names().count("instance.online") == 2, 20.0)
        assert names().count("run.ended") == 1
    finally:
        follower.send_signal(signal.SIGINT)
        assert follower.wait(20) == 0
        assert follower.stdout is not None
        follower.stdout.close()
        assert follower.stderr is not None
        follower.stderr.close()


def test_a_reader_that_leaves_ends_it(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    follower = pypm.popen("events", "-f", stderr=subprocess.DEVNULL)
    assert follower.stdout is not None
    assert follower.stdout.readline()
    follower.stdout.close()
    follower.wait(20)
