from __future__ import annotations

import contextlib
import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pypm.logs import compress, rotation
from pypm.logs.compress import compress_file
from pypm.logs.compressed import open_plain, zstd_module
from pypm.logs.index import IndexWriter, index_path, read_index
from pypm.logs.inventory import LogRules, take_inventory
from pypm.logs.rotation import Generation, find, generations, put_compressed
from pypm.logs.writer import LogFile

KINDS = ["gzip", pytest.param("zstd", marks=pytest.mark.skipif(zstd_module() is None, reason="no zstd here"))]


def rotated(path: Path, content: bytes, records: list[tuple[int, int, int]]) -> Generation:
    """A rotated file of the log ``path``, with its index."""
    name = f"{path}.1"
    Path(name).write_bytes(content)
    writer = IndexWriter()
    writer.begin(name, os.stat(name).st_ino, 0)
    for record in records:
        writer.note(*record)
    os.utime(name, (50, 50))
    return rotation.list_generations(str(path))[0]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_compressed_is_read_from_any_place_with_its_times(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compress, "MEMBER", 1000)
    content = b"".join(b"line %d\n" % number for number in range(1000))
    plain = rotated(tmp_path / "x.log", content, [(10_000, 0, 7), (20_000, 5_000, 8)])
    partial = f"{plain.path}.{'gz' if kind == 'gzip' else 'zst'}.partial"
    inode = compress_file(plain, partial, kind)
    assert generations(str(tmp_path / "x.log")) == [plain]
    made = put_compressed(plain, partial, inode)
    assert made is not None
    assert generations(str(tmp_path / "x.log")) == [made]
    assert (made.modified, made.number, made.compression) == (plain.modified, 1, kind)
    assert made.size < len(content) / 2
    index = read_index(made)
    assert (index.size, len(index.members())) == (len(content), 9)
    assert list(index.records()) == [(10_000, 0, 7), (20_000, 5_000, 8)]
    assert (index.offset_since(20_500), index.run_ranges(8)) == (5_000, [(5_000, len(content))])
    for offset in (0, 1, 999, 1000, 4321, len(content) - 1, len(content), len(content) + 5):
        with open_plain(made, offset) as file:
            assert file.read() == content[offset:]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_gzip_file_is_one_for_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compress, "MEMBER", 10)
    plain = rotated(tmp_path / "x.log", b"0123456789" * 9, [])
    compress_file(plain, str(tmp_path / "a.gz"), "gzip")
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == b"0123456789" * 9
    assert (tmp_path / "a.gz").stat().st_mode == os.stat(plain.path).st_mode


def test_a_file_that_changes_meanwhile_is_left_alone(tmp_path: Path) -> None:
    plain = rotated(tmp_path / "x.log", b"a\n", [(1_000, 0, 1)])
    partial = f"{plain.path}.gz.partial"
    inode = compress_file(plain, partial, "gzip")
    with open(plain.path, "ab") as file:  # somebody had it open
        file.write(b"b\n")
    assert put_compressed(plain, partial, inode) is None
    assert {entry.name for entry in tmp_path.iterdir()} == {"x.log.1", "x.log.1.index"}
    with pytest.raises(OSError, match="changed"):
        compress_file(plain, partial, "gzip")


def test_it_gets_the_name_that_its_file_has_by_then(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    plain = rotated(path, b"one\n", [(1_000, 0, 1)])
    partial = f"{plain.path}.gz.partial"
    inode = compress_file(plain, partial, "gzip")
    path.write_bytes(b"two\n")
    rotation.shift(str(path), 5)
    put_compressed(plain, partial, inode)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["x.log.1", "x.log.2.gz", "x.log.2.gz.index"]


def test_another_file_of_that_name_is_not_taken_for_ours(tmp_path: Path) -> None:
    plain = rotated(tmp_path / "x.log", b"one\n", [])
    partial = tmp_path / "x.log.1.gz.partial"
    partial.write_bytes(b"half")
    assert put_compressed(plain, str(partial), partial.stat().st_ino + 1) is None
    assert not partial.exists()
    assert Path(plain.path).read_bytes() == b"one\n"


def test_another_file_with_the_inode_of_a_deleted_one_is_not_taken_for_it(tmp_path: Path) -> None:
    deleted = rotated(tmp_path / "x.log", b"one\n", [])
    assert find(deleted) == deleted
    # As if x.log.1 had been deleted, and two rotations later a new one had the number of its inode.
    os.rename(deleted.path, tmp_path / "x.log.2")
    assert find(deleted) == replace(deleted, path=str(tmp_path / "x.log.2"), number=2)
    os.utime(tmp_path / "x.log.2", ns=(0, deleted.modified + 1))
    assert find(deleted) is None


def test_the_program_says_what_it_made_or_why_not(tmp_path: Path) -> None:
    plain = rotated(tmp_path / "x.log", b"one\n", [])
    program = "import sys; from pypm.logs.compress import main; sys.exit(main())"

    def run(target: str) -> tuple[int, str]:
        numbers = (plain.number, plain.size, plain.modified, *plain.identity)
        words = [plain.path, target, "gzip", *map(str, numbers)]
        done = subprocess.run(
            [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout.strip()

    target = f"{plain.path}.gz.partial"
    assert run(target) == (0, str(os.stat(target).st_ino))
    status, text = run(target)
    assert status == 1
    assert "File exists" in text


def test_the_program_finds_the_file_that_was_renamed_before_it_began(tmp_path: Path) -> None:
    plain = rotated(tmp_path / "x.log", b"one\n", [(1_000, 0, 1)])
    (tmp_path / "x.log").write_bytes(b"two\n")
    rotation.shift(str(tmp_path / "x.log"), 5)
    partial = f"{plain.path}.gz.partial"
    made = put_compressed(plain, partial, compress.compress_wherever(plain, partial, "gzip"))
    assert made is not None
    assert made.number == 2
    assert plain_bytes(tmp_path / "x.log") == b"one\ntwo\n"
    assert list(read_index(made).records()) == [(1_000, 0, 1)]


class Killed(BaseException):
    pass


def kill_after(patch: pytest.MonkeyPatch, steps: int) -> None:
    """Let only so many renames and unlinks happen."""
    left = [None] * steps

    def counted(real: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: str) -> None:
            if not left:
                raise Killed
            left.pop()
            real(*arguments)

        return call

    for name in ("rename", "unlink"):
        patch.setattr(rotation.os, name, counted(getattr(os, name)))


def plain_bytes(path: Path) -> bytes:
    """What the log holds, as readers see it."""
    content = b""
    for file in generations(str(path)) or []:
        with open_plain(file) as reader:
            content += reader.read()
    return content


def tidy(path: Path) -> None:
    """What the keeper of a new master does first."""
    found = take_inventory(None, {str(path): LogRules("x", 9)}, ())
    for file in found.doubles:
        rotation.remove(file.path)
    for name in found.unfinished:
        os.unlink(name)
    for base in found.astray:
        rotation.heal_indexes(base)


@given(st.integers(0, 14), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_killed_between_any_two_steps_nothing_is_lost_or_doubled(
    tmp_path_factory: pytest.TempPathFactory, steps: int, lines: int
) -> None:
    """Rotation, compression and deletion, killed after so many steps; then another one goes on."""
    path = tmp_path_factory.mktemp("k") / "x.log"
    written: list[bytes] = []

    def write(file: LogFile, count: int) -> None:
        for _ in range(count):
            line = b"line %d\n" % len(written)
            file.write(line)
            written.append(line)

    def press(file: LogFile) -> None:
        for each in generations(str(path)) or []:
            if each.number and each.compression == "none":
                partial = f"{each.path}.gz.partial"
                put_compressed(each, partial, compress_file(each, partial, "gzip"))

    file = LogFile(str(path), max_size=16, retain=50)
    write(file, 2 * lines)
    with pytest.MonkeyPatch.context() as patch:
        kill_after(patch, steps)
        with contextlib.suppress(Killed):
            press(file)
            write(file, 3)
            press(file)
    file.close()
    assert plain_bytes(path) == b"".join(written)
    tidy(path)
    assert plain_bytes(path) == b"".join(written)
    file = LogFile(str(path), max_size=16, retain=50)
    write(file, 5)
    press(file)
    write(file, 5)
    file.close()
    tidy(path)
    assert plain_bytes(path) == b"".join(written)
    for each in generations(str(path)) or []:
        assert read_index(each).exact or not each.size, f"{each.path} has lost its index"
    names = {entry.name for entry in path.parent.iterdir()}
    assert {name for name in names if not name.endswith(".index")} == {
        os.path.basename(each.path) for each in generations(str(path)) or []
    }
    assert index_path(str(path)) in {str(entry) for entry in path.parent.iterdir()}
