from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypm.logs import listing, reader, spans
from pypm.logs.reader import read_tail, tail
from pypm.logs.rotation import Generation, Position
from pypm.logs.writer import LogFile


def naive_tail(data: bytes, lines: int) -> list[bytes]:
    kept = [line + b"\n" for line in data.split(b"\n")]
    kept[-1] = kept[-1][:-1]
    kept = [line for line in kept if line]
    return kept[-lines:] if lines else []


@given(
    st.lists(st.text("ab\r\n", max_size=30).map(str.encode), max_size=20),
    st.integers(1, 40),
    st.integers(0, 30),
    st.integers(1, 9),
)
def test_the_tail_is_that_of_the_stream(chunks: list[bytes], max_size: int, lines: int, block: int) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans, "BLOCK", block)
        path = f"{folder}/x.log"
        file = LogFile(path, max_size=max_size, retain=1000)
        for chunk in chunks:
            file.write(chunk)
        file.close()
        assert tail(path, lines) == naive_tail(b"".join(chunks), lines)


def test_lines_longer_than_blocks_are_whole(tmp_path: Path) -> None:
    long = [b"%d" % number * 300_000 + b"\n" for number in range(5)]
    (tmp_path / "x.log").write_bytes(b"".join(long))
    assert tail(str(tmp_path / "x.log"), 3) == long[-3:]


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    assert read_tail(str(tmp_path / "x.log"), 5) == reader.Tail([], None)
    assert tail(str(tmp_path / "none" / "x.log"), 5) == []


def test_only_rotated_files(tmp_path: Path) -> None:
    (tmp_path / "x.log.2").write_bytes(b"a\nb\n")
    (tmp_path / "x.log.4").write_bytes(b"0\n")
    assert tail(str(tmp_path / "x.log"), 9) == [b"0\n", b"a\n", b"b\n"]


def test_the_position_is_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"a\nb")
    status = path.stat()
    assert read_tail(str(path), 0).position == Position((status.st_dev, status.st_ino), 3)


def test_a_fifo_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.log")
    assert tail(str(tmp_path / "x.log"), 5) == []


def test_a_rotation_between_listing_and_opening_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "x.log")
    file = LogFile(path, max_size=2, retain=9)
    file.write(b"a\nb\nc\n")
    list_files = reader.files_of

    def rotated_meanwhile(path: str) -> list[Generation]:
        files = list_files(path)
        file.write(b"d\n")
        return files

    monkeypatch.setattr(reader, "files_of", rotated_meanwhile)
    assert tail(path, 9) == [b"a\n", b"b\n", b"c\n"], "what there was, wherever it is by now"
    file.close()


def test_a_log_that_never_holds_still_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"a\n")
    list_all = listing.list_all

    def rotated_meanwhile(paths: list[str]) -> dict[str, list[Generation]]:
        path.rename(tmp_path / "y")  # so that no other file gets its inode
        path.write_bytes(b"a\n")
        return list_all(paths)

    monkeypatch.setattr(listing, "list_all", rotated_meanwhile)
    with pytest.raises(OSError, match="rotated faster"):
        tail(str(path), 1)
