"""Limits that the kernel holds, with a real master and real groups. scripts/verify-cgroup runs these.

They need cgroup version 2 with the controllers memory, cpu and pids, and the right to hand them down.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_pypm import COMMAND, RealPypm, python, sleeper

from pypm.system import cgroup
from pypm.system.cgroup import Groups, own_place
from pypm.system.cgroup_limits import Controllers, oom_kills
from pypm.testing import wait_until

GROW = """
import sys, time
held, step, most = [], 8 * 2**20, int(sys.argv[1]) * 2**20
while len(held) * step < most:
    held.append(bytearray(step))
print("has it all", flush=True)
time.sleep(5471)
"""
FORK = """
import os, time
children = 0
while children < 40:
    try:
        if os.fork() == 0:
            time.sleep(5472)
            os._exit(0)
    except BlockingIOError:
        break
    children += 1
print("forked", children, flush=True)
time.sleep(5473)
"""


def why_not(base: str) -> str:
    """Why there are no limits by the kernel here; empty where there are."""
    groups = Groups.prepare("/somebody", own_place()._replace(folder=base))
    try:
        controllers = Controllers(groups, lambda: [os.getpid()])
        return next(filter(None, map(controllers.fault, ("memory", "cpu", "pids"))), "")
    finally:
        groups.close()


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """A group like that of a unit: with all controllers, and below it a pypm alone."""
    place = own_place()
    fault = why_not(place.folder) if place.folder else "there is no cgroup hierarchy of version 2"
    if fault:
        if "PYPM_VERIFY_CGROUP" in os.environ:
            pytest.fail(fault)
        pytest.skip(fault)
    for name in ("memory", "cpu", "pids"):
        cgroup.write(f"{place.folder}/cgroup.subtree_control", f"+{name}")
    folder = f"{place.folder}/pypm-tests-{os.getpid()}"
    os.mkdir(folder)
    yield folder
    wait_until(lambda: cgroup.remove(folder), 20.0)


@pytest.fixture
def unit(base: str, pypm: RealPypm) -> RealPypm:
    """A pypm whose guardian and master begin in ``base``, as in a delegated unit."""
    os.setxattr(base, "user.delegate", b"1")
    program = 'echo 0 > "$0/cgroup.procs"; exec "$@"'
    words = ["start", pypm.ecosystem(sleeper("first"))]
    subprocess.run(["/bin/sh", "-c", program, base, *COMMAND, *words], check=True, timeout=60)
    return pypm


def group_of(pypm: RealPypm, name: str) -> Path:
    folder = pypm.call("doctor")["tree_control"]["folder"]
    return Path(folder) / str(pypm.row(name)["id"])


def events(pypm: RealPypm, kind: str) -> list[dict[str, Any]]:
    lines = (pypm.home / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def test_no_process_of_a_tree_gets_more_than_the_kernel_lets_it_have(unit: RealPypm) -> None:
    program = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GROW!r}, '400']); print('survived')"
    )
    unit.begin(python("a", program, limits={"memory": "64M"}, autorestart=False))
    end = unit.wait_row("a", lambda row: row["last_exit"] is not None, 60.0)["last_exit"]
    assert end["cause"] in ("oom", "memory")
    assert b"survived" not in unit.log("a")
    assert b"has it all" not in unit.log("a")


def test_an_oom_kill_of_the_group_is_a_cause_of_its_own(unit: RealPypm) -> None:
    unit.start(python("a", "import time; time.sleep(5475)", limits={"memory": "64M"}, autorestart=False))
    group = group_of(unit, "a")
    wait_until(lambda: str(unit.pid("a")) in (group / "cgroup.procs").read_text().split(), 20.0)
    assert (group / "memory.max").read_text() == f"{80 * 2**20}\n"
    assert (group / "memory.oom.group").read_text() == "1\n"
    (group / "memory.max").write_text("4096")  # what it has is more than that: the kernel kills
    wait_until(lambda: unit.row("a")["last_exit"] is not None, 20.0)
    assert unit.row("a")["last_exit"]["cause"] == "oom"
    assert "its group" in unit.row("a")["last_exit"]["reason"]


def test_tasks_are_refused_by_the_kernel_and_the_run_goes_on(unit: RealPypm) -> None:
    unit.start(python("a", FORK, limits={"tasks": 8}))
    wait_until(lambda: b"forked" in unit.log("a"), 30.0)
    assert unit.log("a").split()[-1] == b"7"
    assert unit.row("a")["restarts"] == 0
    wait_until(lambda: bool(events(unit, "limits.tasks")), 30.0)


def test_the_limits_of_a_run_follow_what_is_declared(unit: RealPypm) -> None:
    unit.start(sleeper("a", limits={"tasks": 50, "cpu_max": "50%", "memory": "100M"}))
    group, pid = group_of(unit, "a"), unit.pid("a")
    assert (group / "cpu.max").read_text() == "50000 100000\n"
    unit.start(sleeper("a", limits={"tasks": 60, "cpu_max": "50%", "memory": "200M"}))
    assert (group / "memory.max").read_text() == f"{250 * 2**20}\n"
    assert unit.pid("a") == pid or (group / "pids.max").read_text() == "60\n"


def test_the_supervisor_leaves_the_group_of_the_unit_and_comes_back(unit: RealPypm, base: str) -> None:
    pids = {unit.master_pid(), unit.guardian_pid()}
    assert set(map(int, Path(base, "cgroup.procs").read_text().split())) >= pids
    unit.start(sleeper("a", limits={"tasks": 50}))
    assert Path(base, "cgroup.procs").read_text() == ""
    leaf = group_of(unit, "a").parent / cgroup.LEAF
    assert set(map(int, (leaf / "cgroup.procs").read_text().split())) >= pids
    unit.ok("kill")
    wait_until(lambda: not [each for each in os.scandir(base) if each.is_dir()], 20.0)


def test_groups_survive_the_master_and_the_next_one_holds_on(unit: RealPypm) -> None:
    unit.start(sleeper("a", limits={"memory": "100M"}))
    group, pid = group_of(unit, "a"), unit.pid("a")
    unit.kill_master()
    assert unit.pid("a") == pid
    assert group_of(unit, "a") == group
    assert (group / "cgroup.procs").read_text().split() == [str(pid)]
    unit.ok("update")
    assert unit.pid("a") == pid
    (group / "memory.max").write_text("4096")
    wait_until(lambda: unit.row("a")["last_exit"] is not None, 20.0)
    assert unit.row("a")["last_exit"]["cause"] == "oom"


def test_an_oom_kill_while_there_is_no_master_is_known_to_the_next_one(unit: RealPypm) -> None:
    unit.start(sleeper("a", limits={"memory": "100M"}, autorestart=False))
    group, master = group_of(unit, "a"), unit.master_pid()
    wait_until(lambda: (group / "cgroup.procs").read_text() != "", 20.0)
    os.kill(master, 19)
    (group / "memory.max").write_text("4096")
    wait_until(lambda: oom_kills(str(group)) > 0, 20.0)
    os.kill(master, 9)
    wait_until(lambda: unit.row("a")["last_exit"] is not None, 30.0)
    assert unit.row("a")["last_exit"]["cause"] == "oom"


def test_a_namespace_is_held_together_and_its_group_goes_with_it(unit: RealPypm) -> None:
    file = unit.write(
        "e.toml",
        """
[namespaces.team.limits]
memory = "200M"
tasks = 20
cpu_max = "80%"
[defaults]
namespace = "team"
[[apps]]
name = "a"
command = "sleep 5476"
[[apps]]
name = "b"
command = "sleep 5477"
limits = { tasks = 5 }
""",
    )
    unit.ok("start", str(file))
    folder = Path(unit.call("doctor")["tree_control"]["folder"])
    (team,) = [each for each in folder.iterdir() if each.name.startswith("ns-")]
    assert (team / "memory.max").read_text() == f"{250 * 2**20}\n"
    assert (team / "pids.max").read_text() == "20\n"
    assert (team / "cpu.max").read_text() == "80000 100000\n"
    groups = {name: team / str(unit.row(name)["id"]) for name in "ab"}
    assert (groups["b"] / "pids.max").read_text() == "5\n"
    for name, group in groups.items():
        procs, pid = group / "cgroup.procs", unit.pid(name)
        wait_until(lambda procs=procs, pid=pid: procs.read_text() == f"{pid}\n", 20.0)
    unit.ok("delete", "a", "b")
    wait_until(lambda: not team.exists(), 20.0)


def test_a_delegation_that_is_taken_away_is_told_and_set_anew(unit: RealPypm) -> None:
    unit.start(sleeper("a", limits={"tasks": 50}))
    group = group_of(unit, "a")
    assert cgroup.write(f"{group.parent}/cgroup.subtree_control", "-pids")
    assert not (group / "pids.max").exists()
    wait_until(lambda: (group / "pids.max").exists() and (group / "pids.max").read_text() == "50\n", 40.0)
    assert unit.row("a")["restarts"] == 0


def test_a_run_that_was_taken_out_of_its_group_is_put_back(unit: RealPypm, base: str) -> None:
    unit.start(sleeper("a", limits={"tasks": 50}))
    group, pid = group_of(unit, "a"), unit.pid("a")
    wait_until(lambda: (group / "cgroup.procs").read_text() == f"{pid}\n", 20.0)
    elsewhere = group.parent / cgroup.LEAF
    assert cgroup.write(f"{elsewhere}/cgroup.procs", str(pid))
    wait_until(lambda: (group / "cgroup.procs").read_text() == f"{pid}\n", 40.0)
