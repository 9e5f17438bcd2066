from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from pypm.logs.pump import Pump
from pypm.logs.registry import LogRegistry
from pypm.logs.writer import LogFile


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def own_file(path: Path) -> LogFile:
    return LogFile(str(path), max_size=0, retain=0)


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=30), st.integers(1, 50), st.integers(4, 40))
def test_any_bytes_in_any_chunks_come_out_as_they_went_in(
    chunks: list[bytes], share: int, max_size: int
) -> None:
    with TemporaryDirectory() as folder, pipe() as (reader, writer):
        registry = LogRegistry()
        own = registry.open(f"{folder}/own.log", max_size, 10_000)
        shared = registry.open(f"{folder}/shared.log", 0, 0)
        registry.open(f"{folder}/shared.log", 0, 0)
        pump = Pump(reader, [own, shared])
        for chunk in chunks:
            os.write(writer, chunk)
            assert pump.turn(share) <= share
        pump.drain()
        for file in registry.files():
            file.close()
        rotated = sorted(Path(folder).glob("own.log.*[0-9]"), key=lambda file: -int(file.suffix[1:]))
        files = [*rotated, Path(folder, "own.log")]
        assert b"".join(file.read_bytes() for file in files if file.exists()) == b"".join(chunks)
        both = Path(folder, "shared.log")
        assert (both.read_bytes() if both.exists() else b"") == b"".join(chunks)


def test_nothing_to_read_is_not_the_end(tmp_path: Path) -> None:
    with pipe() as (reader, _):
        pump = Pump(reader, [own_file(tmp_path / "x.log")])
        assert (pump.turn(), pump.drain(), pump.ended) == (0, 0, False)


def test_the_end_is_told() -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    os.write(writer, b"abc")
    os.close(writer)
    pump = Pump(reader, [])
    assert (pump.turn(), pump.ended) == (3, False)
    assert (pump.turn(), pump.ended) == (0, True)
    os.close(reader)


def test_a_turn_and_a_drain_are_bounded(tmp_path: Path) -> None:
    with pipe() as (reader, writer):
        os.write(writer, bytes(50_000))
        pump = Pump(reader, [own_file(tmp_path / "x.log")])
        assert pump.turn(1000) == 1000
        assert pump.drain(40_000) == 40_000
        assert pump.drain() == 9000


def test_last_words_arrive_although_a_child_holds_the_pipe(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'input()'])\n"
        "data = b'line\\n' * 10_000 + b'last words'\n"
        "while data: data = data[os.write(1, data):]\n"
        "os._exit(3)\n"
    )
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    file = own_file(tmp_path / "x.log")
    pump = Pump(reader, [file])
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=writer) as process:
        os.close(writer)
        while process.poll() is None:
            pump.turn()
        pump.drain()
        assert not pump.ended
        assert (tmp_path / "x.log").read_bytes() == b"line\n" * 10_000 + b"last words"
    file.close()
    os.close(reader)


@given(st.lists(st.tuples(st.booleans(), st.text("ab\n", min_size=1, max_size=8)), max_size=40))
def test_streams_that_share_a_file_keep_their_lines_whole(writes: list[tuple[bool, str]]) -> None:
    with TemporaryDirectory() as folder, pipe() as one, pipe() as other:
        registry = LogRegistry()
        pumps = [Pump(end[0], [registry.open(f"{folder}/x.log", 0, 0)]) for end in (one, other)]
        said = ["", ""]
        for which, text in writes:
            text = text.upper() if which else text
            said[which] += text
            os.write((one, other)[which][1], text.encode())
            pumps[which].turn()
        path = Path(folder, "x.log")
        lines = path.read_text().split("\n") if path.exists() else [""]
        assert not [line for line in lines if line.lower() != line != line.upper()]
        assert lines.pop() == ""
        whole = [line for text in said for line in text.split("\n")[:-1]]
        assert sorted(lines) == sorted(whole)
        for pump in pumps:
            pump.close()
        registry.files()[0].close()
        rests = [text.split("\n")[-1] for text in said]
        assert (path.read_text() if path.exists() else "").endswith("".join(rests))


def test_an_endless_line_is_not_held_forever(tmp_path: Path) -> None:
    with pipe() as (reader, writer):
        registry = LogRegistry()
        file = registry.open(str(tmp_path / "x.log"), 0, 0)
        registry.open(str(tmp_path / "x.log"), 0, 0)
        pump = Pump(reader, [file])
        for _ in range(3):
            os.write(writer, b"x" * 30_000)
            pump.turn()
        assert (tmp_path / "x.log").stat().st_size == 90_000
        file.close()


def test_what_was_held_comes_first_when_the_file_is_shared_no_longer(tmp_path: Path) -> None:
    with pipe() as (reader, writer):
        registry = LogRegistry()
        file = registry.open(str(tmp_path / "x.log"), 0, 0)
        registry.open(str(tmp_path / "x.log"), 0, 0)
        pump = Pump(reader, [file])
        os.write(writer, b"abc")
        pump.turn()
        registry.release(file)
        os.write(writer, b"def")
        pump.turn()
        assert (tmp_path / "x.log").read_bytes() == b"abcdef"
        file.close()


def test_a_file_named_twice_gets_the_bytes_once(tmp_path: Path) -> None:
    with pipe() as (reader, writer):
        registry = LogRegistry()
        files = [registry.open(str(tmp_path / "x.log"), 0, 0) for _ in range(2)]
        pump = Pump(reader, files)
        assert pump.files == files[:1]
        os.write(writer, b"once\n")
        pump.turn()
        assert (tmp_path / "x.log").read_bytes() == b"once\n"
        files[0].close()


def test_replacing_files_leaves_nothing_behind(tmp_path: Path) -> None:
    with pipe() as (reader, writer):
        registry = LogRegistry()
        old = registry.open(str(tmp_path / "old.log"), 0, 0)
        registry.open(str(tmp_path / "old.log"), 0, 0)
        new = own_file(tmp_path / "new.log")
        pump = Pump(reader, [old])
        os.write(writer, b"a\nheld")
        pump.turn()
        pump.replace_files([new])
        os.write(writer, b"b\n")
        pump.turn()
        old.close()
        new.close()
        assert (tmp_path / "old.log").read_bytes() == b"a\nheld"
        assert (tmp_path / "new.log").read_bytes() == b"b\n"
