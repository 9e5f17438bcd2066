"""Limits that the kernel holds: who hands a controller down, who has to move for that, what is set."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from fake_cgroups import FakeCgroups

from pypm.system.cgroup import LEAF, Groups
from pypm.system.cgroup_limits import NO_BOUNDS, Bounds, Controllers, oom_kills, refused_tasks

MIB = 2**20
ALL = Bounds(memory=300 * MIB, memory_high=200 * MIB, cpu=1.5, tasks=64)
NAMES = ["cpu", "memory", "pids"]


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCgroups:
    return FakeCgroups(tmp_path / "cgroup", "cpu io memory pids", monkeypatch)


@pytest.fixture
def stranger() -> int:
    """A process that is none of ours: it is not we who have started it."""
    return os.getppid()


def controllers_of(groups: Groups, *pids: int) -> Controllers:
    return Controllers(groups, lambda: pids or (os.getpid(),))


def procs(folder: Path | str) -> list[int]:
    return [int(word) for word in Path(folder, "cgroup.procs").read_text().split()]


def test_in_the_root_nobody_moves(kernel: FakeCgroups, stranger: int) -> None:
    kernel.write(f"{kernel.root}/cgroup.procs", str(stranger))
    groups = kernel.prepare(kernel.root)
    controllers = controllers_of(groups)
    assert [controllers.fault(name) for name in NAMES] == ["", "", ""]
    assert controllers.enable(NAMES) == {}
    assert controllers.enabled() == set(NAMES)
    assert procs(kernel.root) == [stranger]


def test_guardian_and_master_move_to_a_leaf_with_what_they_have_started(kernel: FakeCgroups) -> None:
    child = subprocess.Popen(["sleep", "4618"])
    try:
        unit = kernel.group("pypm.service", os.getpid(), child.pid)
        groups = kernel.prepare(unit)
        controllers = controllers_of(groups)
        assert controllers.fault("memory") == ""
        assert procs(unit) == [os.getpid(), child.pid], "a question moves nobody"
        assert controllers.enable(["memory"]) == {}
        assert procs(unit) == []
        assert procs(groups.leaf) == [os.getpid(), child.pid]
        assert controllers.enabled() == {"memory"}, "what nobody needs stays off: it costs time"
    finally:
        child.kill()
        child.wait()


def test_somebody_elses_process_is_not_moved(kernel: FakeCgroups, stranger: int) -> None:
    session = kernel.group("session-3.scope", os.getpid(), stranger)
    controllers = controllers_of(kernel.prepare(session))
    assert f"(pid {stranger})" in controllers.fault("memory")
    assert controllers.enable(["memory", "pids"]) == dict.fromkeys(
        ["memory", "pids"], controllers.fault("memory")
    )
    assert procs(session) == [os.getpid(), stranger]
    assert controllers.enabled() == frozenset()


@pytest.mark.parametrize("sign", ["mark", "container"])
def test_a_group_that_was_given_to_us_is_ours_to_arrange(
    kernel: FakeCgroups, stranger: int, sign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = kernel.group("run-1.scope", os.getpid(), stranger)
    if sign == "mark":
        marks = {(str(scope), "user.delegate"): b"1"}
        monkeypatch.setattr(os, "getxattr", lambda path, name: marks.get((path, name), b""))
    else:
        monkeypatch.setattr(os.path, "ismount", lambda path: path == str(scope))
    groups = kernel.prepare(scope)
    assert groups.is_namespace_root == (sign == "container")
    assert controllers_of(groups).enable(NAMES) == {}
    assert procs(groups.leaf) == [os.getpid(), stranger]


def test_the_next_master_begins_in_the_leaf_and_finds_all_as_it_is(kernel: FakeCgroups) -> None:
    groups = kernel.prepare(kernel.group("unit", os.getpid()))
    controllers_of(groups).enable(NAMES)
    later = kernel.prepare(Path(groups.leaf))
    assert (later.folder, later.base, later.leaf) == (groups.folder, groups.base, groups.leaf)
    assert controllers_of(later).enabled() == set(NAMES)
    assert controllers_of(later).enable(NAMES) == {}


def test_a_controller_that_is_not_handed_to_us_is_named(kernel: FakeCgroups) -> None:
    unit = kernel.group("user.service", os.getpid())
    kernel.write(f"{kernel.root}/cgroup.subtree_control", "-cpu")
    controllers = controllers_of(kernel.prepare(unit))
    faults = controllers.enable(NAMES)
    assert list(faults) == ["cpu"]
    assert "no cpu controller (it has: io memory pids)" in faults["cpu"]
    assert controllers.enabled() == {"memory", "pids"}


def test_a_kernel_that_refuses_is_told_of(kernel: FakeCgroups) -> None:
    controllers = controllers_of(kernel.prepare(kernel.group("unit", os.getpid())))
    kernel.refused.add("cgroup.subtree_control")
    assert "the kernel refuses memory in" in controllers.enable(["memory"])["memory"]


def test_without_groups_there_are_no_controllers() -> None:
    controllers = controllers_of(Groups("", "somebody has switched them off"))
    assert controllers.enable(["memory"]) == {"memory": "somebody has switched them off"}
    assert controllers.enabled() == frozenset()


def test_bounds_are_set_found_again_and_taken_back(kernel: FakeCgroups) -> None:
    groups = kernel.prepare(kernel.root)
    controllers = controllers_of(groups)
    controllers.enable(NAMES)
    path = groups.make(7)
    assert path is not None
    assert controllers.apply(path, ALL) == {}
    files = {name: Path(path, name).read_text().strip() for _, name, _ in ALL.files()}
    assert files == {
        "memory.high": str(200 * MIB),
        "memory.max": str(300 * MIB),
        "memory.oom.group": "1",
        "cpu.max": "150000 100000",
        "pids.max": "64",
    }
    assert controllers.holds(path, ALL) == {}
    assert controllers.apply(path, NO_BOUNDS) == {}
    assert Path(path, "memory.max").read_text() == "max\n"
    assert Path(path, "cpu.max").read_text() == "max 100000\n"
    assert "is max and not" in controllers.holds(path, ALL)["memory"]


def test_a_delegation_that_is_taken_away_is_seen(kernel: FakeCgroups) -> None:
    groups = kernel.prepare(kernel.root)
    controllers = controllers_of(groups)
    controllers.enable(NAMES)
    path = str(groups.make(1))
    controllers.apply(path, ALL)
    kernel.write(f"{groups.folder}/cgroup.subtree_control", "-cpu")
    assert controllers.holds(path, ALL) == {"cpu": f"{path}/cpu.max is gone"}
    assert controllers.apply(path, ALL) == {"cpu": f"{path} has no cpu.max"}
    assert controllers.apply(path, NO_BOUNDS) == {}, "what is not there need not be given back"


def test_the_kernel_keeps_whole_pages(kernel: FakeCgroups) -> None:
    groups = kernel.prepare(kernel.root)
    controllers = controllers_of(groups)
    controllers.enable(["memory"])
    path = str(groups.make(1))
    bounds = Bounds(memory=10_000_000)
    controllers.apply(path, bounds)
    Path(path, "memory.max").write_text(str(10_000_000 // 4096 * 4096))
    assert controllers.holds(path, bounds) == {}
    Path(path, "memory.max").write_text(str(9_000_000))
    assert list(controllers.holds(path, bounds)) == ["memory"]


def test_what_the_kernel_has_counted(kernel: FakeCgroups) -> None:
    groups = kernel.prepare(kernel.root)
    controllers_of(groups).enable(NAMES)
    path = str(groups.make(1))
    assert (oom_kills(path), refused_tasks(path)) == (0, 0)
    Path(path, "memory.events").write_text("oom 9\noom_kill 2\noom_group_kill 1\n")
    Path(path, "pids.events").write_text("max 41\n")
    assert (oom_kills(path), refused_tasks(path)) == (2, 41)
    assert oom_kills(f"{path}/none") == 0


def test_namespaces_have_groups_of_their_own_whatever_their_names(kernel: FakeCgroups) -> None:
    groups = kernel.prepare(kernel.root)
    path = str(groups.make(3, "a/../b"))
    assert os.path.dirname(path) == groups.namespace_path("a/../b") != groups.namespace_path("a_.._b")
    assert os.path.dirname(os.path.dirname(path)) == groups.folder
    assert len(os.path.basename(groups.namespace_path("ä" * 300))) < 60


def test_the_end_of_all_undoes_what_the_first_limit_has_done(kernel: FakeCgroups) -> None:
    unit = kernel.group("unit", os.getpid())
    groups = kernel.prepare(unit)
    controllers_of(groups).enable(NAMES)
    groups.make(1)
    groups.make(2, "team")
    groups.close()
    assert procs(unit) == [os.getpid()]
    assert [each.name for each in unit.iterdir() if each.is_dir()] == []
    assert (unit / "cgroup.subtree_control").read_text() == ""


def test_the_leaf_stays_while_anything_runs_beside_it(kernel: FakeCgroups) -> None:
    unit = kernel.group("unit", os.getpid())
    groups = kernel.prepare(unit)
    controllers_of(groups).enable(["memory"])
    path = str(groups.make(1))
    kernel.write(f"{path}/cgroup.procs", "1")
    groups.close()
    assert procs(groups.leaf) == [os.getpid()]
    assert os.path.basename(groups.leaf) == LEAF
    assert procs(path) == [1]
