"""Logs on file systems that may not answer: who writes there never waits, and loses nothing."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stalling_files import StallingFiles, stalling

from pypm.logs.mounts import Mounts, parse_mounts
from pypm.logs.pump import Pump
from pypm.logs.registry import LogRegistry
from pypm.logs.threaded import ThreadedLogFile
from pypm.testing import wait_until

__all__ = ["stalling"]

MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /mnt/my\040share rw - nfs4 server:/x rw
31 30 0:27 / /mnt/my\040share/fast rw shared:7 master:1 - tmpfs tmpfs rw
32 22 0:28 / /home/me/s rw - fuse.sshfs me@there:/ rw
33 22 0:29 / /over rw - nfs4 server:/y rw
34 33 0:30 / /over rw - tmpfs none rw
35 22 0:31 / /new rw - somethingfs none rw
"""


class Loop:
    """Runs in the test what threads ask for."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    def wake(self, function: Callable[..., object], *arguments: object) -> None:
        self._calls.put(lambda: function(*arguments))

    def run_until(self, condition: Callable[[], object]) -> None:
        """Run what is asked for until the condition is true."""

        def step() -> bool:
            while not self._calls.empty():
                self._calls.get()()
            return bool(condition())

        wait_until(step, 20.0)


@contextmanager
def pumped(file: ThreadedLogFile) -> Iterator[tuple[Pump, int]]:
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield Pump(reader, [file]), writer
    finally:
        os.close(reader)
        os.close(writer)
        file.end()
        assert file.join(20.0)


def test_the_topmost_mount_counts() -> None:
    mounts = parse_mounts(MOUNTS)
    assert mounts["/mnt/my share"] == "nfs4"
    assert mounts["/over"] == "tmpfs"


@pytest.mark.parametrize(
    ("path", "is_local"),
    [
        ("/var/log/x.log", True),
        ("/mnt/my share/x.log", False),
        ("/mnt/my share/fast/x.log", False),  # to get there, the server has to answer
        ("/mnt/my sharex.log", True),
        ("/home/me/s/logs/x.log", False),
        ("/home/me/t/../s/x.log", False),
        ("/over/x.log", True),
        ("/new/x.log", False),
        ("/new/../var/x.log", False),
    ],
)
def test_what_is_not_a_file_system_of_the_kernel_itself_may_stall(path: str, *, is_local: bool) -> None:
    assert Mounts(lambda: MOUNTS).resolve(path)[1] is is_local


def test_links_are_followed_but_nobody_is_asked_who_may_stall(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a/../a")
    (tmp_path / "out").symlink_to("/mnt/my share")
    (tmp_path / "loop").symlink_to("loop")
    mounts = Mounts(lambda: MOUNTS)
    for name in ("a/x.log", "link/x.log", "link//./x.log"):
        assert mounts.resolve(str(tmp_path / name)) == (os.path.realpath(tmp_path / "a/x.log"), True)
    assert mounts.resolve(f"{tmp_path}/out/./x.log") == ("/mnt/my share/x.log", False)
    assert mounts.resolve(f"{tmp_path}/loop/x.log")[1] is True


def test_mounts_are_looked_up_again_after_a_second() -> None:
    times, texts = iter([0.0, 0.5, 1.0]), iter([MOUNTS, ""])
    mounts = Mounts(lambda: next(texts), lambda: next(times))
    assert [mounts.resolve("/new/x")[1] for _ in range(3)] == [False, False, True]


def test_the_registry_gives_slow_files_a_thread(tmp_path: Path) -> None:
    text = MOUNTS + f"40 22 0:40 / {tmp_path}/slow rw - fuse.slow none rw\n"
    loop = Loop()
    registry = LogRegistry(wake=loop.wake, mounts=Mounts(lambda: text))
    (tmp_path / "slow").mkdir()
    slow = registry.open(f"{tmp_path}/slow/x.log", 0, 0)
    assert isinstance(slow, ThreadedLogFile)
    assert registry.open(f"{tmp_path}/slow/../slow/x.log", 0, 0) is slow
    assert not isinstance(registry.open(f"{tmp_path}/x.log", 0, 0), ThreadedLogFile)
    slow.write(b"x\n")
    registry.release(slow)
    registry.release(slow)
    registry.join(20.0)
    assert (tmp_path / "slow/x.log").read_bytes() == b"x\n"


@pytest.mark.parametrize("max_size", [0, 100_000])
def test_bytes_come_out_as_they_went_in(tmp_path: Path, max_size: int) -> None:
    loop = Loop()
    file = ThreadedLogFile(str(tmp_path / "x.log"), wake=loop.wake, max_size=max_size, retain=100)
    said = b"".join(b"line %d\n" % number for number in range(100_000))
    with pumped(file) as (pump, writer):
        rest = memoryview(said)
        while rest:
            try:
                rest = rest[os.write(writer, rest) :]
            except BlockingIOError:
                loop.run_until(lambda: not pump.blocked)
            pump.turn()
        loop.run_until(lambda: not pump.blocked and not pump.turn() and not pump.blocked)
    rotated = [path for path in tmp_path.iterdir() if path.suffix[1:].isdecimal()]
    files = [*sorted(rotated, key=lambda path: -int(path.suffix[1:])), tmp_path / "x.log"]
    assert b"".join(path.read_bytes() for path in files) == said
    assert len(files) == (1 if not max_size else len(said) // max_size + 1)


def test_nobody_waits_for_a_stalled_file_and_all_comes_later(stalling: StallingFiles) -> None:
    loop, called = Loop(), list[bool]()
    file = ThreadedLogFile(str(stalling.folder / "x.log"), wake=loop.wake, max_size=0, retain=0)
    with pumped(file) as (pump, writer):
        os.write(writer, b"before\n")
        pump.turn()
        loop.run_until(lambda: stalling.content("x.log") == b"before\n" and not pump.blocked)
        stalling.stall()
        os.write(writer, b"one\n")
        pump.turn()
        assert pump.blocked
        assert file.when_ready(lambda: called.append(True))
        os.write(writer, b"two\n")
        assert (pump.turn(), pump.drain(), file.truncate(), file.is_at_line_end()) == (0, 0, True, True)
        file.stop()
        assert not file.join(0.1)
        assert not called
        stalling.go_on()
        file.go_on()
        loop.run_until(lambda: called)
        assert file.join(20.0)
        os.write(writer, b"three\n")
        pump.turn()
        loop.run_until(lambda: not pump.blocked)
        assert stalling.content("x.log").endswith(b"three\n")
        assert not file.when_ready(lambda: None)


def test_what_a_stopped_file_has_not_taken_stays_in_the_pipe(stalling: StallingFiles) -> None:
    loop = Loop()
    file = ThreadedLogFile(str(stalling.folder / "x.log"), wake=loop.wake, max_size=0, retain=0)
    with pumped(file) as (pump, writer):
        stalling.stall()
        os.write(writer, b"one\n")
        pump.turn()
        file.stop()
        stalling.go_on()
        assert file.join(20.0)
        os.write(writer, b"two\n")
        assert os.read(pump.fd, 100) in (b"two\n", b"one\ntwo\n")
        assert stalling.content("x.log") in (b"one\n", b"")


def test_a_stalled_file_that_is_given_back_and_wanted_again_is_the_same_one(stalling: StallingFiles) -> None:
    """Two threads would write and rotate it under each other."""
    loop = Loop()
    registry = LogRegistry(wake=loop.wake)
    path = str(stalling.folder / "x.log")
    first = registry.open(path, 100, 1, "block")
    stalling.stall()
    first.write(b"one\n")
    registry.release(first)
    again = registry.open(path, 200, 2, "block")
    assert again is first
    assert (again.users, again.max_size, again.on_full) == (1, 200, "block")
    again.write(b"two\n")
    stalling.go_on()
    loop.run_until(lambda: stalling.content("x.log") == b"one\ntwo\n")
    registry.release(again)
    registry.join(20.0)
    assert registry.open(path, 100, 1) is not first
