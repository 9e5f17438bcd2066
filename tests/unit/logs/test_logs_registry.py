from __future__ import annotations

from pathlib import Path

from pypm.logs.registry import LogRegistry
from pypm.logs.writer import LogTrouble


def test_one_file_however_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    registry = LogRegistry()
    one = registry.open(str(tmp_path / "x.log"), 100, 1)
    assert registry.open(str(tmp_path / "link" / "x.log"), 50, 2) is one
    assert (one.users, one.max_size, one.retain) == (2, 50, 2)
    assert registry.open(str(tmp_path / "y.log"), 100, 1) is not one


def test_the_last_user_closes_it(tmp_path: Path) -> None:
    registry = LogRegistry()
    path = tmp_path / "x.log"
    file = registry.open(str(path), 100, 1)
    registry.open(str(path), 100, 1)
    file.write(b"a\n")
    registry.release(file)
    assert registry.files() == [file]
    registry.release(file)
    assert registry.files() == []
    assert registry.open(str(path), 100, 1) is not file


def test_troubles_are_told(tmp_path: Path) -> None:
    told = list[LogTrouble]()
    file = LogRegistry(told.append).open(str(tmp_path), 100, 1)
    file.write(b"a\n")
    assert [trouble.path for trouble in told] == [str(tmp_path)]
