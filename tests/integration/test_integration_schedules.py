"""Jobs and cron_restart with real programs and masters."""

from __future__ import annotations

import json
import signal
from math import floor
from pathlib import Path
from typing import Any

from real_pypm import RealPypm, lives, shell, sleeper

from pypm.testing import wait_until

SECOND = {"every": "1s"}
RARE = {"every": "1h"}
STAMP = "date +%s.%N"


def job(name: str, script: str, schedule: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return shell(name, script, **keys, schedule=schedule)


def stamps(pypm: RealPypm, name: str) -> list[float]:
    """When each run began, by what it wrote."""
    return [float(line) for line in pypm.log(name).split()]


def wait_runs(pypm: RealPypm, name: str, count: int) -> list[float]:
    wait_until(lambda: len(stamps(pypm, name)) >= count, 20.0, f"{count} runs of {name}")
    return stamps(pypm, name)


def events(pypm: RealPypm, what: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (pypm.home / "events.jsonl").read_text().splitlines())
    return [event for event in lines if event["event"] == what]


# --- armed, and its runs ---


def test_a_job_runs_again_and_again_and_rests_between(pypm: RealPypm) -> None:
    script = f"{STAMP}; exit 3"
    pypm.start(job("tick", script, RARE))
    row = pypm.row("tick")
    assert (row["status"], row["last_run"], row["desired"]) == ("exited", None, "up")
    assert row["next_run"] is not None
    pypm.start(job("tick", script, SECOND))
    wait_runs(pypm, "tick", 3)
    row = pypm.wait_row("tick", lambda row: row["status"] == "exited")
    assert (row["restarts"], row["last_exit"]["code"], row["reason"]) == (0, 3, "exit code 3")
    detail = pypm.json("describe", "tick")[0]
    assert [run["code"] for run in detail["runs"]][:2] == [3, 3]
    assert "next run" in pypm.ok("describe", "tick")
    wait_until(lambda: ", next run in" in pypm.ok("list"), 20.0, "a list between two runs")


def test_start_and_stop_arm_and_disarm(pypm: RealPypm) -> None:
    pypm.start(job("tick", STAMP, SECOND))
    wait_runs(pypm, "tick", 1)
    pypm.ok("stop", "tick")
    row = pypm.row("tick")
    assert (row["status"], row["next_run"]) == ("stopped", None)
    count = len(stamps(pypm, "tick"))
    pypm.start(job("other", STAMP, SECOND))
    wait_runs(pypm, "other", 2)
    assert len(stamps(pypm, "tick")) == count, "nothing while others had their moments"
    pypm.ok("start", "tick")
    wait_runs(pypm, "tick", count + 1)


def test_a_start_of_what_is_armed_changes_nothing(pypm: RealPypm) -> None:
    pypm.start(job("rare", STAMP, RARE))
    before = pypm.row("rare")["next_run"]
    for words in (["start", "rare"], ["start", "ecosystem.toml"]):
        change = pypm.json(*words)
        assert [entry["action"] for entry in change["instances"]] == ["unchanged"]
    assert pypm.row("rare")["next_run"] == before


def test_stop_ends_the_run_that_is_there(pypm: RealPypm) -> None:
    pypm.start(job("long", "echo up; exec sleep 1000", SECOND))
    wait_until(lambda: pypm.log("long") == b"up\n")
    pid = pypm.pid("long")
    pypm.ok("stop", "long")
    assert not lives(pid)
    assert pypm.row("long")["status"] == "stopped"


def test_a_restart_of_a_resting_job_arms_it_and_runs_nothing(pypm: RealPypm) -> None:
    pypm.start(job("rare", STAMP, RARE))
    pypm.ok("stop", "rare")
    done = pypm.run("restart", "rare")
    assert done.returncode == 0
    assert "`pypm run-now rare` runs it" in done.stderr
    row = pypm.row("rare")
    assert (row["status"], row["last_run"]) == ("exited", None)
    assert row["next_run"] is not None


# --- run-now ---


def test_run_now_runs_what_is_armed_and_what_is_stopped(pypm: RealPypm) -> None:
    pypm.start(job("rare", STAMP, RARE))
    next_run = pypm.row("rare")["next_run"]
    assert pypm.ok("run-now", "rare", "--wait") == "rare: exit code 0\n"
    row = pypm.row("rare")
    assert (row["status"], row["next_run"]) == ("exited", next_run), "its schedule goes on as it was"
    pypm.ok("stop", "rare")
    pypm.ok("run_now", "rare", "--wait")
    row = pypm.row("rare")
    assert (row["status"], row["desired"], row["next_run"]) == ("stopped", "down", None)
    assert len(stamps(pypm, "rare")) == 2


def test_run_now_tells_of_a_failure(pypm: RealPypm) -> None:
    pypm.start(job("rare", "exit 7", RARE))
    assert pypm.ok("run-now", "rare") == "started rare\n"
    pypm.wait_row("rare", lambda row: row["last_exit"] is not None)
    assert "rare: exit code 7" in pypm.fails(1, "run-now", "rare", "--wait")
    assert pypm.run("start", "rare").returncode == 0, "a job that is armed has not failed to start"


def test_run_now_leaves_alone_what_runs_and_is_for_jobs_only(pypm: RealPypm) -> None:
    pypm.start(job("long", "echo up; exec sleep 1000", {**RARE, "timeout": "1h"}), sleeper("kept"))
    pypm.ok("run-now", "long")
    pypm.wait_status("long", "online")
    pid = pypm.pid("long")
    assert "its run is stopped, as its time is over (in " in pypm.ok("why", "long")
    done = pypm.run("run-now", "long")
    assert (done.returncode, done.stdout) == (0, "unchanged long\n")
    assert "long runs already" in done.stderr
    assert pypm.pid("long") == pid
    assert "kept has no schedule" in pypm.fails(1, "run-now", "kept", "long")
    assert pypm.ok("stop", "long") == "stopped long\n"


def test_a_run_of_a_stopped_job_can_be_stopped(pypm: RealPypm) -> None:
    pypm.start(job("long", "exec sleep 1000", RARE))
    pypm.ok("stop", "long")
    pypm.ok("run-now", "long")
    pid = pypm.pid("long")
    assert pypm.ok("stop", "long") == "stopped long\n"
    assert not lives(pid)


# --- overlap and timeout ---


def test_a_moment_during_a_run_is_skipped(pypm: RealPypm) -> None:
    pypm.start(job("long", f"{STAMP}; exec sleep 1000", SECOND))
    wait_until(lambda: events(pypm, "schedule.skipped"), 20.0)
    first = pypm.row("long")["next_run"]
    pypm.wait_row("long", lambda row: row["next_run"] > first + 1.5)
    assert len(stamps(pypm, "long")) == 1
    assert [event["name"] for event in events(pypm, "schedule.skipped")] == ["long"], "told once a run"


def test_a_moment_during_a_run_is_queued(pypm: RealPypm) -> None:
    script = f"{STAMP}; if [ ! -e once ]; then while [ ! -e go ]; do sleep 0.02; done; fi; touch once"
    pypm.start(job("long", script, {**SECOND, "overlap": "queue"}))
    wait_runs(pypm, "long", 1)
    wait_until(lambda: any(each.get("queued") for each in pypm.state()["instances"]), 20.0)
    assert len(stamps(pypm, "long")) == 1
    (pypm.folder / "go").touch()
    wait_runs(pypm, "long", 2)


def test_a_moment_may_end_the_run_before(pypm: RealPypm) -> None:
    pypm.start(job("long", f"{STAMP}; exec sleep 1000", {**SECOND, "overlap": "kill"}))
    wait_runs(pypm, "long", 2)
    row = pypm.wait_row("long", lambda row: row["last_exit"] is not None)
    assert (row["last_exit"]["cause"], row["last_exit"]["reason"]) == ("schedule", "schedule every 1s")


def test_a_run_has_a_time_to_end_in(pypm: RealPypm) -> None:
    script = "sleep 1000.5 & echo up; wait"
    pypm.start(job("long", script, {**RARE, "timeout": "300ms"}))
    pypm.ok("run-now", "long")
    row = pypm.wait_row("long", lambda row: row["last_exit"] is not None)
    assert (row["last_exit"]["cause"], row["last_exit"]["reason"]) == ("schedule", "timeout of 300ms")
    assert row["status"] == "exited"


# --- masters ---


def test_jobs_go_on_when_their_master_is_killed(pypm: RealPypm) -> None:
    # Far more than it takes a new master to begin, so that the time of a run tells its moment.
    pypm.start(job("tick", STAMP, {"every": "3s"}), job("long", "echo up; exec sleep 1000", RARE))
    pypm.ok("run-now", "long")
    pid = pypm.pid("long")
    seen = 0
    for _ in range(2):
        seen = len(wait_runs(pypm, "tick", seen + 1))
        pypm.kill_master(at_once=True)  # at once: what it has begun is not on the disk
    wait_runs(pypm, "tick", seen + 1)
    assert pypm.pid("long") == pid, "its run is adopted"
    next_run = pypm.row("tick")["next_run"]
    numbers = [floor((time - next_run) / 3.0) for time in stamps(pypm, "tick")]
    assert sorted(set(numbers)) == numbers, "no moment has two runs"


def test_a_run_that_ended_without_a_master_is_recorded_and_its_job_rests(pypm: RealPypm) -> None:
    pypm.start(job("long", "echo up; while [ ! -e go ]; do sleep 0.02; done; exit 5", RARE))
    pypm.ok("run-now", "long")
    wait_until(lambda: pypm.log("long") == b"up\n")
    pid = pypm.pid("long")
    with pypm.without_master():
        (pypm.folder / "go").touch()
        wait_until(lambda: not lives(pid))
    row = pypm.wait_row("long", lambda row: row["last_exit"] is not None)
    assert (row["status"], row["last_exit"]["code"]) == ("exited", 5)


def test_what_was_missed_is_made_up_for_where_that_is_wanted(pypm: RealPypm) -> None:
    eager = {**RARE, "catch_up": True}
    pypm.start(job("eager", STAMP, eager), job("easy", STAMP, RARE))
    pypm.terminate_master()
    path = pypm.home / "state" / "state.json"
    pretend_away(path, 2.5 * 3600.0)
    pypm.start(sleeper("another"))
    wait_runs(pypm, "eager", 1)
    assert pypm.row("eager")["last_exit"]["code"] == 0
    assert pypm.row("easy")["last_run"] is None
    assert [event["name"] for event in events(pypm, "schedule.missed")] == ["easy"]
    for name in ("eager", "easy"):
        assert pypm.row(name)["next_run"] is not None


def pretend_away(path: Path, seconds: float) -> None:
    """Let the state be one of jobs whose last moments are so long ago."""
    state = json.loads(path.read_bytes())
    for instance in state["instances"]:
        instance["moment"] -= seconds
    path.write_text(json.dumps(state))


def test_a_stopped_job_stays_stopped_for_the_next_master(pypm: RealPypm) -> None:
    pypm.start(job("tick", STAMP, SECOND), job("other", STAMP, SECOND))
    pypm.ok("stop", "tick")
    count = len(stamps(pypm, "tick"))
    pypm.kill_master()
    wait_runs(pypm, "other", len(stamps(pypm, "other")) + 2)
    assert len(stamps(pypm, "tick")) == count


def test_an_update_keeps_what_is_armed(pypm: RealPypm) -> None:
    pypm.start(job("tick", STAMP, SECOND))
    wait_runs(pypm, "tick", 1)
    pypm.ok("update")
    wait_runs(pypm, "tick", len(stamps(pypm, "tick")) + 2)


# --- cron_restart ---


def test_cron_restart_restarts_what_runs_and_leaves_what_is_stopped(pypm: RealPypm) -> None:
    every_second = {"cron_restart": "* * * * * *"}
    pypm.start(shell("kept", f"{STAMP}; exec sleep 1000", **every_second), sleeper("down", **every_second))
    pypm.ok("stop", "down")
    wait_runs(pypm, "kept", 3)
    row = pypm.wait_row("kept", lambda row: row["restarts"] >= 2)
    assert row["last_exit"]["reason"] == "cron_restart * * * * * *"
    assert row["last_exit"]["cause"] == "schedule"
    row = pypm.row("down")
    assert (row["status"], row["next_run"]) == ("stopped", None)


def test_pm2s_way_to_have_a_job_works(pypm: RealPypm) -> None:
    pypm.begin(shell("once", f"{STAMP}; exit 1", autorestart=False, cron_restart="* * * * * *"))
    wait_runs(pypm, "once", 3)


def test_cron_on_the_command_line(pypm: RealPypm) -> None:
    pypm.ok("start", "--name", "a", "--cron", "0 4 * * *", "--", "sleep", "1000")
    assert pypm.row("a")["next_run"] is not None
    assert "restarted at 0 4 * * *" in pypm.ok("describe", "a")
    refused = pypm.fails(1, "start", "--name", "b", "--cron", "0 0 31 2 *", "--", "sleep", "1")
    assert "--cron-restart: '0 0 31 2 *': Bad day" in refused
    assert [row["name"] for row in pypm.rows()] == ["a"]


# --- another declaration ---


def test_a_service_becomes_a_job_and_a_job_a_service(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    pid = pypm.pid("a")
    pypm.start(sleeper("a", schedule=RARE))
    row = pypm.wait_status("a", "exited")
    assert not lives(pid)
    assert row["next_run"] is not None
    pypm.start(sleeper("a"))
    row = pypm.wait_status("a", "online")
    assert row["next_run"] is None


def test_in_the_foreground_an_armed_job_is_waited_for(pypm: RealPypm) -> None:
    path = pypm.ecosystem(job("tick", "echo hello", SECOND))
    process = pypm.popen("start", path, "--foreground")
    assert process.stdout is not None
    try:
        assert b"hello" in process.stdout.readline()
        assert b"hello" in process.stdout.readline()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30.0)
