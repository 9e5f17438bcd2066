"""Files that somebody else moves, deletes and truncates."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypm.logs.index import read_index
from pypm.logs.rotation import close_hole, list_generations
from pypm.logs.writer import LogFile


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Road:
    """Bytes on one of the two roads into a file."""

    def __init__(self, file: LogFile, splice: bool) -> None:
        self.file = file
        self.splice = splice
        self.read, self.write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def say(self, data: bytes) -> None:
        if not self.splice:
            self.file.write(data)
            return
        os.write(self.write, data)
        assert self.file.splice(self.read, len(data)) == len(data)

    def close(self) -> None:
        os.close(self.read)
        os.close(self.write)
        self.file.close()


@contextmanager
def road(path: Path, splice: bool, clock: Clock) -> Iterator[Road]:
    made = Road(LogFile(str(path), max_size=0, retain=5, clock=clock), splice)
    yield made
    made.close()


ROADS = pytest.mark.parametrize("splice", [False, True], ids=["write", "splice"])


@ROADS
def test_a_moved_file_is_noticed_within_a_second(tmp_path: Path, splice: bool) -> None:
    path, clock = tmp_path / "x.log", Clock()
    with road(path, splice, clock) as agent:
        agent.say(b"one\n")
        path.rename(tmp_path / "x.log.1")
        agent.say(b"two\n")
        clock.now += 1.0
        agent.say(b"three\n")
    assert (tmp_path / "x.log.1").read_bytes() == b"one\ntwo\n"
    assert path.read_bytes() == b"three\n"
    times = [read_index(file) for file in list_generations(str(path))]
    assert [index.exact for index in times] == [True, True], "the index did not go with its file"


@ROADS
def test_a_moved_file_is_let_go_of_at_once_when_asked(tmp_path: Path, splice: bool) -> None:
    path = tmp_path / "x.log"
    with road(path, splice, Clock()) as agent:
        agent.say(b"one\n")
        path.rename(tmp_path / "moved")
        agent.file.reopen()
        agent.say(b"two\n")
    assert (tmp_path / "moved").read_bytes() == b"one\n"
    assert path.read_bytes() == b"two\n"


@ROADS
def test_a_deleted_file_is_made_anew(tmp_path: Path, splice: bool) -> None:
    path, clock = tmp_path / "x.log", Clock()
    with road(path, splice, clock) as agent:
        agent.say(b"one\n")
        path.unlink()
        clock.now += 1.0
        agent.say(b"two\n")
    assert path.read_bytes() == b"two\n"


@ROADS
def test_copy_and_truncate_leaves_no_hole_and_a_new_index(tmp_path: Path, splice: bool) -> None:
    path, clock = tmp_path / "x.log", Clock()
    with road(path, splice, clock) as agent:
        agent.say(b"one\n" * 5000)
        (tmp_path / "x.log.1").write_bytes(path.read_bytes())
        os.truncate(path, 0)
        clock.now += 1.0
        agent.say(b"two\n")
        assert path.read_bytes() == b"two\n"
        (file,) = [each for each in list_generations(str(path)) if not each.number]
        assert [offset for _, offset, _ in read_index(file).records()] == [0]


@given(st.integers(1, 20_000), st.integers(0, 9_000), st.binary(min_size=1, max_size=9_000))
def test_the_hole_of_a_truncation_in_the_middle_of_a_splice_is_closed(
    tmp_path_factory: pytest.TempPathFactory, offset: int, before: int, rest: bytes
) -> None:
    """``before`` bytes of the splice had been written when it was truncated; ``rest`` came after that."""
    rest = b"." + rest
    path = tmp_path_factory.mktemp("h") / "x"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    os.pwrite(descriptor, rest, offset + before)
    place = close_hole(descriptor, offset, before + len(rest))
    os.close(descriptor)
    assert path.read_bytes() == rest
    assert place + before + len(rest) == len(rest)


def test_a_truncation_while_a_hole_is_closed_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    os.pwrite(descriptor, b"new\n", 5000)

    def write_and_lose(*arguments: Any) -> int:
        count = pwrite(*arguments)
        os.truncate(path, 0)
        return count

    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", write_and_lose)
    assert close_hole(descriptor, 4000, 1004) == -1004
    os.close(descriptor)
    assert path.read_bytes() == b""


def test_a_truncation_in_the_middle_of_the_first_splice_leaves_no_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.log"
    read, write = os.pipe()
    os.write(write, b"a\n" * 5000 + b"b\n" * 5000)
    file = LogFile(str(path), max_size=0, retain=5)
    splice = os.splice

    def splice_in_two(source: int, target: int, count: int, *, offset_dst: int) -> int:
        first = splice(source, target, 10000, offset_dst=offset_dst)
        os.truncate(path, 0)
        return first + splice(source, target, count - first, offset_dst=offset_dst + first)

    monkeypatch.setattr(os, "splice", splice_in_two)
    assert file.splice(read, 1 << 20) == 20000
    assert path.read_bytes() == b"b\n" * 5000
    monkeypatch.undo()
    os.write(write, b"c\n")
    file.splice(read, 1 << 20)
    assert path.read_bytes() == b"b\n" * 5000 + b"c\n"
    file.close()
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("content", [b"\0" * 9000, b"\0abc\n" * 3000, b"\0" * 4095 + b"abc" * 4000])
def test_nul_bytes_that_an_agent_prints_stay(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.log"
    with road(path, True, Clock()) as agent:
        for start in range(0, len(content), 1000):
            agent.say(content[start : start + 1000])
    assert path.read_bytes() == content


def test_a_flood_that_is_truncated_again_and_again_has_no_nul_in_it(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    program = "import os\nb = b'0123456789abcde\\n' * 4096\nfor _ in range(1500): os.write(1, b)"
    read, write = os.pipe2(os.O_CLOEXEC)
    writer = subprocess.Popen([sys.executable, "-c", program], stdout=write)
    os.close(write)
    file = LogFile(str(path), max_size=0, retain=5)
    done, faults, truncations = threading.Event(), list[str](), 0

    def truncate() -> None:
        nonlocal truncations
        while not done.wait(0.001):
            if path.exists() and path.stat().st_size > 300_000:
                os.truncate(path, 0)
                truncations += 1

    thread = threading.Thread(target=truncate)
    thread.start()
    try:
        while moved := file.splice(read, 1 << 20):
            if b"\0" in path.read_bytes()[:1]:
                faults.append(f"a hole after {moved} bytes")
    finally:
        done.set()
        thread.join()
        writer.wait()
        os.close(read)
        file.close()
    assert truncations > 5
    assert b"\0" not in path.read_bytes()
    assert faults == []
