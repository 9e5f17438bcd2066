"""A rolling reload with a real master: one after another, ready before the next one, stopped by a failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from real_pypm import RealPypm, lives, shell, sleeper

from pypm.testing import wait_until


def test_each_is_up_before_the_next_one_goes(pypm: RealPypm) -> None:
    script = "echo up $PYPM_INSTANCE >> order; echo >&3; exec sleep 6611"
    pypm.start(shell("a", script, instances=3, max_unavailable=1, wait_ready=True, ready_fd=3))
    before = [row["pid"] for row in pypm.rows()]
    answer = pypm.json("reload", "a")
    assert [(each["name"], each["action"]) for each in answer["instances"]] == [
        (f"a:{index}", "reloaded") for index in range(3)
    ]
    assert answer["failures"] == []
    assert not any(map(lives, before))
    rows = pypm.rows()
    assert [(row["id"], row["status"], row["restarts"]) for row in rows] == [
        (index, "online", 1) for index in range(3)
    ]
    assert (pypm.folder / "order").read_text().split()[-6:] == ["up", "0", "up", "1", "up", "2"]
    events = [json.loads(line) for line in (pypm.home / "events.jsonl").read_text().splitlines()]
    (order,) = [each for each in events if each["event"] == "operator.reload"]
    assert order["targets"] == ["a"]


def test_a_new_one_that_fails_ends_the_reload_and_the_others_go_on(pypm: RealPypm) -> None:
    script = "test -e flag && exit 3; exec sleep 6612"
    keys = {"max_unavailable": 1, "restart_delay": 60_000, "min_uptime": "2s"}
    pypm.start(shell("a", script, instances=3, **keys))
    before = [row["pid"] for row in pypm.rows()]
    pypm.write("flag", "")
    done = pypm.run("reload", "a", "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert [each["action"] for each in answer["instances"]] == ["failed", "unchanged", "unchanged"]
    assert answer["failures"] == [{"id": 0, "name": "a:0", "reason": "exit code 3"}]
    assert "a:1, a:2 as before" in done.stderr
    assert [row["pid"] for row in pypm.rows()][1:] == before[1:]
    assert lives(before[1])


LIFE = """echo up $PYPM_ID $$ >> order; trap 'echo down $$ >> order; exit' TERM; echo >&3
while :; do sleep 0.05; done"""


def lines_of(pypm: RealPypm) -> list[list[str]]:
    return [line.split() for line in (pypm.folder / "order").read_text().splitlines()]


def test_a_new_one_is_up_before_the_old_one_goes_and_takes_its_id(pypm: RealPypm) -> None:
    pypm.start(shell("a", LIFE, instances=2, wait_ready=True, ready_fd=3), sleeper("b"))
    before = [str(row["pid"]) for row in pypm.rows()]
    answer = pypm.json("reload", "a")
    assert [(each["id"], each["name"], each["action"]) for each in answer["instances"]] == [
        (0, "a:0", "reloaded"),
        (1, "a:1", "reloaded"),
    ]
    rows = pypm.rows()
    assert [(row["id"], row["name"], row["restarts"]) for row in rows] == [
        (0, "a:0", 1),
        (1, "a:1", 1),
        (2, "b", 0),
    ]
    now = [str(row["pid"]) for row in rows]
    assert lines_of(pypm)[2:] == [
        ["up", "0", now[0]],
        ["down", before[0]],
        ["up", "1", now[1]],
        ["down", before[1]],
    ]
    assert now[2] == before[2]
    # What is known by its id is this one, for every verb, also under the next master.
    assert pypm.json("stop", "1")["instances"] == [{"id": 1, "name": "a:1", "action": "stopped"}]
    pypm.kill_master()
    assert [(row["id"], row["status"]) for row in pypm.rows()] == [
        (0, "online"),
        (1, "stopped"),
        (2, "online"),
    ]
    assert pypm.json("reload", "0")["instances"][0]["id"] == 0
    assert pypm.json("describe", "0")[0]["id"] == 0


def test_where_the_new_one_fails_the_old_one_was_never_touched(pypm: RealPypm) -> None:
    script = "test -e flag && { echo no >&2; exit 3; }; exec sleep 6614"
    pypm.start(shell("a", script, instances=2, min_uptime="2s"))
    before = [(row["id"], row["pid"], row["restarts"]) for row in pypm.rows()]
    pypm.write("flag", "")
    done = pypm.run("reload", "a", "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["failures"]) == (1, [{"id": 0, "name": "a:0", "reason": "exit code 3"}])
    assert [each["action"] for each in answer["instances"]] == ["failed", "unchanged"]
    wait_until(lambda: len(pypm.rows()) == 2, 20.0)
    assert [(row["id"], row["pid"], row["restarts"]) for row in pypm.rows()] == before
    assert pypm.log("a:0", "error") == b"no\n"


WAITS = "until test -e go; do sleep 0.05; done; echo >&3; exec sleep 6615"


def test_a_surge_goes_on_under_the_next_master_also_without_who_asked(pypm: RealPypm) -> None:
    pypm.write("go", "")
    pypm.start(shell("a", WAITS, wait_ready=True, ready_fd=3))
    before = pypm.pid("a")
    (pypm.folder / "go").unlink()
    command = pypm.popen("reload", "a")
    wait_until(lambda: [row["status"] for row in pypm.rows()] == ["online", "starting"], 20.0)
    wait_until(lambda: surged(pypm) == [0], 20.0, "it is on the disk")
    command.kill()
    command.communicate()
    pypm.kill_master()
    assert len(pypm.rows()) == 2
    assert pypm.rows()[0]["pid"] == before
    # There is one instance of it for whoever keeps what there is.
    snapshot = json.loads(Path(pypm.json("save")["path"]).read_text())
    assert snapshot["apps"][0]["up"] == [0]
    pypm.write("go", "")
    wait_until(lambda: len(pypm.rows()) == 1, 20.0)
    row = pypm.row("a")
    assert (row["id"], row["status"], row["restarts"]) == (0, "online", 1)
    assert row["pid"] != before
    assert not lives(before)


def test_a_command_learns_of_a_surge_that_outlived_a_master(pypm: RealPypm) -> None:
    command = begin_to_wait(pypm)
    wait_until(lambda: [row["status"] for row in pypm.rows()] == ["online", "starting"], 20.0)
    wait_until(lambda: surged(pypm) == [0], 20.0, "it is on the disk")
    pypm.kill_master()
    pypm.write("go", "")
    out, error = command.communicate(timeout=60)
    assert command.returncode == 0, error
    assert json.loads(out)["instances"] == [{"id": 0, "name": "a", "action": "reloaded"}]
    assert len(pypm.rows()) == 1


def test_a_stop_meanwhile_ends_both(pypm: RealPypm) -> None:
    command = begin_to_wait(pypm)
    wait_until(lambda: len(pypm.rows()) == 2, 20.0)
    pypm.ok("stop", "a")
    wait_until(lambda: [row["status"] for row in pypm.rows()] == ["stopped"], 20.0)
    assert pypm.row("a")["id"] == 0
    command.communicate(timeout=60)


def test_what_is_down_is_started_and_a_job_is_left_alone(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", max_unavailable=1), {**sleeper("job"), "schedule": {"cron": "0 0 1 1 *"}})
    pypm.ok("stop", "a")
    answer = pypm.json("reload", "all")
    assert {each["name"]: each["action"] for each in answer["instances"]} == {
        "a": "started",
        "job": "unchanged",
    }
    assert "job is a job" in answer["warnings"][0]
    assert pypm.row("a")["status"] == "online"


def test_a_reload_goes_on_under_the_next_master(pypm: RealPypm) -> None:
    script = "until test -e go$PYPM_INSTANCE; do sleep 0.05; done; echo >&3; exec sleep 6613"
    for index in range(2):
        pypm.write(f"go{index}", "")
    pypm.start(shell("a", script, instances=2, max_unavailable=1, wait_ready=True, ready_fd=3))
    before = [row["pid"] for row in pypm.rows()]
    (pypm.folder / "go0").unlink()
    command = pypm.popen("reload", "a", "--json")
    pypm.wait_row("a:0", lambda row: row["status"] == "starting" and row["pid"] not in (None, before[0]))
    pypm.kill_master()
    pypm.write("go0", "")
    out, error = command.communicate(timeout=60)
    assert command.returncode == 0, error
    assert [each["action"] for each in json.loads(out)["instances"]] == ["reloaded", "reloaded"]
    wait_until(lambda: not any(map(lives, before)))
    assert [row["restarts"] for row in pypm.rows()] == [1, 1]


SLOW = """echo up $$ >> order; trap 'until test -e gone; do sleep 0.05; done; exit' TERM; echo >&3
while :; do sleep 0.05; done"""


def begin_to_wait(pypm: RealPypm) -> Any:
    """A reload of ``a`` whose new one is not ready before there is a file ``go``."""
    pypm.write("go", "")
    pypm.start(shell("a", WAITS, wait_ready=True, ready_fd=3))
    (pypm.folder / "go").unlink()
    return pypm.popen("reload", "a", "--json")


def begin_to_go(pypm: RealPypm) -> Any:
    """A reload of ``a`` whose new one is up and whose old one is still on its way out."""
    command = pypm.popen("reload", "a", "--json")
    wait_until(lambda: [row["status"] for row in pypm.rows()] == ["online", "stopping"], 20.0)
    return command


def test_no_order_brings_back_who_was_replaced(pypm: RealPypm) -> None:
    pypm.start(shell("a", SLOW, wait_ready=True, ready_fd=3, kill_timeout=60_000))
    first = pypm.pid("a")
    command = begin_to_go(pypm)
    now = pypm.rows()[0]["pid"]
    assert [each["action"] for each in pypm.json("start", "a")["instances"]] == ["unchanged"]
    pypm.ok("start", pypm.ecosystem(shell("a", SLOW, wait_ready=True, ready_fd=3, kill_timeout=50_000)))
    pypm.kill_master()
    pypm.ok("start", "a")
    pypm.write("gone", "")
    command.communicate(timeout=60)
    wait_until(lambda: len(pypm.rows()) == 1, 20.0)
    assert pypm.pid("a") == now
    assert not lives(first)


def test_a_second_reload_renews_who_has_the_place_by_then(pypm: RealPypm) -> None:
    pypm.start(shell("a", SLOW, wait_ready=True, ready_fd=3, kill_timeout=60_000))
    commands = [begin_to_go(pypm), pypm.popen("reload", "a", "--json")]
    wait_until(lambda: len(lines_of(pypm)) == 3, 20.0)
    pypm.write("gone", "")
    for command in commands:
        out, error = command.communicate(timeout=60)
        assert command.returncode == 0, error
        assert [each["action"] for each in json.loads(out)["instances"]] == ["reloaded"]
    (row,) = pypm.rows()
    assert (row["id"], row["restarts"], [str(row["pid"])]) == (0, 2, lines_of(pypm)[2][1:])


def test_a_stop_of_the_old_one_by_its_id_is_kept(pypm: RealPypm) -> None:
    command = begin_to_wait(pypm)
    wait_until(lambda: len(pypm.rows()) == 2, 20.0)
    pypm.ok("stop", "0")
    out, _ = command.communicate(timeout=60)
    assert json.loads(out)["failures"] == [{"id": 0, "name": "a", "reason": "it was stopped meanwhile"}]
    wait_until(lambda: [row["status"] for row in pypm.rows()] == ["stopped"], 20.0)


def surged(pypm: RealPypm) -> list[int]:
    """Indexes of the successors that have been saved together with their runs."""
    saved = pypm.state()["instances"]
    return [each["index"] for each in saved if "replaces" in each and each.get("run")]


def test_what_was_reloaded_under_one_master_is_not_reloaded_again_under_the_next(pypm: RealPypm) -> None:
    script = "echo up $PYPM_INSTANCE >> order; " + WAITS.replace("test -e go", "test -e go$PYPM_INSTANCE")
    for index in range(3):
        pypm.write(f"go{index}", "")
    pypm.start(shell("a", script, instances=3, wait_ready=True, ready_fd=3))
    (pypm.folder / "go2").unlink()
    command = pypm.popen("reload", "a", "--json")
    wait_until(lambda: len(lines_of(pypm)) == 6 and surged(pypm) == [2], 20.0)
    pypm.kill_master()
    pypm.write("go2", "")
    out, error = command.communicate(timeout=60)
    assert command.returncode == 0, error
    assert [(each["id"], each["action"]) for each in json.loads(out)["instances"]] == [
        (index, "reloaded") for index in range(3)
    ]
    assert lines_of(pypm)[3:] == [["up", "0"], ["up", "1"], ["up", "2"]]


def test_one_that_is_being_renewed_is_one_for_who_waits_and_who_scales(pypm: RealPypm) -> None:
    command = begin_to_wait(pypm)
    wait_until(lambda: len(pypm.rows()) == 2, 20.0)
    assert [row["id"] for row in pypm.json("wait", "a", "--for", "ready", "--timeout", "20")] == [0]
    assert [each["spec"]["name"] for each in pypm.call("declared") if each["down"] == 0] == ["a"]
    pypm.write("go", "")
    pypm.ok("scale", "a", "+1")
    command.communicate(timeout=60)
    wait_until(lambda: [row["name"] for row in pypm.rows()] == ["a:0", "a:1"], 20.0)
