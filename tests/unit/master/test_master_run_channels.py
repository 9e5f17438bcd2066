"""The channels of a run at their edges: in pieces, without end, closed by the other side, handed on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator

import pytest
from fakes import SPEC, new_instance
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.instance import Instance, Run
from pypm.master.run_channels import RunChannels
from pypm.system.spawn import SpawnError

NODE = replace(SPEC, node_channel=True)
NEWLINE = replace(SPEC, ready_fd=3)
RUN = Run("r", "t", 100, 1, 0.0)


class FakeKeeper:
    def __init__(self) -> None:
        self.held: dict[str, int] = {}

    def take(self, name: str) -> int | None:
        return self.held.get(name)

    def hold(self, descriptors: dict[str, int]) -> None:
        self.held.update(descriptors)

    def drop(self, names: Iterable[str]) -> None:
        for name in names:
            self.held.pop(name, None)


class Started:
    """A run's channels, and the run's own ends of them."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.keeper = FakeKeeper()
        self.events: list[ev.Event] = []
        self.channels = RunChannels(self.loop, self.keeper, self.take)
        self.ends: list[int] = []
        self.variables: dict[str, str] = {}

    def take(self, instance_id: int, event: ev.Event) -> None:
        assert instance_id == 1
        self.events.append(event)

    def start(self, instance: Instance) -> int:
        """The run's end of its channel, which stays open after the start."""
        with self.channels.opened(instance, "r") as (passed, variables):
            end = os.dup(next(iter(passed.values())))
            self.variables = variables
        self.ends.append(end)
        return end

    def turn(self) -> None:
        for _ in range(3):
            self.loop.run_until_complete(asyncio.sleep(0))


@pytest.fixture
def started() -> Iterator[Started]:
    made = Started()
    before = len(os.listdir("/proc/self/fd"))
    yield made
    made.channels.close()
    for end in made.ends:
        os.close(end)
    assert made.keeper.held == {}
    assert len(os.listdir("/proc/self/fd")) == before, "nothing is left open"
    made.loop.close()


def test_most_runs_have_none(started: Started) -> None:
    with started.channels.opened(new_instance(1), "r") as (passed, variables):
        assert (passed, variables) == ({}, {})
    assert started.keeper.held == {}
    assert not started.channels.ask_to_end(1)


def test_ready_over_node_in_pieces(started: Started) -> None:
    end = started.start(new_instance(1, NODE))
    assert started.variables["NODE_CHANNEL_SERIALIZATION_MODE"] == "json"
    os.write(end, b'{"a":1}\n"rea')
    started.turn()
    assert started.events == []
    os.write(end, b'dy"\n')
    started.turn()
    assert started.events == [ev.Ready("r")]
    assert started.channels.others == 1


def test_the_shutdown_message(started: Started) -> None:
    end = started.start(new_instance(1, NODE))
    assert started.channels.ask_to_end(1)
    assert os.read(end, 100) == b'"shutdown"\n'


def test_nobody_is_asked_who_reads_nothing(started: Started) -> None:
    """Its buffer is full: the signal has to do it."""
    started.start(new_instance(1, NODE))
    for _ in range(1_000_000):
        if not started.channels.ask_to_end(1):
            break
    assert not started.channels.ask_to_end(1)


def test_nobody_is_asked_who_has_left(started: Started) -> None:
    end = started.start(new_instance(1, NODE))
    os.close(end)
    started.ends.clear()
    assert not started.channels.ask_to_end(1), "it has not been noticed yet"
    started.turn()
    assert not started.channels.ask_to_end(1)
    assert started.keeper.held == {}


def test_a_newline_closes_its_pipe(started: Started) -> None:
    end = started.start(new_instance(1, NEWLINE))
    os.write(end, b"soon")
    started.turn()
    assert started.events == []
    os.write(end, b"!\n")
    started.turn()
    assert started.events == [ev.Ready("r")]
    with pytest.raises(BrokenPipeError):
        os.write(end, b"\n")


def test_nobody_waits_for_a_newline_for_ever(started: Started) -> None:
    end = started.start(new_instance(1, NEWLINE))
    for _ in range(17):
        os.write(end, b"x" * 4096)
        started.turn()
    with pytest.raises(BrokenPipeError):
        os.write(end, b"\n")
    assert started.events == []


def test_the_last_words_are_drained(started: Started) -> None:
    os.write(started.start(new_instance(1, NEWLINE)), b"\n")
    started.channels.drain(1)
    assert started.events == [ev.Ready("r")]
    started.channels.drain(1)
    started.channels.drain(2)


def test_a_new_run_has_a_channel_of_its_own(started: Started) -> None:
    old = started.start(new_instance(1, NODE))
    new = started.start(new_instance(1, NODE))
    assert started.channels.ask_to_end(1)
    assert os.read(new, 100) == b'"shutdown"\n'
    assert os.read(old, 100) == b"", "nobody is at its other end"


def test_a_start_that_fails_leaves_none(started: Started) -> None:
    instance = new_instance(1, replace(NODE, ready_fd=4))

    def fail() -> None:
        with started.channels.opened(instance, "r") as (passed, _):
            assert 4 in passed
            assert len(passed) == 2
            raise SpawnError("no such file")

    with pytest.raises(SpawnError):
        fail()
    assert started.keeper.held == {}


def test_another_master_takes_over(started: Started) -> None:
    instance = replace(new_instance(1, replace(NODE, ready_fd=4)), run=RUN)
    with started.channels.opened(instance, "r") as (passed, _):
        started.ends = [os.dup(each) for each in passed.values()]
    ready, node = started.ends
    others = dict.fromkeys(started.keeper.held)
    # The first one is gone without a word; what it had open is held.
    held = {name: os.dup(descriptor) for name, descriptor in started.keeper.held.items()}
    started.channels.close()
    started.keeper.held = held
    assert set(others) == set(held) == {"ready:1", "node:1"}
    os.write(ready, b"\n")
    started.channels = RunChannels(started.loop, started.keeper, started.take)
    started.channels.adopt(instance)
    started.turn()
    assert started.events == [ev.Ready("r")]
    assert started.channels.ask_to_end(1)
    assert os.read(node, 100) == b'"shutdown"\n'
