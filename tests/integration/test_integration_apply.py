"""``pypm apply`` with real agents: only what differs is touched; what changes live is in force at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from real_pypm import RealPypm, lives, sleeper

from pypm.testing import wait_until

TALKER = "import time\nwhile True:\n    print('tick', flush=True)\n    time.sleep(0.05)\n"
QUITTER = (
    "import signal, sys\nsignal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))\nprint('up', flush=True)\n"
    "while True:\n    signal.pause()\n"
)


def apply(pypm: RealPypm, *apps: dict[str, Any], words: tuple[str, ...] = ()) -> dict[str, str]:
    """Apply a file of these apps; give each app's action in the plan."""
    answer = pypm.json("apply", pypm.ecosystem(*apps), *words)
    return {app["app"]: app["action"] for app in answer["plan"]["apps"]}


def pids(pypm: RealPypm) -> dict[str, int]:
    return {row["name"]: row["pid"] for row in pypm.rows()}


def changes_live(pypm: RealPypm, app: dict[str, Any], **fields: Any) -> None:
    """Apply a change of one app, whose run has to go on."""
    before = pypm.pid(app["name"])
    assert apply(pypm, app | fields) == {app["name"]: "change"}
    row = pypm.row(app["name"])
    assert (row["pid"], row["restarts"]) == (before, 0)
    assert lives(before)


def test_from_nothing_to_what_the_file_says_and_only_what_differs(pypm: RealPypm) -> None:
    assert apply(pypm, sleeper("a"), sleeper("b", instances=2), sleeper("c")) == dict.fromkeys("abc", "add")
    before = pids(pypm)
    b = sleeper("b", instances=3, kill_timeout="2s")
    changed = apply(pypm, sleeper("a"), b, sleeper("c", env={"X": "1"}), sleeper("d"))
    assert changed == {"a": "keep", "b": "change", "c": "restart", "d": "add"}
    after = pids(pypm)
    assert {name for name in before if after[name] != before[name]} == {"c"}
    assert set(after) - set(before) == {"b:2", "d"}
    assert pypm.row("c")["reason"] == "restarted for a change of env"
    assert pypm.fails(1, "apply", str(pypm.write("bad.toml", '[[apps]]\ncommand = "no-such-program"\n')))
    assert pids(pypm) == after


def test_scaling_by_hand_goes_back_to_what_the_file_says(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", instances=2))
    pypm.ok("scale", "a", "4")
    before = pids(pypm)
    assert apply(pypm, sleeper("a", instances=2)) == {"a": "scale"}
    wait_until(lambda: len(pypm.rows()) == 2, 20.0, "the newest two are gone")
    assert pids(pypm) == {name: before[name] for name in ("a:0", "a:1")}


def test_a_dry_run_touches_nothing_and_exits_5_where_there_is_something_to_do(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    state, before = pypm.state()["apps"], pids(pypm)
    file = pypm.ecosystem(sleeper("a", env={"X": "1"}), sleeper("b"))
    done = pypm.run("apply", file, "--dry-run", "--exit-code")
    assert (done.returncode, done.stderr) == (5, "")
    assert "~ a  restart" in done.stdout
    assert "env.X  - -> 1  (restart)" in done.stdout
    assert (pypm.state()["apps"], pids(pypm)) == (state, before)
    pypm.ok("apply", file)
    assert "plan: 2 unchanged" in pypm.ok("apply", file, "--dry-run", "--exit-code")


def test_without_a_master_a_dry_run_compares_with_what_was_saved(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    pypm.end()
    done = pypm.run("apply", pypm.ecosystem(sleeper("a", kill_timeout="3s")), "--dry-run")
    assert "kill_timeout  10s -> 3s" in done.stdout
    assert "no master runs" in done.stderr
    assert pypm.lock_holder() is None


def test_prune_removes_what_came_from_this_file_only(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("b"))
    pypm.ok("start", pypm.ecosystem(sleeper("other"), name="other.toml"))
    pypm.ok("start", "--name", "typed", "--", "sleep", "86311")
    gone, stays = pypm.pid("b"), pids(pypm)
    assert apply(pypm, sleeper("a")) == {"a": "keep"}
    assert set(pids(pypm)) == {"a", "b", "other", "typed"}, "without --prune it stays"
    assert apply(pypm, sleeper("a"), words=("--prune",)) == {"a": "keep", "b": "remove"}
    assert pids(pypm) == {name: stays[name] for name in ("a", "other", "typed")}
    assert not lives(gone)


def test_a_renamed_app_ends_under_its_old_name_before_it_starts_under_the_new(pypm: RealPypm) -> None:
    lock = "exec 9>lock; flock -n 9 || { echo taken; exit 9; }; exec sleep 86312"
    app = {"name": "old", "command": lock, "shell": True, "autorestart": False}
    pypm.start(app)
    renamed = pypm.json("apply", pypm.ecosystem(app | {"name": "new"}), "--prune")["plan"]["apps"]
    assert [(each["app"], each["action"], each["renamed_from"]) for each in renamed] == [
        ("new", "rename", "old")
    ]
    assert [(row["name"], row["status"]) for row in pypm.rows()] == [("new", "online")]


def test_start_tells_on_stderr_what_of_a_known_app_changes(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("b"))
    done = pypm.run("start", pypm.ecosystem(sleeper("a"), sleeper("b", kill_timeout="4s"), sleeper("c")))
    assert done.returncode == 0
    assert done.stderr.splitlines()[:2] == ["  ~ b  change, as it runs", "      kill_timeout  10s -> 4s"]
    assert pypm.run("start", "ecosystem.toml").stderr == ""


# --- what changes live, and is in force ---


def test_a_memory_limit_holds_for_the_run_that_goes_on(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    changes_live(pypm, sleeper("a"), max_memory_restart="900M")
    apply(pypm, sleeper("a", max_memory_restart="100K"))
    row = pypm.wait_row("a", lambda row: row["restarts"] > 0)
    assert row["last_exit"]["cause"] == "memory"


def test_a_clock_of_its_health_holds_for_the_run_that_goes_on(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    health = {"progress_timeout": "300ms", "on_stall": "alert", "evidence": []}
    changes_live(pypm, sleeper("a"), health=health)
    pid = pypm.pid("a")
    assert pypm.wait_row("a", lambda row: row["health"] == "stalled")["pid"] == pid


def test_a_probe_is_asked_of_the_run_that_goes_on(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    probe = {"exec": ["false"], "period": "100ms", "failure_threshold": 1}
    changes_live(pypm, sleeper("a"), health={"liveness": probe, "on_liveness": "alert"})
    pypm.wait_row("a", lambda row: row["health"] == "unhealthy")
    changes_live(pypm, sleeper("a"), health={"liveness": probe | {"exec": ["true"]}, "on_liveness": "alert"})
    pypm.wait_row("a", lambda row: row["health"] == "healthy")


def test_the_form_and_the_place_of_its_logs_hold_for_the_run_that_goes_on(pypm: RealPypm) -> None:
    pypm.write("talker.py", TALKER)
    app = {"name": "a", "script": "talker.py"}
    pypm.start(app)
    changes_live(pypm, app, logs={"format": "json"})
    wait_until(lambda: b'"tick' in b"".join(pypm.log("a").splitlines()[-1:]), 20.0, "records in the log")
    last = json.loads(pypm.log("a").splitlines()[-1])
    assert last["message"].strip() == "tick"
    changes_live(pypm, app, logs={"format": "json"}, out_file="elsewhere.log")
    place = pypm.folder / "elsewhere.log"
    wait_until(lambda: place.exists() and place.read_bytes().count(b"\n") > 2, 20.0, "lines elsewhere")


def test_its_restart_policy_holds_for_the_run_that_goes_on(pypm: RealPypm) -> None:
    pypm.write("quitter.py", QUITTER)
    app = {"name": "a", "script": "quitter.py"}
    pypm.start(app)
    wait_until(lambda: pypm.log("a"), 20.0, "its first word")
    changes_live(pypm, app, stop_exit_codes=[3])
    pypm.ok("signal", "SIGUSR1", "a")
    row = pypm.wait_row("a", lambda row: row["last_exit"] is not None)
    assert (row["status"], row["restarts"], row["last_exit"]["code"]) == ("exited", 0, 3)


def test_how_it_is_stopped_holds_for_the_run_that_goes_on(pypm: RealPypm) -> None:
    pypm.write("quitter.py", QUITTER)
    app = {"name": "a", "script": "quitter.py"}
    pypm.start(app)
    wait_until(lambda: pypm.log("a"), 20.0, "its first word")
    changes_live(pypm, app, kill_signal="SIGUSR1")
    pypm.ok("stop", "a")
    assert pypm.row("a")["last_exit"]["code"] == 3


@pytest.mark.parametrize("key", ["open_files", "nice"])
def test_a_limit_that_is_given_at_the_start_takes_a_new_run(pypm: RealPypm, key: str) -> None:
    pypm.start(sleeper("a"))
    before = pypm.pid("a")
    assert apply(pypm, sleeper("a", limits={key: 19})) == {"a": "restart"}
    row = pypm.row("a")
    assert row["pid"] != before
    assert row["reason"] == f"restarted for a change of limits.{key}"
    assert not lives(before)
