from __future__ import annotations

import errno
import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pypm.logs import rotation
from pypm.logs.writer import LogFile, LogTrouble

MANY = 10_000
CHUNKS = st.lists(st.binary(max_size=40) | st.text("ab\n", max_size=40).map(str.encode), max_size=25)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def make(path: Path, max_size: int = 0, retain: int = MANY, **options: object) -> LogFile:
    return LogFile(str(path), max_size=max_size, retain=retain, **options)


def marker(count: int, reason: int) -> bytes:
    """What the line that tells of dropped bytes is, as a pattern."""
    return rb"\[pypm\] \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z %d bytes of output were dropped: %s\n" % (
        count,
        re.escape(os.strerror(reason).encode()),
    )


def generations(path: Path) -> list[bytes]:
    """What the files of a log hold, oldest first."""
    rotated = sorted(path.parent.glob(f"{path.name}.*[0-9]"), key=lambda file: -int(file.suffix[1:]))
    return [file.read_bytes() for file in [*rotated, path] if file.exists()]


@contextmanager
def full_disk(file_size: int) -> Iterator[None]:
    """Files of this process take no more than so many bytes: short writes, then EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@given(CHUNKS, st.integers(1, 60))
@example([b"a\n" * 20], 1)
@example([b"x" * 100, b"\n", b"y\n"], 7)
def test_the_files_are_the_stream_and_bounded(chunks: list[bytes], max_size: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.log")
        file = make(path, max_size)
        for chunk in chunks:
            file.write(memoryview(chunk))
        file.close()
        contents = generations(path)
    assert b"".join(contents) == b"".join(chunks)
    for content in contents:
        assert 0 < len(content) <= 2 * max_size
    for content in contents[:-1]:
        # Only a line that is longer than a file may be is cut.
        assert content.endswith(b"\n") or len(content) == 2 * max_size
    for content in contents:
        # Beyond its size a file holds no more than the end of a line that was begun before.
        assert b"\n" not in content[max_size:-1]


@given(CHUNKS, st.integers(1, 60), st.integers(0, 24))
def test_another_writer_goes_on_with_the_files(chunks: list[bytes], max_size: int, place: int) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        file = make(Path(one, "x.log"), max_size)
        again = make(Path(other, "x.log"), max_size)
        for number, chunk in enumerate(chunks):
            file.write(chunk)
            if number == place:
                again.close()
                again = make(Path(other, "x.log"), max_size)
            again.write(chunk)
        file.close()
        again.close()
        assert generations(Path(one, "x.log")) == generations(Path(other, "x.log"))


class Killed(BaseException):
    pass


@given(st.integers(0, 6), st.integers(1, 5))
@settings(max_examples=30)
def test_a_kill_in_the_middle_of_a_rotation_loses_nothing(renames: int, before: int) -> None:
    left = renames

    def rename(old: str, new: str) -> None:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        os.replace(old, new)

    lines = [b"line %d\n" % number for number in range(before + 8)]
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder, "x.log")
        file = make(path, 10)
        for line in lines[:before]:
            file.write(line)
        patch.setattr(rotation.os, "rename", rename)
        written = before
        try:
            for line in lines[before:]:
                file.write(line)
                written += 1
        except Killed:
            pass
        patch.undo()
        file.close()
        assert b"".join(generations(path)) == b"".join(lines[:written])
        file = make(path, 10)
        for line in lines[written:]:
            file.write(line)
        file.close()
        assert b"".join(generations(path)) == b"".join(lines)


def test_nothing_is_opened_before_the_first_byte(tmp_path: Path) -> None:
    file = make(tmp_path / "x.log")
    file.write(b"")
    assert not list(tmp_path.iterdir())


def test_files_and_folders_are_the_owners(tmp_path: Path) -> None:
    file = make(tmp_path / "a" / "b" / "x.log")
    file.write(b"a\n")
    file.close()
    assert (tmp_path / "a" / "b" / "x.log").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_the_newest_are_retained_and_the_numbers_shift(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    file = make(path, max_size=2, retain=2)
    for letter in b"abcd":
        file.write(b"%c\n" % letter)
    file.close()
    found = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir() if entry.suffix != ".index"}
    assert found == {"x.log.2": b"b\n", "x.log.1": b"c\n", "x.log": b"d\n"}


def test_less_retained_than_before_deletes_what_is_too_old(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    (tmp_path / "x.log.20240101").write_bytes(b"somebody's\n")
    file = make(path, max_size=2, retain=5)
    for letter in b"abcde":
        file.write(b"%c\n" % letter)
    file.retain = 1
    file.write(b"f\n")
    file.close()
    left = sorted(entry.name for entry in tmp_path.iterdir())
    assert left == ["x.log", "x.log.1", "x.log.1.index", "x.log.20240101", "x.log.index"]


def test_retaining_nothing_empties_the_file(tmp_path: Path) -> None:
    file = make(tmp_path / "x.log", max_size=4, retain=0)
    file.write(b"ab\ncd\nef\n")
    file.close()
    assert generations(tmp_path / "x.log") == [b"ef\n"]


def test_a_symbolic_link_stays_one_and_rotation_happens_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "x.log").symlink_to(tmp_path / "disk" / "real.log")
    file = make(tmp_path / "x.log", max_size=2)
    file.write(b"a\nb\n")
    file.close()
    assert generations(tmp_path / "disk" / "real.log") == [b"a\n", b"b\n"]
    assert (tmp_path / "x.log").is_symlink()


@pytest.mark.parametrize("away", ["moved", "deleted"])
def test_a_file_that_is_taken_away_is_noticed_within_a_second(tmp_path: Path, away: str) -> None:
    path, clock = tmp_path / "x.log", Clock()
    file = make(path, clock=clock)
    file.write(b"a\n")
    path.rename(tmp_path / "old") if away == "moved" else path.unlink()
    file.write(b"b\n")
    assert not path.exists()
    clock.now += 1.0
    file.write(b"c\n")
    assert path.read_bytes() == b"c\n"
    file.close()


def test_reopen_notices_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    file = make(path, clock=Clock())
    file.write(b"a\n")
    path.rename(tmp_path / "x.log.1")
    file.reopen()
    file.write(b"b\n")
    file.close()
    assert generations(path) == [b"a\n", b"b\n"]


def test_a_rotation_never_moves_a_file_that_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    file = make(path, max_size=4, clock=Clock())
    file.write(b"abc\n")
    path.rename(tmp_path / "old")
    path.write_bytes(b"n\n")
    file.write(b"d\n")
    file.close()
    assert generations(path) == [b"n\nd\n"]


def test_a_file_that_was_truncated_outside_is_not_rotated_early(tmp_path: Path) -> None:
    path, clock = tmp_path / "x.log", Clock()
    file = make(path, max_size=8, clock=clock)
    file.write(b"abc\nabc\n")
    os.truncate(path, 0)
    file.write(b"d\n")
    file.write(b"e\n")
    file.close()
    assert generations(path) == [b"d\ne\n"]


def test_truncate_empties_open_closed_and_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    file = make(path, max_size=4)
    assert file.truncate() is False
    file.write(b"abc\n")
    assert file.truncate() is True
    file.write(b"de\n")
    assert generations(path) == [b"de\n"]
    file.close()
    assert file.truncate() is True
    assert path.read_bytes() == b""
    assert make(Path("/dev/null")).truncate() is False


def test_truncate_empties_the_file_that_has_the_name_now(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    file = make(path, clock=Clock())
    file.write(b"a\n")
    path.rename(tmp_path / "kept")
    assert file.truncate() is False
    assert (tmp_path / "kept").read_bytes() == b"a\n"
    file.write(b"b\n")
    file.close()
    assert path.read_bytes() == b"b\n"


def test_a_full_disk_drops_and_counts_and_tells_twice(tmp_path: Path) -> None:
    path, told = tmp_path / "x.log", list[LogTrouble]()
    file = make(path, on_error=told.append)
    with full_disk(10):
        file.write(b"0123456\n")
        assert not told
        file.write(b"89abcd\n")  # two bytes fit
        file.write(b"efg\n")
    reason = os.strerror(errno.EFBIG)
    assert told == [LogTrouble(str(path), "write", ended=False, reason=reason, dropped_bytes=0)]
    assert file.dropped_bytes == 9
    file.write(b"h\n")
    file.write(b"i\n")
    file.close()
    assert told[1:] == [LogTrouble(str(path), "write", ended=True, reason="", dropped_bytes=9)]
    assert re.fullmatch(rb"0123456\n89\n%sh\ni\n" % marker(9, errno.EFBIG), path.read_bytes())


def test_a_missing_place_is_tried_again_with_each_write(tmp_path: Path) -> None:
    told = list[LogTrouble]()
    (tmp_path / "a").write_bytes(b"a file where a folder should be")
    file = make(tmp_path / "a" / "x.log", on_error=told.append)
    file.write(b"lost\n")
    (tmp_path / "a").unlink()
    file.write(b"kept\n")
    file.close()
    assert re.fullmatch(marker(5, errno.ENOTDIR) + b"kept\n", (tmp_path / "a" / "x.log").read_bytes())
    assert [(trouble.ended, trouble.dropped_bytes) for trouble in told] == [(False, 0), (True, 5)]


def test_a_log_that_cannot_be_rotated_goes_on_and_is_rotated_later(tmp_path: Path) -> None:
    path, clock, told = tmp_path / "x.log", Clock(), list[LogTrouble]()
    (tmp_path / "x.log.1").mkdir()
    file = make(path, max_size=2, retain=1, clock=clock, on_error=told.append)
    for letter in b"abc":
        file.write(b"%c\n" % letter)
    assert path.read_bytes() == b"a\nb\nc\n"
    (tmp_path / "x.log.1").rmdir()
    clock.now += 1.0
    file.write(b"d\n")
    file.close()
    assert generations(path) == [b"a\nb\nc\n", b"d\n"]
    assert [(trouble.kind, trouble.ended) for trouble in told] == [("rotation", False), ("rotation", True)]
    assert file.dropped_bytes == 0


def test_a_rotation_that_was_asked_for_and_failed_comes_later(tmp_path: Path) -> None:
    path, clock = tmp_path / "x.log", Clock()
    (tmp_path / "x.log.1").mkdir()
    file = make(path, max_size=100, retain=1, clock=clock)
    file.write(b"a\n")
    assert file.rotate()
    file.write(b"b\n")
    assert path.read_bytes() == b"a\nb\n"
    (tmp_path / "x.log.1").rmdir()
    clock.now += 1.0
    for letter in b"cd":
        file.write(b"%c\n" % letter)
    file.close()
    assert generations(path) == [b"a\nb\n", b"c\nd\n"]


def test_a_fifo_that_nobody_reads_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    file = make(path, max_size=4)
    file.write(b"lost\n")
    assert file.dropped_bytes == 5
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file.write(b"abc\ndef\n")
    assert re.fullmatch(marker(5, errno.ENXIO) + b"abc\ndef\n", os.read(reader, 1000))
    file.write(bytes(1_000_000))
    assert 0 < file.dropped_bytes - 5 < 1_000_000
    file.close()
    os.close(reader)
