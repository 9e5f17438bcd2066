from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypm.logs import follow
from pypm.logs.follow import Follower
from pypm.logs.history import follow_from
from pypm.logs.listing import files_of
from pypm.logs.reader import read_tail
from pypm.logs.writer import LogFile


class Log:
    """A log that is written and followed."""

    def __init__(self, path: Path, max_size: int = 0, retain: int = 1000) -> None:
        self.path = path
        self.file = LogFile(str(path), max_size=max_size, retain=retain)
        self.follower: Follower[str] = Follower()

    def begin(self) -> None:
        self.follower.add("x", str(self.path), read_tail(str(self.path), 0).position)

    def come(self) -> list[bytes]:
        """All lines that have come."""
        lines: list[bytes] = []
        while polled := self.follower.poll():
            assert {source for source, _ in polled} == {"x"}
            lines += [line for _, chunk in polled for line in chunk.lines]
        return lines

    def close(self) -> None:
        self.file.close()
        self.follower.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "x.log")
    yield log
    log.close()


def compress(path: Path, compressed: Path) -> None:
    """What the log keeper does to a rotated file."""
    status = path.stat()
    with gzip.open(compressed, "wb") as file:
        file.write(path.read_bytes())
    os.utime(compressed, ns=(status.st_atime_ns, status.st_mtime_ns))
    path.unlink()


WRITE = st.text("ab\n", min_size=1, max_size=20).map(str.encode)
LOOK = st.none()


@given(
    st.lists(WRITE, max_size=5), st.lists(WRITE | LOOK, max_size=40), st.integers(1, 30), st.integers(1, 20)
)
def test_every_line_comes_once_and_whole(
    before: list[bytes], steps: list[bytes | None], max_size: int, share: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow, "SHARE", share)
        log = Log(Path(folder, "x.log"), max_size)
        for chunk in before:
            log.file.write(chunk)
        log.begin()
        came: list[bytes] = []
        for step in steps:
            if step is None:
                came += log.come()
            else:
                log.file.write(step)
        came += log.come()
        assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in came)
        came += [line for _, chunk in log.follower.flush() for line in chunk.lines]
        log.close()
        assert b"".join(came) == b"".join(step for step in steps if step is not None)


def test_a_line_comes_when_it_is_complete_or_asked_for(log: Log) -> None:
    log.begin()
    log.file.write(b"one\ntw")
    assert log.come() == [b"one\n"]
    log.file.write(b"o\nthree")
    assert log.come() == [b"two\n"]
    assert [(source, chunk.lines) for source, chunk in log.follower.flush()] == [("x", [b"three"])]
    assert log.follower.flush() == []


def test_a_line_that_has_begun_is_followed_from_its_beginning(log: Log) -> None:
    log.file.write(b"one\ntw")
    log.follower.add("x", str(log.path), follow_from(files_of(str(log.path))))
    log.file.write(b"o\n")
    assert log.come() == [b"two\n"]


def test_a_place_in_a_file_that_is_rotated_at_once(log: Log) -> None:
    log.file.write(b"one\n")
    log.begin()
    log.file.write(b"two\n")
    log.path.rename(log.path.with_name("x.log.1"))
    log.file.reopen()
    log.file.write(b"three\n")
    assert log.come() == [b"two\n", b"three\n"]


def test_a_file_that_is_compressed_while_it_is_read(log: Log) -> None:
    log.file.write(b"one\n")
    log.begin()
    log.file.write(b"two\n")
    compress(log.path, log.path.with_name("x.log.1.gz"))
    log.file.reopen()
    log.file.write(b"three\n")
    assert log.come() == [b"two\n", b"three\n"], "neither missed nor read again from the compressed file"


def test_files_that_were_compressed_before_they_were_read(log: Log) -> None:
    log.file.write(b"one\n")
    log.begin()
    compress(log.path, log.path.with_name("x.log.2.gz"))
    log.file.reopen()
    log.file.write(b"two\n")
    os.utime(log.path, (time.time() + 5, time.time() + 5))
    compress(log.path, log.path.with_name("x.log.1.gz"))
    log.file.reopen()
    assert log.come() == [b"two\n"]
    log.file.write(b"three\n")
    assert log.come() == [b"three\n"]


def test_a_file_that_is_not_there_yet_is_read_from_its_oldest_byte(tmp_path: Path) -> None:
    log = Log(tmp_path / "later" / "x.log", max_size=4)
    log.begin()
    assert log.come() == []
    log.file.write(b"one\ntwo\nthr\n")
    assert log.come() == [b"one\n", b"two\n", b"thr\n"]
    log.close()


def test_deletion_and_creation_anew(log: Log) -> None:
    log.begin()
    log.file.write(b"one\n")
    assert log.come() == [b"one\n"]
    log.path.unlink()
    log.file.write(b"two\n")  # the writer has not noticed yet
    assert log.come() == [b"two\n"]
    log.file.write(b"three\n")
    log.file.reopen()
    log.file.write(b"four\n")
    assert log.come() == [b"three\n", b"four\n"]


def test_moved_away_by_somebody_who_makes_an_empty_file(log: Log) -> None:
    log.begin()
    log.file.write(b"one\n")
    assert log.come() == [b"one\n"]
    log.path.rename(log.path.with_name("x.log-20240101"))
    log.path.touch()
    assert log.come() == []
    log.file.write(b"two\n")
    assert log.come() == [b"two\n"]
    log.file.reopen()
    log.file.write(b"three\n")
    assert log.come() == [b"three\n"]


def test_truncation(log: Log) -> None:
    log.file.write(b"a long line of old\n")
    log.begin()
    log.file.truncate()
    assert log.come() == []
    log.file.write(b"new\n")
    assert log.come() == [b"new\n"]
    log.file.write(b"newer\n")
    log.file.truncate()
    log.file.write(b"last\n")
    assert log.come() == [b"last\n"]


def test_nothing_is_given_twice_when_the_file_was_rotated_out_of_existence(tmp_path: Path) -> None:
    log = Log(tmp_path / "x.log", max_size=2, retain=1)
    log.file.write(b"a\n")
    log.begin()
    log.file.write(b"b\nc\nd\n")
    os.utime(tmp_path / "x.log.1")  # the clock of files is coarse: surely later than "a"
    came = log.come()
    assert came[-1] == b"d\n"
    assert came == sorted(set(came))
    log.close()


def test_an_endless_line_comes_in_pieces(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pypm.logs.lines.LONGEST_PIECE", 10)
    log.begin()
    log.file.write(b"x" * 25)
    assert log.come() == [b"x" * 25]
    log.file.write(b"y\n")
    assert log.come() == [b"y\n"]


def test_a_writer_in_another_process_that_rotates_all_the_time(tmp_path: Path) -> None:
    path, count = str(tmp_path / "x.log"), 30_000
    program = (
        "import sys\nfrom pypm.logs.writer import LogFile\n"
        "file = LogFile(sys.argv[1], max_size=4000, retain=1000)\n"
        "for number in range(int(sys.argv[2])): file.write(b'%d\\n' % number)\n"
    )
    follower: Follower[str] = Follower()
    follower.add("x", path)
    came: list[int] = []
    with subprocess.Popen([sys.executable, "-c", program, path, str(count)]) as process:
        while process.poll() is None:
            came += [int(line) for _, chunk in follower.poll() for line in chunk.lines]
    while polled := follower.poll():
        came += [int(line) for _, chunk in polled for line in chunk.lines]
    follower.close()
    assert came == list(range(count))


def test_several_logs_are_told_apart(tmp_path: Path) -> None:
    follower: Follower[int] = Follower()
    for number in range(3):
        follower.add(number, str(tmp_path / f"{number}.log"))
    (tmp_path / "2.log").write_bytes(b"two\n")
    (tmp_path / "0.log").write_bytes(b"zero\n")
    assert [(source, chunk.lines) for source, chunk in follower.poll()] == [(0, [b"zero\n"]), (2, [b"two\n"])]
    assert follower.poll([0, 1]) == []
    (tmp_path / "1.log").write_bytes(b"one\n")
    assert follower.poll([0, 2]) == []
    assert [chunk.lines for _, chunk in follower.poll([1])] == [[b"one\n"]]
    follower.close()
