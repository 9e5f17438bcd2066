from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypm.logs import index as index_module
from pypm.logs.compressed import open_plain
from pypm.logs.index import IndexWriter, index_path, read_index, write_index
from pypm.logs.rotation import Generation, generations, heal_indexes, list_generations, shift

RUN = 0x9F3C21AB12CD


def written(path: Path, records: list[tuple[int, int, int]], content: bytes = b"") -> Generation:
    """A log file with an index of these records."""
    path.write_bytes(content)
    writer = IndexWriter()
    writer.begin(str(path), path.stat().st_ino, 0)
    for record in records:
        writer.note(*record)
    return current(path)


def current(path: Path) -> Generation:
    return list_generations(str(path))[-1]


def test_times_are_found_by_offset_and_offsets_by_time(tmp_path: Path) -> None:
    records = [(10_000, 0, RUN), (20_000, 5, RUN), (30_000, 40, 7)]
    index = read_index(written(tmp_path / "x.log", records, bytes(50)))
    assert [index.offset_since(at) for at in (5_000, 10_500, 11_000, 20_900, 21_100)] == [0, 0, 5, 5, 40]
    assert [index.offset_until(at) for at in (5_000, 10_000, 19_999, 20_000, 30_000)] == [0, 5, 5, 40, 50]
    assert [index.time_at(at) for at in (0, 4, 5, 39, 40, 49)] == [
        10_000,
        10_000,
        20_000,
        20_000,
        30_000,
        30_000,
    ]
    assert index.run_ranges(RUN) == [(0, 40)]
    assert index.run_ranges(7) == [(40, 50)]
    assert index.runs() == [RUN, 7]


def test_after_the_last_second_there_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    written(path, [(10_000, 0, 0)], bytes(9))
    os.utime(path, (10, 10))
    index = read_index(current(path))
    assert index.offset_since(11_000) == 9
    os.utime(path, (60, 60))  # there were bytes later, whose record the disk did not take
    assert read_index(current(path)).offset_since(50_000) == 0


@given(
    st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 50)), min_size=1, max_size=40),
    st.integers(0, 99_999),
)
def test_the_search_is_that_of_a_walk(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]], at: int
) -> None:
    records, time, offset = [], 1, 0
    for wait, size in steps:
        records.append((time, offset, 0))
        time, offset = time + wait, offset + size
    path = tmp_path_factory.mktemp("i") / "x.log"
    index = read_index(written(path, records, bytes(offset)))
    assert list(index.records()) == records
    assert index.offset_until(at) == next((begin for t, begin, _ in records if t > at), offset)
    place = at % (offset + 1)
    assert index.time_at(place) == [t for t, begin, _ in records if begin <= place][-1]


def test_times_never_go_back_when_the_clock_does(tmp_path: Path) -> None:
    index = read_index(written(tmp_path / "x.log", [(10_000, 0, 0), (4_000, 5, 0)], bytes(9)))
    assert [record[0] for record in index.records()] == [10_000, 10_000]


def test_a_torn_record_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    generation = written(path, [(10_000, 0, 1)], bytes(9))
    with open(index_path(str(path)), "ab") as file:
        file.write(b"torn")
    assert len(list(read_index(generation).records())) == 1
    again = IndexWriter()
    again.begin(str(path), generation.identity[1], 9)
    assert again.first == 10_000
    again.note(12_000, 9, 2)
    assert list(read_index(generation).records()) == [(10_000, 0, 1), (12_000, 9, 2)]


@pytest.mark.parametrize("content", [b"", b"no index", bytes(48), b"PYPMLIX1" + bytes(40)])
def test_a_broken_index_is_none_and_written_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(bytes(9))
    os.utime(path, (60, 60))
    Path(index_path(str(path))).write_bytes(content)
    index = read_index(current(path))
    assert not index.exact
    assert (index.offset_since(60_000), index.offset_since(60_001), index.offset_until(1)) == (0, 9, 9)
    writer = IndexWriter()
    writer.begin(str(path), path.stat().st_ino, 9)
    writer.note(70_000, 9, 3)
    assert list(read_index(current(path)).records()) == [(70_000, 9, 3)]


def test_the_file_before_tells_when_one_without_index_began(tmp_path: Path) -> None:
    for name, modified in (("x.log.1", 30), ("x.log", 60)):
        (tmp_path / name).write_bytes(b"a\n")
        os.utime(tmp_path / name, (modified, modified))
    before, now = list_generations(str(tmp_path / "x.log"))
    assert read_index(now, before).time_at(1) == 30_000
    assert read_index(now, before).offset_until(29_999) == 0


def test_a_truncated_file_begins_a_new_index(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    generation = written(path, [(10_000, 0, 1), (20_000, 8, 1)], bytes(9))
    writer = IndexWriter()
    writer.begin(str(path), generation.identity[1], 3)
    writer.note(30_000, 3, 2)
    assert list(read_index(generation).records()) == [(30_000, 3, 2)]


def test_a_folder_that_takes_no_index_hurts_nobody(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"")
    os.mkdir(index_path(str(path)))
    writer = IndexWriter()
    writer.begin(str(path), path.stat().st_ino, 0)
    writer.note(1, 0, 0)
    writer.restart()
    assert not read_index(current(path)).exact


def test_indexes_go_with_their_files_and_find_back_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    written(path, [(1_000, 0, 1)], b"one\n")
    shift(str(path), 5)
    written(path, [(2_000, 0, 2)], b"two\n")
    shift(str(path), 5)
    assert [read_index(file).time_at(0) for file in list_generations(str(path))] == [1_000, 2_000]
    os.rename(tmp_path / "x.log.2.index", tmp_path / "y")
    os.rename(tmp_path / "x.log.1.index", tmp_path / "x.log.2.index")
    os.rename(tmp_path / "y", tmp_path / "x.log.1.index")
    (tmp_path / "x.log.7.index").write_bytes(b"PYPMLIX1" + bytes(16))
    assert [read_index(file).time_at(0) for file in list_generations(str(path))] == [1_000, 2_000]
    heal_indexes(str(path))
    assert read_index(list_generations(str(path))[0])._descriptor is not None
    names = sorted(entry.name for entry in tmp_path.iterdir())
    assert names == ["x.log.1", "x.log.1.index", "x.log.2", "x.log.2.index"]
    assert [read_index(file).time_at(0) for file in list_generations(str(path))] == [1_000, 2_000]


def members_of(chunks: list[bytes]) -> tuple[bytes, list[tuple[int, int]]]:
    data, members, plain = b"", [], 0
    for chunk in chunks:
        members.append((plain, len(data)))
        data += gzip.compress(chunk)
        plain += len(chunk)
    return data, [*members, (plain, len(data))]


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("offset", [0, 1, 9, 10, 11, 25, 29, 30, 99])
def test_a_compressed_file_is_read_from_any_place(tmp_path: Path, offset: int, indexed: bool) -> None:
    path = tmp_path / "x.log.1.gz"
    chunks = [b"a" * 10, b"b" * 10, b"c" * 10]
    data, members = members_of(chunks)
    path.write_bytes(data)
    if indexed:
        write_index(index_path(str(path)), path.stat().st_ino, [(5_000, 0, 1)], members)
    (generation,) = generations(str(tmp_path / "x.log")) or []
    assert (generation.compression, generation.base) == ("gzip", str(tmp_path / "x.log"))
    with open_plain(generation, offset) as file:
        assert file.read() == b"".join(chunks)[offset:]
    index = read_index(generation)
    assert index.members() == (members[:-1] if indexed else [])
    assert index.size == (30 if indexed else None)
    assert index.run_ranges(1) == ([(0, 30)] if indexed else [])


def test_only_what_is_before_the_member_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "x.log.1.gz"
    data, members = members_of([b"a" * 10, b"b" * 10])
    path.write_bytes(b"#" * members[1][1] + data[members[1][1] :])  # the first member cannot be decompressed
    write_index(index_path(str(path)), path.stat().st_ino, [], members)
    with open_plain(list_generations(str(tmp_path / "x.log"))[0], 12) as file:
        assert file.read() == b"b" * 8


def test_a_damaged_compressed_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "x.log.1.gz").write_bytes(gzip.compress(b"hello\n" * 99)[:-12])
    with (
        open_plain(list_generations(str(tmp_path / "x.log"))[0]) as file,
        pytest.raises(OSError, match="damaged"),
    ):
        file.read()


def test_what_is_there_twice_is_given_once(tmp_path: Path) -> None:
    for name, modified in (("x.log.2", 5), ("x.log.2.gz", 5), ("x.log.1", 6), ("x.log.1.gz", 7)):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (modified, modified))
    listed = generations(str(tmp_path / "x.log")) or []
    assert [os.path.basename(file.path) for file in listed] == ["x.log.2.gz", "x.log.1", "x.log.1.gz"]


def test_compressed_files_are_counted_and_shifted(tmp_path: Path) -> None:
    for name in ("x.log.1", "x.log.2.gz", "x.log.3.zst"):
        (tmp_path / name).write_text(name)
    (tmp_path / "x.log").write_text("now")
    shift(str(tmp_path / "x.log"), 3)
    left = {entry.name: entry.read_text() for entry in tmp_path.iterdir()}
    assert left == {"x.log.1": "now", "x.log.2": "x.log.1", "x.log.3.gz": "x.log.2.gz"}


def test_an_index_that_is_emptied_while_it_is_opened_is_one_without_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"one\n")
    write_index(index_path(str(path)), path.stat().st_ino, [(1000, 0, 1)], [])
    opened = index_module.open_index

    def open_and_empty(path: str, inode: int) -> int | None:
        descriptor = opened(path, inode)
        os.truncate(path, 0)
        return descriptor

    monkeypatch.setattr(index_module, "open_index", open_and_empty)
    index = read_index(list_generations(str(path))[-1])
    assert (index.exact, index.offset_since(0), index.members()) == (False, 0, [])
