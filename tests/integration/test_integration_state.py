"""What a master leaves to the next one, and what it does with a state that it cannot use."""

from __future__ import annotations

import json
import os

import pytest
from real_pypm import RealPypm, sleeper

from pypm.testing import wait_until


def test_what_was_deleted_is_unknown_to_the_next_master(pypm: RealPypm) -> None:
    """Deleted while it ran: its end came after it had been forgotten, and saved it again."""
    pypm.start(sleeper("a"), sleeper("w", instances=2))
    pypm.ok("delete", "w")
    assert [app["spec"]["name"] for app in pypm.state()["apps"]] == ["a"]
    assert [instance["app"] for instance in pypm.state()["instances"]] == ["a"]
    pypm.terminate_master()
    pypm.ok("list")
    assert [row["name"] for row in pypm.rows()] == ["a"]


def test_scaled_down_instances_are_unknown_to_the_next_master(pypm: RealPypm) -> None:
    pypm.start(sleeper("w", instances=3))
    pypm.ok("scale", "w", "1")
    pypm.kill_master()
    pypm.ok("list")
    assert [row["name"] for row in pypm.rows()] == ["w"]


def damage(kind: str, data: bytes) -> bytes:
    if kind == "torn":
        return data[: len(data) // 2]
    if kind == "future":
        return data.replace(b'"version":1', b'"version":7', 1)
    return {"empty": b"", "zeros": bytes(4096), "not an object": b"[]", "text": b"hello\n"}[kind]


@pytest.mark.parametrize("kind", ["torn", "empty", "zeros", "not an object", "text", "future"])
def test_a_state_that_cannot_be_used_is_told_and_kept(pypm: RealPypm, kind: str) -> None:
    """The first master of a home has no backup: what is there is the only copy, and nobody overwrites it."""
    pypm.start(sleeper("a"))
    pypm.terminate_master()
    path = pypm.home / "state" / "state.json"
    damaged = damage(kind, path.read_bytes())
    path.write_bytes(damaged)
    for words in (["list"], ["start", "a"], ["start", pypm.ecosystem(sleeper("b"))]):
        done = pypm.run(*words)
        assert done.returncode in (1, 4)
        assert done.stdout == ""
        assert str(path) in done.stderr
        assert "Traceback" not in done.stderr
        if kind == "future":
            assert "it has version 7, and this pypm knows version 1" in done.stderr
    assert path.read_bytes() == damaged
    assert pypm.lock_holder() is None


@pytest.mark.parametrize("kind", ["torn", "empty", "zeros"])
def test_a_torn_state_is_set_aside_for_the_backup(pypm: RealPypm, kind: str) -> None:
    pypm.start(sleeper("a"), sleeper("b"))
    pypm.terminate_master()
    pypm.ok("list")  # this master makes the backup
    pypm.terminate_master()
    path = pypm.home / "state" / "state.json"
    damaged = damage(kind, path.read_bytes())
    path.write_bytes(damaged)
    assert [row["name"] for row in pypm.json("list")] == ["a", "b"]
    pypm.wait_status("a", "online")
    [aside] = path.parent.glob("state.json.unusable-*")
    assert aside.read_bytes() == damaged
    assert "using the state with which the last master began" in pypm.master_log()


def test_a_future_state_is_not_replaced_by_an_old_backup(pypm: RealPypm) -> None:
    """After a downgrade: the backup would be used and the newer state put aside, silently lost."""
    pypm.start(sleeper("a"))
    pypm.terminate_master()
    pypm.ok("list")
    pypm.terminate_master()
    path = pypm.home / "state" / "state.json"
    damaged = damage("future", path.read_bytes())
    path.write_bytes(damaged)
    stderr = pypm.fails(4, "list")
    assert "version 7" in stderr
    assert path.read_bytes() == damaged
    assert list(path.parent.glob("state.json.unusable-*")) == []


def test_a_full_disk_does_not_cost_the_backup(pypm: RealPypm) -> None:
    """The backup is replaced as a whole or not at all: a link to /dev/full stands for the full disk."""
    pypm.start(sleeper("a"))
    pypm.terminate_master()
    pypm.ok("list")
    pypm.terminate_master()
    folder = pypm.home / "state"
    backup = (folder / "state.json.bak").read_bytes()
    (folder / "state.json.bak.new").symlink_to("/dev/full")
    pypm.ok("list")
    assert (folder / "state.json.bak").read_bytes() == backup
    pypm.wait_status("a", "online")


@pytest.mark.parametrize("target", ["a", "w:1", "2", "team", "w*"])
def test_known_apps_are_started_by_name_where_no_master_runs(pypm: RealPypm, target: str) -> None:
    """After a reboot or a kill the names are in the state: start finds them there."""
    pypm.start(sleeper("a"), sleeper("w", instances=2, namespace="team"))
    pypm.ok("kill")
    pypm.ok("start", target)
    up = {row["name"] for row in pypm.rows() if row["status"] == "online"}
    assert up == {"a": {"a"}, "w:1": {"w:1"}, "2": {"w:1"}}.get(target, {"w:0", "w:1"})


def test_logs_say_so_too_when_the_state_is_broken(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    pypm.terminate_master()
    (pypm.home / "state" / "state.json").write_bytes(b"{")
    done = pypm.run("logs", "--no-follow")
    assert done.returncode == 1
    assert "state.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_state_is_the_owners_alone_and_whole_at_any_time(pypm: RealPypm) -> None:
    pypm.start(sleeper("w", instances=5, env={"API_KEY": "secret"}))
    path = pypm.home / "state" / "state.json"
    with pypm.popen("restart", "all") as process:
        while process.poll() is None:
            assert json.loads(path.read_bytes())["version"] == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    wait_until(lambda: os.listdir(path.parent) == ["state.json"], what="nothing but the state")
