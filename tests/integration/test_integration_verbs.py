"""Every verb with a real master: what it does, what it answers, and the status it exits with."""

from __future__ import annotations

import json
import os
import signal

import pytest
from real_pypm import RealPypm, lives, shell, sleeper

from pypm import __version__
from pypm.testing import wait_until

ROW_FIELDS = {
    "id", "name", "app", "namespace", "instance", "status", "desired", "pid", "restarts", "uptime_seconds",
    "cpu_percent", "memory_bytes", "ready", "health", "reason", "last_exit", "status_text",
    "awaited", "last_run", "log_trouble", "next_run",
    "heartbeat_age_seconds", "progress_age_seconds", "progress_text", "iteration", "waiting_for",
    "waiting_seconds", "evidence", "trouble", "retry_in_seconds", "held_until", "out_file", "error_file",
}  # fmt: skip


def actions(answer: dict[str, object]) -> dict[str, str]:
    return {entry["name"]: entry["action"] for entry in answer["instances"]}  # type: ignore[index, attr-defined]


def test_stop_ends_the_process_and_keeps_it_down(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("b"))
    pid = pypm.pid("a")
    assert pypm.ok("stop", "a") == "stopped a\n"
    assert not lives(pid)
    row = pypm.row("a")
    assert (row["status"], row["desired"], row["pid"], row["ready"]) == ("stopped", "down", None, False)
    assert row["reason"].startswith("stopped by ")
    assert "(pypm stop" in row["reason"]
    assert row["last_exit"]["signal"] == "SIGTERM"
    assert pypm.row("b")["status"] == "online"
    assert actions(pypm.json("stop", "a")) == {"a": "unchanged"}


def test_stop_without_waiting(pypm: RealPypm) -> None:
    pypm.start(shell("slow", "trap 'sleep 0.2; exit' TERM; echo up; while :; do sleep 0.05; done"))
    wait_until(lambda: pypm.log("slow"))
    assert actions(pypm.json("stop", "slow", "--no-wait")) == {"slow": "stopped"}
    pypm.wait_status("slow", "stopped")


def test_restart_gives_a_new_process_with_the_same_id(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    before = pypm.row("a")
    shown = pypm.ok("restart", "a")
    after = pypm.row("a")
    assert "online" in shown
    assert (after["id"], after["restarts"]) == (before["id"], 1)
    assert after["pid"] != before["pid"]
    assert not lives(before["pid"])
    assert "restart" in after["reason"]


def test_restart_brings_up_what_is_down(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), status=0)
    pypm.ok("stop", "a")
    pypm.ok("restart", "a")
    assert pypm.row("a")["status"] == "online"


def test_restart_with_a_new_environment(pypm: RealPypm) -> None:
    pypm.start(shell("a", "echo $COLOUR; sleep 1000"))
    pypm.ok("restart", "a", env={**os.environ, "COLOUR": "red"})
    pypm.ok("restart", "a", "--update-env", env={**os.environ, "COLOUR": "green"})
    pypm.ok("restart", "a", env={**os.environ, "COLOUR": "blue"})
    wait_until(lambda: pypm.log("a").count(b"\n") == 4)
    assert pypm.log("a").split() == [b"green", b"green"]


def test_a_failed_restart_exits_1_with_the_reason(pypm: RealPypm) -> None:
    pypm.start(shell("a", "test -e flag && exit 4; sleep 1000", max_restarts=0, min_uptime="2s"))
    pypm.write("flag", "")
    done = pypm.run("restart", "a")
    assert done.returncode == 1
    assert "a is errored: exit code 4" in done.stderr


def test_delete_ends_and_forgets(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("b"))
    pid = pypm.pid("a")
    assert pypm.ok("delete", "a") == "deleted a\n"
    assert not lives(pid)
    assert [row["name"] for row in pypm.rows()] == ["b"]
    assert "a" in pypm.fails(3, "describe", "a")


def test_list_in_a_pipe_is_plain_text(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("w", instances=2))
    shown = pypm.ok("list")
    assert "\x1b" not in shown
    head, *rows = shown.splitlines()
    assert head.split()[:4] == ["id", "name", "namespace", "status"]
    assert [line.split()[:5] for line in rows] == [
        [str(row["id"]), row["name"], "default", "online", str(row["pid"])] for row in pypm.rows()
    ]


@pytest.mark.parametrize("alias", ["ls", "status", "ps"])
def test_list_by_its_other_names(pypm: RealPypm, alias: str) -> None:
    pypm.start(sleeper("a"))
    assert [row["name"] for row in pypm.json(alias)] == ["a"]


def test_list_json_has_every_field_of_a_row(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", namespace="team"), sleeper("w", instances=2))
    pypm.wait_row("a", lambda row: row["memory_bytes"] is not None and row["cpu_percent"] is not None)
    rows = pypm.json("list")
    assert [set(row) for row in rows] == [ROW_FIELDS] * 3
    a, w1 = rows[0], rows[2]
    assert (a["id"], a["name"], a["app"], a["namespace"], a["instance"]) == (0, "a", "a", "team", 0)
    assert (w1["name"], w1["app"], w1["instance"]) == ("w:1", "w", 1)
    assert (a["status"], a["desired"], a["restarts"], a["ready"], a["health"], a["reason"]) == (
        "online", "up", 0, True, "unknown", "",
    )  # fmt: skip
    assert lives(a["pid"])
    assert 0 < a["uptime_seconds"] < 60
    assert a["memory_bytes"] > 100_000
    assert a["cpu_percent"] >= 0.0
    assert a["out_file"] == str(pypm.home / "logs" / "a-out.log")
    assert w1["error_file"] == str(pypm.home / "logs" / "w-1-error.log")


def test_cpu_of_a_busy_agent_is_seen(pypm: RealPypm) -> None:
    pypm.begin(shell("busy", "while :; do :; done"))
    assert pypm.wait_row("busy", lambda row: (row["cpu_percent"] or 0) > 5.0)


@pytest.mark.parametrize("verb", ["describe", "show", "info"])
def test_describe_tells_all(pypm: RealPypm, verb: str) -> None:
    pypm.start(sleeper("a", env={"KEY_OF_A": "hidden-value"}))
    detail = pypm.json(verb, "a")[0]
    assert set(detail) > ROW_FIELDS
    assert detail["spec"]["command"][1:] == ["1000"]
    assert [step["to"] for step in detail["history"]] == ["starting", "online"]
    assert detail["started_at"] >= detail["created_at"]
    shown = pypm.ok(verb, "a")
    assert str(detail["pid"]) in shown
    assert "hidden-value" not in shown


def test_describe_tells_how_the_last_runs_ended(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    os.kill(pypm.pid("a"), signal.SIGSEGV)
    pypm.wait_row("a", lambda row: row["restarts"] == 1 and row["status"] == "online")
    run = pypm.json("describe", "a")[0]["runs"][0]
    assert (run["code"], run["signal"]) == (None, "SIGSEGV")
    assert run["reason"].startswith("killed by SIGSEGV")
    assert run["uptime_seconds"] > 0
    assert "killed by SIGSEGV" in pypm.ok("describe", "a")


def test_flush_empties_the_logs_and_the_agent_writes_on(pypm: RealPypm) -> None:
    pypm.start(shell("a", "echo before; trap 'echo after' HUP; while :; do sleep 0.05; done"))
    wait_until(lambda: pypm.log("a") == b"before\n")
    answer = pypm.json("flush", "a")
    assert str(pypm.home / "logs" / "a-out.log") in answer["files"]
    assert pypm.log("a") == b""
    pypm.ok("signal", "HUP", "a")
    wait_until(lambda: pypm.log("a") == b"after\n")


def test_reset_zeroes_the_counter_and_leaves_the_run(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    pypm.ok("restart", "a")
    pid = pypm.pid("a")
    assert actions(pypm.json("reset", "a")) == {"a": "reset"}
    assert (pypm.row("a")["restarts"], pypm.pid("a")) == (0, pid)


@pytest.mark.parametrize("name", ["USR1", "SIGUSR1", "usr1", str(int(signal.SIGUSR1))])
def test_signal_in_any_spelling(pypm: RealPypm, name: str) -> None:
    pypm.start(shell("a", "trap 'echo got it' USR1; echo up; while :; do sleep 0.05; done"))
    wait_until(lambda: pypm.log("a"))
    assert actions(pypm.json("signal", name, "a")) == {"a": "signalled"}
    wait_until(lambda: pypm.log("a") == b"up\ngot it\n")
    assert pypm.row("a")["restarts"] == 0


def test_what_does_not_run_gets_no_signal_and_that_is_said(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("b"))
    pypm.ok("stop", "b")
    said = pypm.run("signal", "CONT", "a", "b")
    assert (said.returncode, said.stderr) == (0, "pypm: warning: b does not run, and got no signal\n")
    said = pypm.run("signal", "CONT", "b")
    assert (said.returncode, said.stderr) == (1, "pypm: warning: b does not run, and got no signal\n")


def test_signal_reaches_the_main_process_only_unless_asked(pypm: RealPypm) -> None:
    wait = "echo up; while :; do sleep 0.05; done"
    script = f"sh -c 'trap \"echo child\" USR1; {wait}' & trap 'echo main' USR1; {wait}"
    pypm.start(shell("a", script))
    wait_until(lambda: pypm.log("a") == b"up\nup\n")
    pypm.ok("signal", "USR1", "a")
    wait_until(lambda: pypm.log("a").endswith(b"main\n"))
    pypm.ok("signal", "USR1", "a", "--group")
    wait_until(lambda: pypm.log("a").count(b"main") == 2 and b"child" in pypm.log("a"))
    assert pypm.log("a").count(b"child") == 1


def test_signal_by_its_pm2_name_and_a_wrong_one(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    pypm.ok("sendSignal", "CONT", "a")
    assert "SIGTERM" in pypm.fails(2, "signal", "SIGTREM", "a")


def test_pid_prints_pids_and_nothing_else(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("b"))
    a, b = pypm.pid("a"), pypm.pid("b")
    assert pypm.ok("pid", "a") == f"{a}\n"
    assert pypm.ok("pid").split() == [str(a), str(b)]
    assert pypm.json("pid", "a") == [{"id": 0, "name": "a", "pid": a}]
    pypm.ok("stop", "a")
    assert "a is not running" in pypm.fails(1, "pid", "a")


def test_env_shows_the_next_runs_environment_without_secrets(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", env={"MODEL": "small", "API_KEY": "abc123"}))
    shown = pypm.ok("env", "a").splitlines()
    assert "MODEL=small" in shown
    assert "API_KEY=****" in shown
    assert "PYPM_NAME=a" in shown
    assert "API_KEY=abc123" in pypm.ok("env", "a", "--show-secrets").splitlines()
    [answer] = pypm.json("env", "a")
    assert (answer["name"], answer["env"]["MODEL"]) == ("a", "small")
    assert "PYPM_AGENT_TOKEN" not in answer["env"]


def test_ping_says_who_answers(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    answer = pypm.json("ping")
    assert set(answer) >= {"master_pid", "guardian_pid", "version", "uptime_seconds", "home", "protocol"}
    assert answer["home"] == str(pypm.home)
    assert answer["version"] == __version__
    assert lives(answer["master_pid"])
    assert str(answer["master_pid"]) in pypm.ok("ping")


def test_ping_and_kill_without_a_master_exit_4(pypm: RealPypm) -> None:
    assert "no master" in pypm.fails(4, "ping")
    assert "no master" in pypm.fails(4, "kill")
    assert pypm.lock_holder() is None


def test_kill_ends_everything_and_what_was_declared_stays(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("w", instances=2))
    pids = [row["pid"] for row in pypm.rows()]
    master = pypm.master_pid()
    pypm.ok("kill")
    wait_until(lambda: not lives(master))
    assert not any(map(lives, pids))
    rows = pypm.json("list")
    assert [(row["name"], row["status"], row["desired"]) for row in rows] == [
        ("a", "stopped", "down"), ("w:0", "stopped", "down"), ("w:1", "stopped", "down"),
    ]  # fmt: skip
    pypm.ok("start", "all")
    assert {row["status"] for row in pypm.rows()} == {"online"}


def test_version_needs_no_master(pypm: RealPypm) -> None:
    assert __version__ in pypm.ok("version")
    assert pypm.json("version")["version"] == __version__
    assert pypm.ok("--version") == f"pypm {__version__}\n"


def test_scale_up_and_down_by_name(pypm: RealPypm) -> None:
    pypm.start(sleeper("w", instances=2))
    first = {row["name"]: row["pid"] for row in pypm.rows()}
    pypm.ok("scale", "w", "4")
    assert [row["name"] for row in pypm.rows()] == ["w:0", "w:1", "w:2", "w:3"]
    assert {name: pypm.pid(name) for name in first} == first, "what runs is left alone"
    pypm.ok("scale", "w", "+1")
    assert len(pypm.rows()) == 5
    gone = pypm.pid("w:4")
    answer = pypm.json("scale", "w", "--", "-3")
    assert actions(answer) == {
        "w:0": "unchanged", "w:1": "unchanged", "w:2": "deleted", "w:3": "deleted", "w:4": "deleted",
    }  # fmt: skip
    wait_until(lambda: len(pypm.rows()) == 2)
    assert not lives(gone)
    assert {row["name"]: row["pid"] for row in pypm.rows()} == first


def test_scale_to_one_and_back_renames(pypm: RealPypm) -> None:
    pypm.start(sleeper("w", instances=2))
    pypm.ok("scale", "w", "1")
    wait_until(lambda: [row["name"] for row in pypm.rows()] == ["w"])
    pypm.ok("scale", "w", "2")
    assert [row["name"] for row in pypm.rows()] == ["w:0", "w:1"]


def test_scale_refuses_nonsense(pypm: RealPypm) -> None:
    pypm.start(sleeper("worker"))
    assert "worker" in pypm.fails(3, "scale", "wroker", "2")
    pypm.fails(2, "scale", "worker", "many")
    assert pypm.run("scale", "worker", "0").returncode in (1, 2)
    assert len(pypm.rows()) == 1


def test_an_ecosystem_file_is_a_target(pypm: RealPypm) -> None:
    pypm.start(sleeper("other"))
    file = pypm.ecosystem(sleeper("a"), sleeper("b"), name="second.toml")
    pypm.ok("start", file)
    pypm.ok("stop", file)
    assert {row["name"]: row["status"] for row in pypm.rows()} == {
        "other": "online", "a": "stopped", "b": "stopped",
    }  # fmt: skip
    pypm.ok("delete", "second.toml")
    assert [row["name"] for row in pypm.rows()] == ["other"]


TARGETS = {
    ("web",): "web",
    ("w:1",): "w:1",
    ("0",): "web",
    ("team",): "w:0 w:1",
    ("w*",): "web w:0 w:1",
    ("w",): "w:0 w:1",
    ("/^w:/",): "w:0 w:1",
    ("web", "db"): "web db",
    ("db", "db", "3"): "db",
    ("all",): "web w:0 w:1 db",
    ("--all",): "web w:0 w:1 db",
}


def test_every_kind_of_target_chooses_what_it_means(pypm: RealPypm) -> None:
    pypm.start(sleeper("web"), sleeper("w", instances=2, namespace="team"), sleeper("db"))
    for words, expected in TARGETS.items():
        chosen = actions(pypm.json("reset", *words))
        assert set(chosen) == set(expected.split()), words


@pytest.mark.parametrize(
    "verb", ["start", "stop", "restart", "delete", "describe", "flush", "reset", "env", "pid"]
)
def test_a_wrong_name_is_answered_with_the_nearest_right_ones(pypm: RealPypm, verb: str) -> None:
    pypm.start(sleeper("worker"), sleeper("database"))
    stderr = pypm.fails(3, verb, "wroker")
    assert "wroker" in stderr
    assert "worker" in stderr.split("hint:")[1]
    assert "database" not in stderr.split("hint:")[1]


def test_one_wrong_name_among_right_ones_changes_nothing(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("b"))
    pypm.fails(3, "stop", "a", "nothing-like-it")
    assert {row["status"] for row in pypm.rows()} == {"online"}


def test_a_broken_regular_expression_is_wrong_usage(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    assert pypm.run("stop", "/(/").returncode in (2, 3)
    assert pypm.row("a")["status"] == "online"


@pytest.mark.parametrize(
    "words", [["strat"], ["list", "--jsno"], ["stop"], ["signal"], ["start", "x", "--wiat"], ["scale", "w"]]
)
def test_wrong_usage_exits_2(pypm: RealPypm, words: list[str]) -> None:
    stderr = pypm.fails(2, *words)
    assert stderr
    assert pypm.lock_holder() is None


def test_an_unknown_verb_is_answered_with_the_nearest_one(pypm: RealPypm) -> None:
    assert "start" in pypm.fails(2, "strat")


def test_json_on_a_cold_start_is_only_json(pypm: RealPypm) -> None:
    assert pypm.json("list") == []
    assert pypm.lock_holder() is not None, "a first command starts the master"


def test_start_json_on_a_cold_start_is_only_json(pypm: RealPypm) -> None:
    done = pypm.run("start", pypm.ecosystem(sleeper("a")), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert (answer["timed_out"], answer["warnings"]) == (False, [])
    assert [row["status"] for row in answer["rows"]] == ["online"]


def test_every_verb_has_json(pypm: RealPypm) -> None:
    pypm.start(shell("a", "echo hello; sleep 1000"))
    wait_until(lambda: pypm.log("a"))
    for words in (
        ["start", "a"], ["stop", "a"], ["restart", "a"], ["describe", "a"], ["list"], ["flush", "a"],
        ["reset", "a"], ["signal", "CONT", "a"], ["pid"], ["env", "a"], ["ping"], ["version"],
        ["scale", "a", "2"], ["delete", "a"], ["kill"],
    ):  # fmt: skip
        assert isinstance(pypm.json(*words), dict | list), words


def test_the_master_is_started_quietly_and_detached(pypm: RealPypm) -> None:
    done = pypm.run("list", "--json")
    assert (done.stdout, done.stderr) == ("[]\n", "")
    master = pypm.master_pid()
    assert os.getsid(master) == pypm.guardian_pid() != os.getsid(0)
    assert os.readlink(f"/proc/{master}/cwd") == "/"
    assert os.readlink(f"/proc/{master}/fd/0") == "/dev/null"
    assert os.readlink(f"/proc/{master}/fd/1") == str(pypm.home / "master.log")


def test_only_the_owner_can_enter(pypm: RealPypm) -> None:
    pypm.start(shell("a", "echo hello; sleep 1000"))
    wait_until(lambda: pypm.log("a"))
    paths = [pypm.home, *pypm.home.rglob("*")]
    ours = [path for path in paths if "work" not in path.relative_to(pypm.home).parts]
    assert {path.name for path in ours} >= {
        "pypm.sock",
        "agents.sock",
        "state.json",
        "a-out.log",
        "master.log",
    }
    assert [str(path) for path in ours if path.exists() and path.stat().st_mode & 0o077] == []


def test_a_stop_does_not_wait_for_what_somebody_has_started_again(pypm: RealPypm) -> None:
    script = "test -e flag && exec sleep 1000; trap '' TERM; echo up; until test -e flag; do sleep 0.05; done"
    pypm.start(shell("deaf", script, kill_timeout="60s"))
    wait_until(lambda: pypm.log("deaf") == b"up\n")
    stop = pypm.popen("stop", "deaf")
    pypm.wait_status("deaf", "stopping")
    pypm.call("start", targets=["deaf"])
    pypm.write("flag", "")
    _, said = stop.communicate(timeout=30)
    assert stop.returncode == 0
    assert b"deaf was started again meanwhile" in said
    pypm.wait_status("deaf", "online")
