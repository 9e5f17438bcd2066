"""What is read of a log by time, by run and from its end, against the naive answer."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypm.logs import history as history_module
from pypm.logs import lines as lines_module
from pypm.logs import spans as spans_module
from pypm.logs.history import ends_of, follow_from, history, merged
from pypm.logs.index import index_path, write_index
from pypm.logs.lines import read_lines
from pypm.logs.listing import files_of
from pypm.logs.picking import Batch, Query
from pypm.logs.spans import last_lines, whole

T0 = 1_795_364_000_000
"""The time, in Unix milliseconds, when these logs begin."""


class Written:
    """A log with its index, written second by second; generations are closed by ``rotate``."""

    def __init__(self, folder: str) -> None:
        self.path = Path(folder, "x.log")
        self.parts: list[tuple[int, int, bytes]] = []
        """Second, run, line."""
        self._files: list[list[tuple[int, int, bytes]]] = [[]]

    def say(self, second: int, run: int, line: bytes) -> None:
        self.parts.append((second, run, line))
        self._files[-1].append((second, run, line))

    def rotate(self) -> None:
        self._files.append([])

    def finish(self, *, indexed: bool = True, compressed: bool = False) -> None:
        last = 0
        for number, parts in enumerate(reversed(self._files)):
            packed = compressed and number > 0
            path = Path(f"{self.path}.{number}{'.gz' if packed else ''}") if number else self.path
            data = b"".join(line for _, _, line in parts)
            members = write_file(path, data, packed=packed)
            seconds = [second for second, _, _ in parts]
            last = max(seconds, default=last)
            os.utime(path, ns=((T0 + last * 1000) * 1_000_000,) * 2)
            if indexed:
                write_index(index_path(str(path)), path.stat().st_ino, records(parts), members)

    def after(self, since: int, until: int = 1 << 40) -> list[bytes]:
        return [line for second, _, line in self.parts if since <= second <= until]


def write_file(path: Path, data: bytes, *, packed: bool) -> list[tuple[int, int]]:
    """Write a file, a compressed one in two members; gives where these begin, and the end."""
    if not packed:
        path.write_bytes(data)
        return []
    half = len(data) // 2
    first, second = gzip.compress(data[:half]), gzip.compress(data[half:])
    path.write_bytes(first + second)
    return [(0, 0), (half, len(first)), (len(data), len(first) + len(second))]


def records(parts: Sequence[tuple[int, int, bytes]]) -> list[tuple[int, int, int]]:
    """A record when the second or the run has changed."""
    found: list[tuple[int, int, int]] = []
    offset = 0
    for second, run, line in parts:
        time = T0 + second * 1000
        if not found or (found[-1][0], found[-1][2]) != (time, run):
            found.append((time, offset, run))
        offset += len(line)
    return found


def lines_of(path: Path, query: Query = Query(), lines: int | None = None) -> list[bytes]:  # noqa: B008
    found = history(whole(files_of(str(path))), query, lines)
    return [line for batch in found for line in batch.lines]


STEP = st.tuples(st.integers(0, 3), st.integers(0, 1), st.binary(max_size=6), st.booleans())


@settings(max_examples=150)
@given(
    st.lists(STEP, max_size=30),
    st.integers(-1, 40),
    st.integers(0, 40),
    st.integers(1, 30),
    st.booleans(),
)
def test_what_a_time_and_a_number_of_lines_ask_for(
    steps: list[tuple[int, int, bytes, bool]], since: int, length: int, lines: int, compressed: bool
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans_module, "BLOCK", 7)
        patch.setattr(history_module, "FIRST_LOOK", 9)
        log = Written(folder)
        second, run = 0, 1
        for number, (pause, change, text, rotates) in enumerate(steps):
            second, run = second + pause, run + change
            log.say(second, run, b"%d " % number + text.replace(b"\n", b"") + b"\n")
            if rotates:
                log.rotate()
        log.finish(compressed=compressed)
        everything = [line for _, _, line in log.parts]
        assert lines_of(log.path) == everything
        assert lines_of(log.path, Query(), lines) == everything[-lines:]
        query = Query(since=T0 + since * 1000, until=T0 + (since + length) * 1000)
        # The bytes after a record came within its second or at its end: one more second may be shown.
        shown = lines_of(log.path, query)
        asked = log.after(since, since + length)
        assert [line for line in shown if line in asked] == asked
        assert set(shown) <= set(log.after(since - 1, since + length))
        assert lines_of(log.path, query, lines) == shown[-lines:]
        odd = re.compile(rb"^\d*[13579] ")
        matching = [line for line in everything if odd.search(line)]
        assert lines_of(log.path, Query(patterns=(odd,)), lines) == matching[-lines:]
        for each in range(1, run + 1):
            of_run = [line for _, number, line in log.parts if number == each]
            assert lines_of(log.path, Query(run=f"{each:012x}")) == of_run


def test_a_run_begins_in_the_middle_of_a_line(tmp_path: Path) -> None:
    log = Written(str(tmp_path))
    log.say(0, 1, b"one\ntail of one")
    log.say(1, 2, b"head of two\ntwo\n")
    log.finish()
    assert lines_of(log.path, Query(run=f"{1:012x}")) == [b"one\n", b"tail of one"]
    assert lines_of(log.path, Query(run=f"{2:012x}")) == [b"head of two\n", b"two\n"]


def test_a_line_is_of_the_time_when_it_began(tmp_path: Path) -> None:
    log = Written(str(tmp_path))
    log.say(0, 1, b"first\nbegun early, ")
    log.say(10, 1, b"ended late\nsecond\n")
    log.finish()
    assert lines_of(log.path, Query(since=T0 + 9000)) == [b"second\n"]
    assert lines_of(log.path, Query(until=T0 + 5000)) == [b"first\n", b"begun early, ended late\n"]


def test_files_that_were_not_written_to_since_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Written(str(tmp_path))
    for number in range(50):
        log.say(number * 60, 1, b"%d\n" % number)
        log.rotate()
    log.finish()
    opened: list[str] = []
    open_plain = spans_module.open_plain
    monkeypatch.setattr(
        spans_module, "open_plain", lambda file, offset: opened.append(file.path) or open_plain(file, offset)
    )
    assert lines_of(log.path, Query(since=T0 + 47 * 60_000)) == [b"47\n", b"48\n", b"49\n"]
    assert len(opened) == 3
    opened.clear()
    assert lines_of(log.path, Query(), 2) == [b"48\n", b"49\n"]
    assert len(set(opened)) <= 4


@pytest.mark.parametrize("compressed", [False, True])
def test_without_an_index_the_times_of_files_are_bounds(tmp_path: Path, compressed: bool) -> None:
    log = Written(str(tmp_path))
    for number in range(4):
        log.say(number * 60, 1, b"%d\n" % number)
        log.rotate()
    log.finish(indexed=False, compressed=compressed)
    assert lines_of(log.path, Query(since=T0 + 100_000)) == [b"2\n", b"3\n"]
    assert lines_of(log.path, Query(until=T0 + 55_000)) == [b"0\n", b"1\n"], "1 may have come since 0"
    assert lines_of(log.path, Query(), 2) == [b"2\n", b"3\n"]
    assert lines_of(log.path, Query(run=f"{1:012x}")) == []


def test_records_are_chosen_by_their_own_times_and_runs(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(
        b"2026-11-22T16:23:41.000Z out 9f3c21ab12cd one\n"
        b"2026-11-22T16:23:42.598Z err 9f3c21ab12cd two\n"
        b"plain\n"
        b"2026-11-22T16:23:42.599Z out 111111111111 three\n"
    )
    query = Query(since=1795364622598, recorded=True)
    found = [batch for batch in history(whole(files_of(str(path))), query, None) if batch.exact]
    assert found == [
        Batch([b"two\n"], 1795364622598, True, "9f3c21ab12cd", "error"),
        Batch([b"three\n"], 1795364622599, True, "111111111111", "out"),
    ]
    assert lines_of(path, Query(run="9f3c21ab12cd", recorded=True)) == [b"one\n", b"two\n"]
    assert lines_of(path, Query(run="9f3c21ab12cd", recorded=True), 1) == [b"two\n"]
    assert lines_of(path, Query(run="9f3c21ab12cd")) == [], "the index would tell it, were there one"
    raw = lines_of(path, Query(run="111111111111", recorded=True, raw=True))
    assert raw == [b"2026-11-22T16:23:42.599Z out 111111111111 three\n"]


def test_the_last_failures(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    traceback = b"Traceback (most recent call last):\n  File\nValueError: %d\n"
    path.write_bytes(b"".join(b"x\n" * 99 + traceback % number for number in range(9)))
    found = list(history(whole(files_of(str(path))), Query(errors=True), 2))
    assert [b"".join(batch.lines) for batch in found] == [traceback % 7, traceback % 8]
    only = Query(errors=True, patterns=(re.compile(b"ValueError: 3"),))
    assert [b"".join(batch.lines) for batch in history(whole(files_of(str(path))), only, 2)] == [
        traceback % 3
    ]


def test_logs_are_merged_by_time() -> None:
    one = [Batch([b"a"], 1), Batch([b"b"], 5), Batch([b"c"], 3), Batch([b"d"], 7)]
    two = [Batch([b"A"], 1), Batch([b"B"], 4), Batch([b"C"], 6)]
    found = list(merged([("one", iter(one)), ("two", iter(two))]))
    assert b"".join(batch.lines[0] for _, batch in found) == b"aABbcCd", "a log's own order is kept"
    assert [source for source, _ in found[:2]] == ["one", "two"]


def test_following_begins_at_the_line_that_has_not_ended(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    assert follow_from(files_of(str(path))) is None
    path.write_bytes(b"one\ntwo")
    files = files_of(str(path))
    position = follow_from(files)
    assert position is not None
    assert position.offset == 4
    assert [line for chunk in read_lines(ends_of(files, position)) for line in chunk.lines] == [b"one\n"]


def test_a_line_without_an_end_is_given_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    with path.open("wb") as file:
        file.truncate(8 * 1024 * 1024)
    pieces = [line for chunk in read_lines(last_lines(whole(files_of(str(path))), 1)) for line in chunk.lines]
    assert sum(map(len, pieces)) == 8 * 1024 * 1024
    assert max(map(len, pieces)) <= lines_module.LONGEST_PIECE + lines_module.BLOCK


def test_a_file_that_is_deleted_meanwhile_is_left_out(tmp_path: Path) -> None:
    log = Written(str(tmp_path))
    for number in range(3):
        log.say(number, 1, b"%d\n" % number)
        log.rotate()
    log.finish()
    spans = whole(files_of(str(log.path)))
    Path(f"{log.path}.2").unlink()
    Path(f"{log.path}.1").rename(f"{log.path}.7")
    assert [line for chunk in read_lines(spans) for line in chunk.lines] == [b"0\n", b"2\n"]


def test_what_is_before_and_behind_the_damage_in_a_rotated_file_is_read(tmp_path: Path) -> None:
    """What it has cut is not joined with the first line of the next file."""
    log = Written(str(tmp_path))
    for number in range(3):
        for line in range(3000):
            log.say(number, 1, b"%d %d\n" % (number, line))
        if number < 2:
            log.rotate()
    log.finish(compressed=True)
    damaged = Path(f"{log.path}.1.gz")
    data = damaged.read_bytes()
    damaged.write_bytes(data[: len(data) * 2 // 3])
    told: list[OSError] = []
    batches = history(whole(files_of(str(log.path))), Query(), None, on_unreadable=told.append)
    lines = [line for batch in batches for line in batch.lines]
    assert {error.filename for error in told} == {str(damaged)}
    said = log.after(0)
    assert lines[:3000] + lines[-3000:] == said[:3000] + said[-3000:]
    rest = lines[3000:-3000]
    assert len(rest) < 3000
    assert rest[:-1] == said[3000:][: max(len(rest) - 1, 0)]
