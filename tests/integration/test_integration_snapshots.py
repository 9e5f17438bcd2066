"""save, resurrect and cleardump with a real master: PM2's habits, and nothing started twice."""

from __future__ import annotations

import json

from real_pypm import RealPypm, shell, sleeper

from pypm.testing import wait_until


def facts(pypm: RealPypm) -> dict[str, tuple[str, int | None]]:
    return {row["name"]: (row["status"], row["pid"]) for row in pypm.rows()}


def test_save_and_resurrect_at_once_change_nothing(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("w", instances=2))
    pypm.ok("stop", "w:1")
    before = facts(pypm)
    assert pypm.json("save")["instances"] == 3
    change = pypm.json("resurrect")
    assert {entry["action"] for entry in change["instances"]} == {"unchanged"}
    assert change["warnings"] == []
    assert facts(pypm) == before


def test_what_was_deleted_comes_back_and_what_was_stopped_stays_stopped(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("w", instances=3), sleeper("off"))
    pypm.ok("stop", "w:1", "off")
    pypm.ok("dump")
    before = facts(pypm)
    pypm.ok("delete", "w", "off")
    done = pypm.run("resurrect")
    assert done.returncode == 0
    assert "brought back: w:0, w:1, w:2, off" in done.stderr
    after = facts(pypm)
    assert {name: status for name, (status, _) in after.items()} == {
        name: status for name, (status, _) in before.items()
    }
    assert after["a"] == before["a"]
    assert after["w:1"] == ("stopped", None)


def test_the_environment_is_that_of_the_first_shell_and_not_of_the_one_that_resurrects(
    pypm: RealPypm,
) -> None:
    import os

    path = pypm.folder / "said"
    app = shell("a", f'echo "$MARK $DECLARED" >{path}; exec sleep 1000', env={"DECLARED": "d"})
    pypm.ok("start", pypm.ecosystem(app), env={**os.environ, "MARK": "first"})
    wait_until(lambda: path.exists() and path.read_text() == "first d\n", what="it has said it")
    pypm.ok("save")
    pypm.ok("delete", "a")
    path.unlink()
    pypm.ok("resurrect", env={**os.environ, "MARK": "second"})
    wait_until(lambda: path.exists() and path.read_text() != "", what="it has said it again")
    assert path.read_text() == "first d\n"


def test_after_a_kill_what_was_up_is_started_again(pypm: RealPypm) -> None:
    """PM2's way to begin anew: save, kill, resurrect."""
    pypm.start(sleeper("a"), sleeper("off"))
    pypm.ok("stop", "off")
    pypm.ok("save")
    pypm.ok("kill")
    assert "started again: a\n" in pypm.run("resurrect").stderr
    assert {name: status for name, (status, _) in facts(pypm).items()} == {"a": "online", "off": "stopped"}


def test_a_snapshot_is_enough_for_a_home_that_lost_its_state(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", kill_timeout=4321), sleeper("w", instances=2))
    pypm.ok("save", "all-of-it")
    [a, *_] = pypm.call("describe", targets=["a"])
    pypm.ok("delete", "all")
    pypm.ok("kill")
    for path in (pypm.home / "state").iterdir():
        path.unlink()
    pypm.ok("resurrect", "all-of-it")
    assert pypm.call("describe", targets=["a"])[0]["spec"] == a["spec"]
    assert [row["status"] for row in pypm.rows()] == ["online"] * 3


def test_an_app_that_is_there_with_another_declaration_keeps_it(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    pypm.ok("save")
    pypm.start(sleeper("a", kill_timeout=1234))
    before = facts(pypm)
    done = pypm.run("resurrect")
    assert "a is there with another kill_timeout than the snapshot has, and keeps it" in done.stderr
    assert facts(pypm) == before


def test_what_has_failed_by_itself_is_left_to_its_policy(pypm: RealPypm) -> None:
    pypm.start(shell("a", "exit 3", autorestart=False, min_uptime="5s"), sleeper("b"), status=1)
    pypm.wait_status("a", "exited", "errored")
    pypm.ok("save")
    change = json.loads(pypm.run("resurrect", "--json", "--no-wait").stdout)
    assert {entry["action"] for entry in change["instances"]} == {"unchanged"}
    assert pypm.row("a")["pid"] is None


def test_names_are_kept_apart_listed_and_removed(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    pypm.ok("save", "one")
    pypm.start(sleeper("b"))
    pypm.ok("save", "two")
    listed = pypm.json("resurrect", "--list")
    assert [(entry["name"], entry["apps"]) for entry in listed] == [("one", ["a"]), ("two", ["a", "b"])]
    assert "one  2" in pypm.ok("resurrect", "--list")
    assert pypm.json("cleardump", "one") == {"name": "one", "removed": True}
    assert "did you mean" not in pypm.fails(3, "cleardump", "one")
    assert "hint: there are: two" in pypm.fails(3, "resurrect", "one")
    assert pypm.json("cleardump") == {"name": "dump", "removed": False}


def test_an_empty_list_is_only_saved_by_force(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    pypm.ok("save")
    pypm.ok("delete", "a")
    assert "there is no app to save" in pypm.fails(1, "save")
    pypm.ok("resurrect")
    assert list(facts(pypm)) == ["a"]
    pypm.ok("delete", "a")
    assert pypm.json("save", "--force")["apps"] == []
    assert "the snapshot is empty" in pypm.run("resurrect").stderr


def test_a_snapshot_changed_by_hand_does_no_harm(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    path = pypm.json("save")["path"]
    pypm.ok("delete", "a")
    with open(path, encoding="utf-8") as file:
        value = json.load(file)
    value["apps"][0]["spec"]["command"] = ["sleep"]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)
    assert "a: the command and the folder have to be absolute paths" in pypm.fails(1, "resurrect")
    assert pypm.rows() == []


def test_apps_that_would_wait_for_each_other_for_ever_are_refused(pypm: RealPypm) -> None:
    pypm.start(sleeper("a", depends_on=["b"]), sleeper("b"))
    pypm.ok("save")
    pypm.ok("delete", "all")
    pypm.start(sleeper("a"))
    pypm.start(sleeper("a"), sleeper("b", depends_on=["a"]))
    pypm.ok("delete", "a")
    assert "in a circle: a -> b -> a" in pypm.fails(1, "resurrect")
    assert [row["name"] for row in pypm.rows()] == ["b"]
