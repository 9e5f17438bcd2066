"""Groups of runs, as the thread makes and removes them that does so beside the loop."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from fake_cgroups import FakeCgroups
from fakes import new_instance
from msgspec.structs import replace

from pypm.core.instance import Instance, Run
from pypm.master.trees import Trees
from pypm.system import cgroup
from pypm.system.process import start_ticks

PID = os.getpid()


class World:
    """Trees with groups of a fake hierarchy, and an instance whose run this process is."""

    def __init__(self, kernel: FakeCgroups) -> None:
        self.trees = Trees(cast("Any", None), "/nowhere", set, lambda _: None, lambda *_: None)
        self.trees.groups = kernel.prepare(kernel.group("unit", PID))
        run = Run("r1", "token", PID, start_ticks(PID) or 0, started=0.0)
        self.instance: Instance = replace(new_instance(0), run=run)

    def begin(self) -> str:
        """A run with limits, in a group that is there."""
        path = self.trees.groups.make(0)
        assert path is not None
        self.trees.begun(self.instance, PID, start_ticks(PID) or 0, path)
        return path

    def wait(self) -> None:
        """Until all is done."""
        self.trees._worker.submit(lambda: None).result(20.0)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("PYPM_CGROUP", "no")
    world = World(FakeCgroups(tmp_path / "cgroup", "pids", monkeypatch))
    yield world
    world.trees._worker.shutdown()


def test_the_group_of_one_that_is_gone_is_not_taken_from_its_successor(world: World) -> None:
    """Ids begin anew when all is deleted, and removing a group takes the kernel its time."""
    path = cast("str", world.trees.groups.make(0))
    world.trees._use(0, path)
    may_go_on = threading.Event()
    world.trees._worker.submit(may_go_on.wait, 20.0)
    world.trees.forget(0)
    world.begin()
    may_go_on.set()
    world.wait()
    assert PID in cgroup.members(path)
    assert world.trees.groups.trouble == ""


def test_a_group_that_somebody_has_removed_says_nothing_of_the_kernel(world: World) -> None:
    may_go_on = threading.Event()
    world.trees._worker.submit(may_go_on.wait, 20.0)
    path = world.begin()
    cgroup.remove(path)
    may_go_on.set()
    world.wait()
    assert world.trees.groups.trouble == ""


def test_an_adopted_run_that_is_in_no_group_is_to_enter_that_of_its_namespace(world: World) -> None:
    path = world.trees.groups.path(0, "team")
    world.trees.adopted(world.instance, path)
    assert world.trees.folder_of(0) == path


def test_a_run_that_is_in_no_group_is_taken_into_one(world: World) -> None:
    path = cast("str", world.trees.groups.make(0))
    world.trees.take_in(world.instance, path)
    world.wait()
    assert world.trees.folder_of(0) == path
    assert PID in cgroup.members(path)
