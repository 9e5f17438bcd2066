"""What silent agents have done between two looks, and what looking costs where it is at many of them."""

from __future__ import annotations

import os
from typing import Any

import pytest
from fakes import FakeLoop, new_instance
from msgspec.structs import replace

from pypm.core.events import Event, Evidence
from pypm.core.instance import Instance, Run
from pypm.core.spec import AppSpec, HealthSpec
from pypm.master import evidence
from pypm.master.evidence import Look, Witness, signs_of_work
from pypm.system.activity import Activity
from pypm.testing import FakeClock

ALL = HealthSpec()


def running(number: int) -> Instance:
    run = Run(f"r{number}", "t", os.getpid(), 1, 0.0)
    return replace(new_instance(number, AppSpec("a", ("/a",), "/")), run=run)


class World:
    def __init__(self, count: int) -> None:
        self.clock = FakeClock()
        self.loop: Any = FakeLoop(self.clock)
        self.instances = {number: running(number) for number in range(count)}
        self.output = dict.fromkeys(self.instances, 0)
        self.told: list[tuple[int, Event]] = []
        self.witness = Witness(
            self.loop,
            lambda number, event: self.told.append((number, event)),
            self.instances,
            self.output.__getitem__,
            self.clock,
        )

    def look(self, *, first: bool) -> None:
        for instance in list(self.instances.values()):
            self.witness.gather(instance, first=first)
        self.loop.run(5.0)


def test_one_pass_over_proc_is_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []

    def counted(trees: Any) -> Any:
        passes.append(len(trees))
        return {tree: [tree[0]] for tree in trees}

    monkeypatch.setattr(evidence, "pids_of_trees", counted)
    world = World(1000)
    world.look(first=True)
    assert world.told == []
    world.look(first=False)
    assert sorted(number for number, _ in world.told) == list(range(1000))
    assert len(passes) == 2


def test_the_output_of_another_instance_is_no_sign() -> None:
    """Also where both write into one file."""
    world = World(2)
    world.look(first=True)
    world.output[0] += 10
    world.look(first=False)
    signs = {number: event.signs for number, event in world.told if isinstance(event, Evidence)}
    assert "output" in signs[0]
    assert "output" not in signs[1]


def test_a_run_that_is_over_is_not_looked_at_and_another_ones_look_is_not_taken_for_its() -> None:
    world = World(1)
    world.witness.gather(world.instances[0], first=True)
    world.instances[0] = replace(world.instances[0], run=replace(world.instances[0].run, run_id="next"))
    world.loop.run(5.0)
    world.look(first=False)
    assert world.told == [(0, Evidence("next", (), known=False))]


def test_what_counts_as_work() -> None:
    def look(at: float, cpu: float = 0.0, io_bytes: int = 0, switches: int = 0, output: int = 0) -> Look:
        return Look("r", at, {1: Activity(cpu, io_bytes, switches)}, output)

    before = look(0.0)
    assert signs_of_work(before, look(10.0, cpu=0.05, io_bytes=1000, switches=100), ALL) == ()
    assert signs_of_work(before, look(10.0, cpu=0.5), ALL) == ("0.5 s of CPU",)
    assert signs_of_work(before, look(10.0, switches=1000), ALL) == ("1000 context switches",)
    assert signs_of_work(before, look(10.0, io_bytes=50_000), ALL) == ("50000 bytes read and written",)
    assert signs_of_work(before, look(10.0, output=1), ALL) == ("output",)
    assert signs_of_work(before, look(10.0, output=1), HealthSpec(evidence=("cpu", "io"))) == ()
    opened = look(0.0)._replace(traffic={7: 50_000, 8: 10})
    streamed = look(10.0)._replace(traffic={7: 50_000, 8: 5010, 9: 100})
    assert signs_of_work(opened, streamed, ALL) == ("5100 bytes over TCP",)
    assert signs_of_work(opened, streamed, HealthSpec(evidence=("cpu", "output"))) == ()
    assert signs_of_work(opened, look(10.0)._replace(traffic={7: 50_100}), ALL) == ()
