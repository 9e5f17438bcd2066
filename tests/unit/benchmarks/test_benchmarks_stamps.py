"""What the agents say about their main(), read from the file that they share."""

from __future__ import annotations

import struct
from pathlib import Path

from benchmarks.stamps import Stamp, StampFile, parse_stamps


def record(nanoseconds: int, pid: int, key: int) -> bytes:
    return struct.pack("<qii", nanoseconds, pid, key)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_records_are_parsed_in_order() -> None:
    data = record(1 << 60, 17, 0) + record(5, 18, 3)
    assert parse_stamps(data) == [Stamp(1 << 60, 17, 0), Stamp(5, 18, 3)]


def test_an_unfinished_record_is_left_for_the_next_read(tmp_path: Path) -> None:
    path = tmp_path / "stamps"
    stamps = StampFile(path)
    whole = record(7, 8, 9)
    append(path, whole + whole[:5])
    assert stamps.read_new() == [Stamp(7, 8, 9)]
    append(path, whole[5:])
    assert stamps.read_new() == [Stamp(7, 8, 9)]
    assert stamps.read_new() == []


def test_waiting_for_keys_gives_the_first_stamp_of_each(tmp_path: Path) -> None:
    stamps = StampFile(tmp_path / "stamps")
    append(stamps.path, record(1, 10, 0) + record(2, 11, 0) + record(3, 12, 1))
    assert stamps.wait_for_keys(2, timeout=10) == {0: Stamp(1, 10, 0), 1: Stamp(3, 12, 1)}


def test_waiting_ends_with_what_there_is(tmp_path: Path) -> None:
    stamps = StampFile(tmp_path / "stamps")
    append(stamps.path, record(1, 10, 0))
    assert stamps.wait_for_keys(2, timeout=0) == {0: Stamp(1, 10, 0)}
