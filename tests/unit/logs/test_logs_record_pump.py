"""The pump of records: every byte once, whatever it is cut by, also when it dies after any system call."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypm.logs import carry as carry_module
from pypm.logs.carry import Carry, CarryError, MemoryCarry
from pypm.logs.parse import parse_record
from pypm.logs.record_pump import RecordPump, Settings
from pypm.logs.records import Framing
from pypm.logs.writer import LogFile

RUN, NEXT_RUN = "9f3c21ab12cd", "0123456789ab"


def settings(form: str = "text", run: str = RUN, **keys) -> Settings:
    return Settings(Framing(form, "out", 3, "a", run, keys.pop("max_line", 100), **keys))


def log_file(folder: str | Path, name: str = "own.log", max_size: int = 0, **keys) -> LogFile:
    return LogFile(f"{folder}/{name}", max_size=max_size, retain=keys.pop("retain", 10_000), **keys)


def content(folder: str | Path, name: str = "own.log") -> bytes:
    """All that was written: the rotated files from the oldest on, then the current one."""
    numbered = [each for each in Path(folder).glob(f"{name}.[1-9]*") if each.suffix[1:].isdigit()]
    files = [*sorted(numbered, key=lambda each: -int(each.suffix[1:])), Path(folder, name)]
    return b"".join(each.read_bytes() for each in files if each.exists())


def said(records: bytes) -> bytes:
    """The agent's bytes; what is no record is as it is."""
    told = b""
    for line in records.split(b"\n")[:-1]:
        record = parse_record(line + b"\n")
        if record is None:
            told += line + b"\n"
        else:
            told = (told[:-1] if record.continued else told) + record.message
    return told


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


@given(
    st.lists(st.binary(min_size=1, max_size=150), max_size=30),
    st.integers(1, 90),
    st.integers(150, 900),
    st.sampled_from([Carry, MemoryCarry]),
    st.sampled_from(["text", "json"]),
)
def test_any_bytes_in_any_chunks_through_any_rotation(chunks, share, max_size, make_carry, form):
    with TemporaryDirectory() as folder, pipe() as (reader, writer):
        own, both = log_file(folder, max_size=max_size), log_file(folder, "both.log")
        carry = make_carry()
        pump = RecordPump(reader, [own, both], settings(form), carry)
        for chunk in chunks:
            os.write(writer, chunk)
            assert pump.turn(share) <= share
        pump.drain()
        for each in (own, both, carry):
            each.close()
        whole = b"".join(chunks)
        expected = whole if whole.endswith(b"\n") or not whole else whole + b"\n"
        # A line that was drained and then ended has an empty continuation; one newline stands for both.
        assert said(content(folder)) == said(content(folder, "both.log")) == expected


@given(st.lists(st.binary(min_size=1, max_size=150), max_size=30), st.integers(1, 90))
def test_whole_lines_are_the_same_bytes(chunks, share):
    with TemporaryDirectory() as folder, pipe() as (reader, writer), closing(Carry()) as carry:
        file = log_file(folder, max_size=200)
        pump = RecordPump(reader, [file], settings("lines"), carry)
        said = b""
        for chunk in chunks:
            os.write(writer, chunk)
            said += chunk
            while pump.turn(share):
                pass
            written = content(folder)
            assert said.startswith(written)
            assert b"\n" not in said[len(written) :]
        pump.begin_run(settings("lines", NEXT_RUN))
        file.close()
        assert content(folder) == said


# --- death ---


class DeathError(BaseException):
    """The process is gone."""


CALLS = ("splice", "pwrite", "lseek", "ftruncate", "write", "rename", "open", "truncate")


@contextmanager
def mortal(monkeypatch: pytest.MonkeyPatch, lives: int, *, torn: bool) -> Iterator[Callable[[], bool]]:
    """Death after so many system calls; with ``torn``, the last write is cut short. Gives whether it came."""
    left = lives

    def wrap(real: Callable[..., object], name: str) -> Callable[..., object]:
        def call(*arguments: object, **keys: object) -> object:
            nonlocal left
            left -= 1
            if left == 0 and torn and name == "write":
                arguments = (arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])  # type: ignore[index,arg-type]
            if left <= 0:
                with suppress(BlockingIOError):
                    real(*arguments, **keys)
                raise DeathError
            return real(*arguments, **keys)

        return call

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, wrap(getattr(os, name), name))
        yield lambda: left <= 0


LINES = b"".join(b"%d %s\n" % (number, b"x" * (number * 37 % 120)) for number in range(20))


def live(folder: str, reader: int, descriptor: int, feed: Iterator[bytes], writer: int, form: str) -> None:
    """One life of a master: take over what is there, and go on."""
    files = [log_file(folder, max_size=1000), log_file(folder, "both.log")]
    carry = Carry(descriptor)
    try:
        known = msgspec.msgpack.decode(carry.settings, type=Settings) if carry.settings else settings(form)
        pump = RecordPump(reader, files, known, carry, clock=lambda: 1_700_000_000.5)
        pump.recover()
        pump.turn()
        for chunk in feed:
            real_write(writer, chunk)
            pump.turn()
        pump.drain()
    finally:
        os.close(descriptor)
        for file in files:
            file.close()


real_write = os.write


@pytest.mark.parametrize(
    ("torn", "second", "form"),
    [
        *((False, 2, "text"), (True, 6, "text"), (False, 9, "text"), (False, 12, "text"), (True, 15, "text")),
        *((False, 9, "lines"), (True, 12, "lines")),
    ],
)
def test_death_after_any_system_call_loses_and_doubles_nothing(monkeypatch, torn, second, form):
    monkeypatch.setattr(carry_module, "COMPACT", 300)
    sizes = [1, 2, 150, 3, 700, 90, 11, 400]
    died = True
    lives = 0
    while died:
        lives += 1
        with TemporaryDirectory() as folder, pipe() as (reader, writer):
            keeper = Carry()
            feed = pieces(LINES, sizes)
            with mortal(monkeypatch, lives, torn=torn) as is_dead:
                with suppress(DeathError):
                    live(folder, reader, os.dup(keeper.descriptor), feed, writer, form)
                died = is_dead()
            with mortal(monkeypatch, second, torn=torn), suppress(DeathError):
                live(folder, reader, os.dup(keeper.descriptor), feed, writer, form)
            live(folder, reader, os.dup(keeper.descriptor), feed, writer, form)
            keeper.close()
            for name in ("own.log", "both.log"):
                assert said(content(folder, name)) == LINES, f"{name} after {lives} calls"
    assert lives > 50


def pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    place = number = 0
    while place < len(data):
        size = sizes[number % len(sizes)]
        yield data[place : place + size]
        place, number = place + size, number + 1


# --- changes of the form ---


def test_a_change_of_form_holds_from_the_next_line_on(tmp_path):
    with pipe() as (reader, writer):
        pump = RecordPump(reader, [log_file(tmp_path)], settings(), MemoryCarry())
        os.write(writer, b"a\nbegun ")
        pump.turn()
        pump.reframe(settings("json"))
        os.write(writer, b"ended\n" + b"x" * 101)
        pump.turn()
        pump.reframe(settings())
        os.write(writer, b"y\nz\nrest")
        pump.turn()
        pump.reframe(settings("raw"))
        assert pump.is_done
        os.write(writer, b"of it")
        pump.turn()
    lines = content(tmp_path).split(b"\n")
    assert [line[:1] for line in lines] == [b"2", b"{", b"{", b"{", b"2", b"r"]
    assert lines[-1] == b"restof it"
    assert said(b"\n".join(lines[:-1]) + b"\n") == b"a\nbegun ended\n" + b"x" * 101 + b"y\nz\n"


def test_what_waits_when_the_raw_form_is_asked_for_in_the_middle_of_a_split_line(tmp_path):
    with pipe() as (reader, writer):
        pump = RecordPump(reader, [log_file(tmp_path)], settings(), MemoryCarry())
        os.write(writer, b"x" * 250)
        pump.turn()
        pump.reframe(settings("raw"))
        assert not pump.is_done
        os.write(writer, b"y\nraw")
        pump.turn()
        assert pump.is_done
    records, raw = content(tmp_path).rsplit(b"\n", 1)
    assert (said(records + b"\n"), raw) == (b"x" * 250 + b"y\n", b"raw")


def test_a_new_run_begins_a_new_line(tmp_path):
    (tmp_path / "own.log").write_bytes(b"without end")
    with pipe() as (reader, writer):
        pump = RecordPump(reader, [log_file(tmp_path)], settings(), MemoryCarry())
        pump.begin_run(settings())
        os.write(writer, b"last words")
        pump.begin_run(settings(run=NEXT_RUN))
        os.write(writer, b"first words\n")
        pump.turn()
    first, *records = content(tmp_path).splitlines()
    assert first == b"without end"
    parsed = [parse_record(record) for record in records]
    assert [(each.run, each.continued, each.message) for each in parsed] == [
        (RUN, False, b"last words"),
        (NEXT_RUN, False, b"first words"),
    ]


def test_a_line_that_was_begun_without_a_frame_ends_without_one(tmp_path):
    (tmp_path / "own.log").write_bytes(b"beg")
    with pipe() as (reader, writer):
        pump = RecordPump(reader, [log_file(tmp_path)], settings(), MemoryCarry())
        pump.go_on_verbatim()
        for chunk in (b"in", b"ning\nx\n"):
            os.write(writer, chunk)
            pump.turn()
    assert content(tmp_path).startswith(b"beginning\n2")
    assert said(content(tmp_path)) == b"beginning\nx\n"


# --- a disk that takes nothing ---


def test_a_file_that_blocks_holds_up_the_next_one_and_nothing_is_lost(tmp_path, monkeypatch):
    full = True
    write = os.write

    def refusing(descriptor: int, data: bytes) -> int:
        if full and os.readlink(f"/proc/self/fd/{descriptor}").endswith("own.log"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    with pipe() as (reader, writer):
        files = [log_file(tmp_path, on_full="block"), log_file(tmp_path, "both.log")]
        carry = Carry()
        pump = RecordPump(reader, files, settings(), carry)
        os.write(writer, b"one\ntwo\n")
        monkeypatch.setattr(os, "write", refusing)
        pump.turn()
        assert pump.blocked
        assert (pump.turn(), pump.drain(), pump.retry()) == (0, 0, 0)
        # Whoever took over now would know what is missing.
        other = Carry(os.dup(carry.descriptor))
        assert other.intent is not None
        assert (other.intent.file, other.intent.missing, other.waiting) == (0, other.intent.length, 8)
        full = False
        write(writer, b"three\n")
        assert pump.retry() == 6
        assert said(content(tmp_path)) == said(content(tmp_path, "both.log")) == b"one\ntwo\nthree\n"
        for closing in (other, carry):
            closing.close()


# --- another one goes on ---


def test_another_process_learns_all_from_the_carry(tmp_path):
    with pipe() as (reader, writer):
        carry = Carry()
        first = RecordPump(reader, [log_file(tmp_path)], settings(secrets=(b"hunter22",)), carry)
        os.write(writer, b"x\nmy hunt")
        first.turn()
        taken = Carry(os.dup(carry.descriptor))
        known = msgspec.msgpack.decode(taken.settings, type=Settings)
        assert known.paths == (f"{tmp_path}/own.log",)
        second = RecordPump(reader, [log_file(tmp_path)], known, taken)
        second.recover()
        os.write(writer, b"er22 is\nand")
        second.turn()
        first.resume()
        os.write(writer, b" more\n")
        first.turn()
        for closing in (taken, carry):
            closing.close()
    assert said(content(tmp_path)) == b"x\nmy *** is\nand more\n"


def test_a_folder_that_may_not_be_looked_at_keeps_nobody_from_going_on(tmp_path, monkeypatch):
    def refuse(*_: object) -> object:
        raise PermissionError

    with pipe() as (reader, writer), closing(Carry()) as carry:
        file = log_file(tmp_path)
        pump = RecordPump(reader, [file], settings("lines"), carry)
        os.write(writer, b"line\n")
        with monkeypatch.context() as patch:
            patch.setattr(carry, "consume", refuse)
            with suppress(PermissionError):  # the last master was killed behind its write
                pump.turn()
        monkeypatch.setattr("pypm.logs.record_pump.generations", refuse)
        RecordPump(reader, [file], settings("lines"), carry).recover()
        file.close()
    assert content(tmp_path) == b"line\n" * 2


def test_what_is_no_carry_or_torn_is_told():
    file = os.memfd_create("other")
    with pytest.raises(CarryError):
        Carry(file)
    os.close(file)
    carry = Carry()
    carry.keep_settings(b"abc")
    os.pwrite(carry.descriptor, b"x", 4096 + 9)
    torn = Carry(os.dup(carry.descriptor))
    assert torn.settings is None
    with pytest.raises(OSError, match="too long"):
        carry.keep_settings(bytes(70_000))
    for each in (torn, carry):
        each.close()


def test_memory_of_what_is_consumed_is_given_back():
    with pipe() as (reader, writer):
        carry = Carry()
        for _ in range(100):
            os.write(writer, bytes(60_000))
            carry.fill(reader, 100_000)
            carry.consume(carry.waiting, 0)
        os.write(writer, b"x")
        carry.fill(reader, 100_000)
        assert os.fstat(carry.descriptor).st_blocks * 512 < 300_000
        assert carry.read() == b"x"
        carry.close()
