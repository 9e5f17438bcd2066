"""PM2's words with a real master: files that are started or renewed, JSON from stdin, lists, reports."""

from __future__ import annotations

import json
import subprocess

from real_pypm import COMMAND, LONG, RealPypm, lives, sleeper

from pypm.testing import wait_until


def piped(pypm: RealPypm, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command that reads ``text`` on stdin."""
    return subprocess.run(
        [*COMMAND, *words],
        cwd=pypm.folder,
        input=text,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )


def test_start_or_restart_starts_what_is_down_and_restarts_what_runs(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("b"))
    pypm.ok("stop", "b")
    path = pypm.ecosystem(sleeper("a"), sleeper("b"), sleeper("c"))
    answer = pypm.json("startOrRestart", path)
    actions = {each["name"]: each["action"] for each in answer["instances"]}
    assert actions == {"a": "restarted", "b": "started", "c": "added"}
    assert {row["name"]: (row["status"], row["restarts"]) for row in pypm.rows()} == {
        "a": ("online", 1),
        "b": ("online", 0),
        "c": ("online", 0),
    }


def test_start_or_reload_takes_up_what_has_changed_by_the_reload_alone(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", instances=2, max_unavailable=1))
    before = [row["pid"] for row in pypm.rows()]
    path = pypm.ecosystem(sleeper("a", instances=2, max_unavailable=1, env={"COLOUR": "green"}))
    answer = pypm.json("startOrReload", path)
    assert [each["action"] for each in answer["instances"]] == ["reloaded", "reloaded"]
    assert answer["failures"] == []
    assert not any(map(lives, before))
    assert [row["restarts"] for row in pypm.rows()] == [1, 1]
    assert {each["env"]["COLOUR"] for each in pypm.json("env", "a")} == {"green"}
    assert {each["action"] for each in pypm.json("startOrGracefulReload", path)["instances"]} == {"reloaded"}


def test_apps_as_json_on_stdin_are_started_and_deleted(pypm: RealPypm) -> None:
    text = json.dumps({"apps": [{"name": "a", "script": "sleep", "args": "6621", "min_uptime": 10}]})
    done = piped(pypm, text, "start", "-")
    assert done.returncode == 0, done.stderr
    row = pypm.row("a")
    assert row["status"] == "online"
    assert pypm.call("describe", targets=["a"])[0]["spec"]["cwd"] == str(pypm.folder)
    assert piped(pypm, text, "delete", "-").returncode == 0
    assert pypm.rows() == []
    wait_until(lambda: not lives(row["pid"]))
    broken = piped(pypm, "{", "start", "-")
    assert (broken.returncode, broken.stdout) == (1, "")
    assert broken.stderr.startswith("pypm: stdin: ")


def test_lists_that_scripts_for_pm2_read(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", instances=2), sleeper("b"))
    pypm.ok("stop", "b")
    processes = json.loads(pypm.ok("jlist"))
    assert [(each["name"], each["pm_id"], each["pm2_env"]["status"]) for each in processes] == [
        ("a", 0, "online"),
        ("a", 1, "online"),
        ("b", 2, "stopped"),
    ]
    assert processes[0]["pid"] == pypm.pid("a:0")
    assert pypm.ok("prettylist").count("status: 'online'") == 2
    assert pypm.ok("id", "a") == "[ 0, 1 ]\n"
    assert [row["name"] for row in pypm.json("list", "--sort", "name:desc")] == ["b", "a:1", "a:0"]
    mini = pypm.ok("list", "--mini-list")
    assert mini.count("+--- ") == 3
    assert "status : stopped" in mini


def test_a_report_names_what_runs_and_tells_no_environment(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", env={"API_KEY": "very-secret"}))
    text = pypm.ok("report")
    assert "master.log" in text
    assert "online" in text
    assert "very-secret" not in text
    answer = pypm.json("report")
    assert [row["name"] for row in answer["list"]] == ["a"]
    assert answer["checks"]
