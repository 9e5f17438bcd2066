"""No descriptors left: what cannot be started fails with its reason, and comes when there are some again."""

from __future__ import annotations

import os
import resource

import pytest
from real_pypm import RealPypm, lives, sleeper

from pypm.testing import wait_until

LIMIT = 64


def few() -> None:
    """The hard limit too: a master takes what it is allowed."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))


def few_for_now() -> None:
    """A soft limit as a shell has it, only smaller."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@pytest.fixture
def poor(pypm: RealPypm) -> RealPypm:
    pypm.ok("list", preexec_fn=few)
    with open(f"/proc/{pypm.master_pid()}/limits") as file:
        assert next(line.split()[3:5] for line in file if line.startswith("Max open")) == [str(LIMIT)] * 2
    return pypm


def test_a_start_that_lacks_descriptors_fails_with_its_reason(poor: RealPypm) -> None:
    keys = {"max_restarts": 0, "instances": 30}
    done = poor.run("start", poor.ecosystem(sleeper("w", **keys)))
    assert done.returncode == 1
    rows = poor.rows()
    up = [row for row in rows if row["status"] == "online"]
    failed = [row for row in rows if row["status"] == "errored"]
    assert len(up) + len(failed) == 30
    assert up
    assert failed
    assert all("open files" in row["reason"] for row in failed), failed[0]["reason"]
    assert all(lives(row["pid"]) for row in up)
    master = poor.kill_master()
    wait_until(lambda: poor.master_pid() != master)
    assert [row["pid"] for row in poor.rows()] == [row["pid"] for row in rows]
    poor.ok("delete", *(str(row["id"]) for row in up))
    poor.ok("start", str(failed[0]["id"]))


def test_a_guardian_holds_more_than_the_soft_limit_of_its_starter(pypm: RealPypm) -> None:
    pypm.ok("list", preexec_fn=few_for_now)
    before = pypm.call("ping")
    pypm.start(sleeper("w", instances=LIMIT))
    pids = {row["name"]: row["pid"] for row in pypm.rows()}
    pypm.kill_master()
    wait_until(lambda: pypm.master_pid() != before["master_pid"])
    assert pypm.call("ping")["guardian_pid"] == before["guardian_pid"]
    assert {row["name"]: row["pid"] for row in pypm.rows()} == pids
    assert "Traceback" not in pypm.master_log()


def test_the_master_answers_and_saves_again_when_there_are_descriptors(poor: RealPypm) -> None:
    poor.run("start", poor.ecosystem(sleeper("w", max_restarts=0, instances=30)))
    master = poor.master_pid()
    poor.ok("delete", "all")
    poor.start(sleeper("after"))
    assert poor.master_pid() == master
    wait_until(lambda: [app["spec"]["name"] for app in poor.state()["apps"]] == ["after"])


def test_descriptors_do_not_leak_over_many_lives(pypm: RealPypm) -> None:
    def count() -> int:
        return len(os.listdir(f"/proc/{pypm.master_pid()}/fd"))

    pypm.start(sleeper("w", instances=5))
    pypm.ok("delete", "all")
    before = count()
    for _ in range(3):
        pypm.start(sleeper("w", instances=5))
        pypm.ok("restart", "all")
        pypm.ok("scale", "w", "2")
        pypm.ok("delete", "all")
    wait_until(lambda: count() <= before)
