from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator

import pytest
from fakes import FakeLoop

from pypm.logs.pump import Pump
from pypm.master import pipe_sizes
from pypm.master.pipe_sizes import (
    BUSY_TURNS,
    FAST_BYTES,
    LARGE,
    LOOK_EVERY,
    MOST_LARGE,
    QUIET_BYTES,
    SMALL,
    PipeSizes,
)
from pypm.testing import FakeClock


class Pipes:
    """Pipes with pumps that throw away what they read."""

    def __init__(self) -> None:
        self._writers: dict[Pump, int] = {}

    def new(self) -> Pump:
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        pump = Pump(reader, [])
        self._writers[pump] = writer
        return pump

    def fill(self, pump: Pump) -> None:
        try:
            while os.write(self._writers[pump], bytes(SMALL)):
                pass
        except BlockingIOError:
            return

    def keep_busy(self, pump: Pump, sizes: PipeSizes, turns: int = BUSY_TURNS) -> None:
        for _ in range(turns):
            self.fill(pump)
            pump.turn()
            sizes.look(pump)

    def close(self) -> None:
        for pump, writer in self._writers.items():
            os.close(pump.fd)
            os.close(writer)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    pipes = Pipes()
    yield pipes
    pipes.close()


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop(FakeClock())


def size(pump: Pump) -> int:
    return fcntl.fcntl(pump.fd, fcntl.F_GETPIPE_SZ)


def test_a_pipe_that_is_always_full_is_grown_and_shrunk_when_it_is_quiet(
    pipes: Pipes, loop: FakeLoop
) -> None:
    sizes, pump = PipeSizes(loop), pipes.new()
    sizes.adopt(pump)
    pipes.keep_busy(pump, sizes, BUSY_TURNS - 1)
    assert (size(pump), loop.pending) == (SMALL, 0)
    pipes.keep_busy(pump, sizes, 1)
    assert size(pump) == pump.capacity == LARGE
    pipes.keep_busy(pump, sizes, 2 * QUIET_BYTES // LARGE)
    loop.run(LOOK_EVERY)
    assert size(pump) == LARGE
    loop.run(LOOK_EVERY)
    assert size(pump) == pump.capacity == SMALL
    assert loop.pending == 0


def test_a_turn_that_does_not_find_it_full_begins_the_count_anew(pipes: Pipes, loop: FakeLoop) -> None:
    sizes, pump = PipeSizes(loop), pipes.new()
    for _ in range(3):
        pipes.keep_busy(pump, sizes, BUSY_TURNS - 1)
        pump.turn()
    assert size(pump) == SMALL


def test_one_through_which_much_comes_is_grown_though_it_is_never_full(pipes: Pipes, loop: FakeLoop) -> None:
    sizes, slow, fast = PipeSizes(loop), pipes.new(), pipes.new()
    for pump, pause in ((slow, 1.0), (fast, 0.1)):
        for _ in range(3):
            pump.moved += FAST_BYTES
            sizes.look(pump)
            loop.run(pause)
    assert (size(slow), size(fast)) == (SMALL, LARGE)


def test_only_so_many_are_large_at_a_time(pipes: Pipes, loop: FakeLoop) -> None:
    sizes, pumps = PipeSizes(loop), [pipes.new() for _ in range(MOST_LARGE + 1)]
    for pump in pumps:
        pipes.keep_busy(pump, sizes)
    assert [size(pump) for pump in pumps] == [LARGE] * MOST_LARGE + [SMALL]
    sizes.forget(pumps[0])
    pipes.keep_busy(pumps[-1], sizes, 1)
    assert size(pumps[-1]) == LARGE


def test_one_that_holds_too_much_is_shrunk_later_also_by_the_next_master(
    pipes: Pipes, loop: FakeLoop
) -> None:
    pump = pipes.new()
    pipes.keep_busy(pump, PipeSizes(FakeLoop(FakeClock())))
    pipes.fill(pump)
    again = PipeSizes(loop)
    again.adopt(pump)
    assert pump.capacity == LARGE
    loop.run(LOOK_EVERY)
    assert size(pump) == LARGE
    pump.turn()
    loop.run(2 * LOOK_EVERY)
    assert size(pump) == SMALL


def test_a_refusal_is_taken_quietly(pipes: Pipes, loop: FakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Refusing:
        F_SETPIPE_SZ, F_GETPIPE_SZ = fcntl.F_SETPIPE_SZ, fcntl.F_GETPIPE_SZ

        @staticmethod
        def fcntl(_: int, order: int, *argument: int) -> int:
            asked.append((order, *argument))
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(pipe_sizes, "fcntl", Refusing)
    sizes, pump = PipeSizes(loop), pipes.new()
    pipes.keep_busy(pump, sizes, 3 * BUSY_TURNS)
    assert asked == [(fcntl.F_SETPIPE_SZ, LARGE)]
    assert pump.capacity == SMALL
