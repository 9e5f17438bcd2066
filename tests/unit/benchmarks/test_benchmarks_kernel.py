"""The kernel's texts about processes, and the lines that came through a log."""

from __future__ import annotations

import os

import pytest

from benchmarks.processes import descendants, parse_rollup, parse_stat
from benchmarks.scenarios.daemon_kill9 import count_ticks
from benchmarks.scenarios.log_throughput import Content, check_lines


def line(number: int) -> bytes:
    return b"%012d " % number + b"x" * 186 + b"\n"


def test_the_name_in_stat_may_hold_brackets_and_spaces() -> None:
    fields = parse_stat("42 (PM2 v7: (God) x) S 17 42 42 0 -1")
    assert fields[:2] == ["S", "17"]


def test_rollup_is_read_in_bytes_and_its_header_is_no_count() -> None:
    text = "5623f3466000-7fff6bdc2000 ---p 00000000 00:00 0    [rollup]\nRss:      1648 kB\nPss:    365 kB\n"
    assert parse_rollup(text) == {"Rss": 1648 * 1024, "Pss": 365 * 1024}


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ([line(0) + line(1), line(2)], Content(distinct=3, repeated=0, pieces=0)),
        ([line(0) + line(1), line(1)], Content(distinct=2, repeated=1, pieces=0)),
        ([line(0)[:50], line(0)[50:] + line(1)], Content(distinct=1, repeated=0, pieces=2)),
        ([line(0) + b"2026-11-22 " + line(1)], Content(distinct=1, repeated=0, pieces=1)),
        ([b""], Content(distinct=0, repeated=0, pieces=0)),
    ],
    ids=["rotated", "twice", "cut", "changed", "empty"],
)
def test_lines_are_counted_as_what_they_are(contents: list[bytes], expected: Content) -> None:
    assert check_lines(contents) == expected


def test_a_root_that_came_from_another_root_counts_once() -> None:
    roots = [os.getppid(), os.getpid(), os.getpid()]
    found = descendants(roots)
    assert found[0] == os.getppid()
    assert found.count(os.getpid()) == 1


def tick(pid: int, number: int) -> bytes:
    return b"tick %d %012d\n" % (pid, number)


def test_lines_that_no_file_has_are_lost_and_those_that_are_there_again_are_doubled() -> None:
    contents = [tick(7, 1) + tick(7, 2) + tick(8, 1)[:9], b"\n" + tick(7, 2) + tick(8, 2)]
    assert count_ticks({7: 2, 8: 2}, contents) == (25.0, 1)
    assert count_ticks({7: 2}, [tick(7, 1) + tick(7, 2)]) == (0.0, 0)
