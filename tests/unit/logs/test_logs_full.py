"""What a log does when the disk takes nothing: room is made, bytes are dropped and marked, or all wait."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypm.logs import room
from pypm.logs.pump import Pump
from pypm.logs.room import make_room
from pypm.logs.rotation import Generation, generations
from pypm.logs.trouble import dropped_record
from pypm.logs.writer import LogFile, LogTrouble

MARKER = re.compile(rb"(?m)^\[pypm\] [-0-9]{10}T[:0-9]{8}\.\d{3}Z (\d+) bytes of output were dropped: (.*)\n")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Disk:
    """Takes ``room`` bytes more of what is written to logs in ``folder``; then ``code`` is its excuse."""

    def __init__(self, folder: Path, room: int) -> None:
        self.folder, self.room, self.code = f"{folder}/", room, errno.ENOSPC

    def grant(self, descriptor: int, wanted: int) -> int:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if not (path.startswith(self.folder) and path.endswith(".log")):
            return wanted
        granted = min(wanted, self.room)
        if not granted:
            raise OSError(self.code, os.strerror(self.code))
        self.room -= granted
        return granted


@contextmanager
def small_disk(folder: Path, room: int) -> Iterator[Disk]:
    """A folder on a disk with little room."""
    disk, write, splice = Disk(folder, room), os.write, os.splice

    def limited_write(descriptor: int, data: memoryview) -> int:
        return write(descriptor, data[: disk.grant(descriptor, len(data))])

    def limited_splice(source: int, target: int, count: int, *, offset_dst: int) -> int:
        count = disk.grant(target, min(count, waiting(source)))
        return splice(source, target, count, offset_dst=offset_dst)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", limited_write)
        patch.setattr(os, "splice", limited_splice)
        yield disk


def waiting(pipe: int) -> int:
    """Bytes in a pipe."""
    count = int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
    if not count:
        raise BlockingIOError
    return count


def make(path: Path, max_size: int = 0, retain: int = 100, **options: object) -> LogFile:
    return LogFile(str(path), max_size=max_size, retain=retain, clock=Clock(), **options)


@contextmanager
def pumped(file: LogFile) -> Iterator[tuple[Pump, Callable[[bytes], int]]]:
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    write = os.write
    try:
        yield Pump(reader, [file]), lambda data: write(writer, data)
    finally:
        os.close(reader)
        os.close(writer)
        file.close()


@pytest.mark.parametrize("spliced", [True, False], ids=["splice", "write"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_what_is_dropped_is_counted_and_marked_on_a_line_of_its_own(
    tmp_path: Path, code: int, *, spliced: bool
) -> None:
    path, told = tmp_path / "x.log", list[LogTrouble]()
    file = make(path, on_error=told.append)
    file._spliceable = spliced
    with pumped(file) as (pump, say), small_disk(tmp_path, 10) as disk:
        disk.code = code
        for text in (b"one\ntwo\nthree\n", b"four\n", b"five\n"):
            say(text)
            pump.turn()
        assert path.read_bytes() == b"one\ntwo\nth"
        disk.room = 1000
        for text in (b"six\n", b"seven\n"):
            say(text)
            pump.turn()
    marker = MARKER.search(path.read_bytes())
    assert marker is not None
    assert marker.groups() == (b"14", os.strerror(code).encode())
    assert MARKER.sub(b"|", path.read_bytes()) == b"one\ntwo\nth\n|six\nseven\n"
    assert [(each.kind, each.ended, each.dropped_bytes) for each in told] == [
        ("write", False, 0),
        ("write", True, 14),
    ]


@pytest.mark.parametrize("spliced", [True, False], ids=["splice", "write"])
def test_who_may_drop_nothing_waits_and_loses_nothing(tmp_path: Path, *, spliced: bool) -> None:
    path, told = tmp_path / "x.log", list[LogTrouble]()
    file = make(path, on_full="block", on_error=told.append)
    file._spliceable = spliced
    with pumped(file) as (pump, say), small_disk(tmp_path, 10) as disk:
        said = b"".join(b"line %d\n" % number for number in range(1000))
        say(said)
        assert pump.turn() in (10, len(said))
        assert pump.drain() == 0
        assert pump.blocked
        assert pump.retry() == 0
        for _ in range(3):
            disk.room = 7
            pump.retry()
        assert path.read_bytes() == said[:31]
        disk.room = 100_000
        pump.retry()
        assert not pump.blocked
        say(b"more\n")
        pump.turn()
    assert path.read_bytes() == said + b"more\n"
    assert [(each.kind, each.ended) for each in told] == [("block", False), ("block", True)]
    assert file.dropped_bytes == 0


PIECES = st.lists(st.tuples(st.binary(min_size=1, max_size=30), st.integers(0, 40)), max_size=25)


@given(PIECES, st.integers(0, 40), st.booleans(), st.sampled_from([0, 16]))
def test_a_blocked_log_gets_every_byte_once_whatever_the_disk_takes(
    pieces: list[tuple[bytes, int]], room: int, spliced: bool, max_size: int
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.log")
        file = make(path, max_size, 10_000, on_full="block")
        file._spliceable = spliced
        with pumped(file) as (pump, say), small_disk(Path(folder), room) as disk:
            for data, more in pieces:
                say(data)
                pump.retry()
                disk.room += more
            disk.room = 100_000
            pump.retry()
            pump.drain()
        assert b"".join(contents(path)) == b"".join(data for data, _ in pieces)


@given(PIECES, st.integers(0, 40), st.booleans())
def test_what_is_written_and_what_is_counted_is_all_that_was_said(
    pieces: list[tuple[bytes, int]], room: int, spliced: bool
) -> None:
    pieces = [(data.replace(b"[", b"("), more) for data, more in pieces]
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.log")
        file = make(path)
        file._troubles._clock = iter(range(0, 10**9, 1000)).__next__  # always calm
        file._spliceable = spliced
        with pumped(file) as (pump, say), small_disk(Path(folder), room) as disk:
            for data, more in pieces:
                say(data)
                pump.drain()
                disk.room += more
            disk.room = 100_000
            say(b"end\n")
            pump.drain()
        text = path.read_bytes()
        dropped = sum(int(found[1]) for found in MARKER.finditer(text))
        assert dropped == file.dropped_bytes
        kept = MARKER.sub(b"", text)
        said = sum(len(data) for data, _ in pieces) + 4
        # A line that dropping has cut is ended before each marker.
        assert said <= len(kept) + dropped <= said + len(MARKER.findall(text))


def test_the_oldest_rotated_logs_of_the_app_make_room(tmp_path: Path) -> None:
    for number, (name, size) in enumerate(
        [("a.log.2", 5), ("b.log.1", 5), ("a.log.1", 50), ("other.log.1", 9)]
    ):
        (tmp_path / name).write_bytes(bytes(size))
        os.utime(tmp_path / name, (number, number))
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_bytes(b"now\n")
    logs = [str(tmp_path / "a.log"), str(tmp_path / "b.log"), "/elsewhere/c.log"]
    deleted = make_room(logs[0], logs, 8)
    assert [os.path.basename(file.path) for file in deleted] == ["a.log.2", "b.log.1"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.log", "a.log.1", "b.log", "other.log.1"]
    assert [os.path.basename(file.path) for file in make_room(logs[0], logs, 8)] == ["a.log.1"]
    assert make_room(logs[0], logs, 8) == []


def test_only_what_was_looked_at_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking and deleting, a thread of another log has rotated it."""
    path = tmp_path / "x.log"
    for number, name in enumerate(("x.log.2", "x.log.1")):
        (tmp_path / name).write_bytes(b"%d" % number)
        os.utime(tmp_path / name, (number, number))

    def look_and_rotate(path: str) -> list[Generation] | None:
        found = generations(path)
        for number in (2, 1):
            os.rename(f"{path}.{number}", f"{path}.{number + 1}")
        return found

    monkeypatch.setattr(room, "generations", look_and_rotate)
    make_room(str(path), [str(path)], 1)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"x.log.2": b"1"}


def test_room_is_asked_for_again_only_where_it_helped_or_a_second_later(tmp_path: Path) -> None:
    file, asked = make(tmp_path / "x.log"), list[int]()
    with small_disk(tmp_path, 0) as disk:

        def grant(needed: int) -> bool:
            asked.append(needed)
            disk.room = needed
            return True

        file.make_room = grant
        file.write(b"abc\n")
        file.write(b"defgh\n")
        assert (tmp_path / "x.log").read_bytes() == b"abc\ndefgh\n"
        file.make_room = lambda needed: asked.append(needed) is None
        for _ in range(3):
            file.write(b"lost\n")
        assert asked == [4, 6, 5]
        file._clock.now += 1.0
        file.write(b"lost\n")
        assert asked == [4, 6, 5, 5]
    assert file.dropped_bytes == 20
    file.close()


def test_a_marker_for_which_there_is_no_room_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    file = make(path)
    with small_disk(tmp_path, 4) as disk:
        file.write(b"one\n")
        file.write(b"two\n")
        disk.room = 20
        file.write(b"three\n")
        assert path.read_bytes() == b"one\n"
        disk.room = 1000
        file.write(b"four\n")
    assert MARKER.sub(b"<\\1>", path.read_bytes()) == b"one\n<10>four\n"
    file.close()


def test_in_a_log_of_records_the_marker_is_one_too(tmp_path: Path) -> None:
    file = make(tmp_path / "x.log")
    file.marker = dropped_record
    with small_disk(tmp_path, 0) as disk:
        file.write(b"{}\n")
        disk.room = 1000
        file.write(b"{}\n")
    marker, record = map(json.loads, (tmp_path / "x.log").read_bytes().splitlines())
    assert (marker["type"], marker["dropped_bytes"], record) == ("pypm", 3, {})
    assert marker["message"] == "3 bytes of output were dropped: No space left on device"
    file.close()


def test_a_log_that_fails_again_and_again_is_told_about_once_a_second_at_most(tmp_path: Path) -> None:
    told = list[LogTrouble]()
    file = make(tmp_path / "x.log", on_error=told.append)
    with small_disk(tmp_path, 0) as disk:
        for _ in range(1000):
            disk.room = 0
            file.write(b"lost\n")
            disk.room = 200
            file.write(b"perhaps\n")
            file._clock.now += 0.01
    began = sum(not trouble.ended for trouble in told)
    assert 10 <= began <= 25
    file.close()


def test_the_end_of_a_blocked_log_counts_what_is_given_up(tmp_path: Path) -> None:
    told = list[LogTrouble]()
    file = make(tmp_path / "x.log", on_full="block", on_error=told.append)
    with small_disk(tmp_path, 2):
        file.write(b"one\n")
        file.end()
    assert (tmp_path / "x.log").read_bytes() == b"on"
    assert [(each.kind, each.ended, each.dropped_bytes) for each in told] == [
        ("block", False, 0),
        ("write", False, 0),
        ("write", True, 2),
        ("block", True, 2),
    ]


def contents(path: Path) -> list[bytes]:
    """What the files of a log hold, oldest first."""
    rotated = [file for file in path.parent.glob(f"{path.name}.*") if file.suffix[1:].isdecimal()]
    files = [*sorted(rotated, key=lambda file: -int(file.suffix[1:])), path]
    return [file.read_bytes() for file in files if file.exists()]
