from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from pypm.logs.listing import base_of, files_of, files_of_all
from pypm.logs.reader import tail


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("x.log.1", "x.log"),
        ("x.log.12345.gz", "x.log"),
        ("x.log.2.zst", "x.log"),
        ("x.log-20261122", "x.log"),
        ("x.log-20261122.gz", "x.log"),
        ("x.log-2026112214", "x.log"),
        ("x.log-20261122-1795343400.gz", "x.log"),
        ("x-20261122.log", "x.log"),
        ("x-20261122.log.gz", "x.log"),
        ("x.log.2026-11-22", "x.log"),
        ("app-out__2026-11-22_00-00-00.log", "app-out.log"),
        ("app-out__2026-11-22_00-00-00.log.gz", "app-out.log"),
        ("app-out-0__2026-11-22_00-00-00.log", "app-out-0.log"),
        ("x.log", None),
        ("x.log.index", None),
        ("x.log.1.index", None),
        ("x.log.1.gz.index", None),
        ("x.log.01", None),
        ("x.log.123456", None),
        ("x-0.log", None),
        ("x.log.1.gz.partial", None),
        ("x.log-20261122.index", "x.log.index"),
    ],
)
def test_names_that_tell_a_rotated_file(name: str, base: str | None) -> None:
    assert base_of(name) == base


def write(path: Path, data: bytes, modified: int) -> None:
    with gzip.open(path, "wb") if path.suffix == ".gz" else path.open("wb") as file:
        file.write(data)
    os.utime(path, (modified, modified))


def test_what_logrotate_leaves(tmp_path: Path) -> None:
    write(tmp_path / "x.log.2.gz", b"1\n2\n", 200)
    write(tmp_path / "x.log.1", b"3\n4\n", 300)
    write(tmp_path / "x.log", b"5\n", 400)
    write(tmp_path / "other.log.1", b"other\n", 250)
    assert tail(str(tmp_path / "x.log"), 9) == [b"%d\n" % number for number in range(1, 6)]
    assert tail(str(tmp_path / "x.log"), 4) == [b"%d\n" % number for number in range(2, 6)]


def test_what_logrotate_leaves_with_dates(tmp_path: Path) -> None:
    write(tmp_path / "x.log-20261120.gz", b"1\n", 200)
    write(tmp_path / "x.log-20261121", b"2\n", 300)
    write(tmp_path / "x.log", b"3\n", 400)
    assert tail(str(tmp_path / "x.log"), 9) == [b"1\n", b"2\n", b"3\n"]
    assert files_of(str(tmp_path / "x.log"))[-1].number == 0


def test_what_pm2_logrotate_leaves_before_and_pypm_after(tmp_path: Path) -> None:
    write(tmp_path / "a-out__2026-11-20_00-00-00.log", b"1\n", 100)
    write(tmp_path / "a-out__2026-11-21_00-00-00.log", b"2\n", 200)
    write(tmp_path / "a-out.log.1", b"3\n", 300)
    write(tmp_path / "a-out.log", b"4\n", 400)
    assert tail(str(tmp_path / "a-out.log"), 9) == [b"1\n", b"2\n", b"3\n", b"4\n"]


def test_dated_files_alone(tmp_path: Path) -> None:
    write(tmp_path / "x.log-20261121", b"2\n", 300)
    write(tmp_path / "x.log-20261120", b"1\n", 200)
    assert tail(str(tmp_path / "x.log"), 9) == [b"1\n", b"2\n"]


def test_a_file_that_is_there_plain_and_compressed_is_read_once(tmp_path: Path) -> None:
    write(tmp_path / "x.log.1", b"1\n", 300)
    write(tmp_path / "x.log.1.gz", b"1\n", 300)
    write(tmp_path / "x.log", b"2\n", 400)
    assert tail(str(tmp_path / "x.log"), 9) == [b"1\n", b"2\n"]


def test_many_logs_in_the_order_in_which_they_are_asked_for(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("z.log", "a.log", "none.log", "m/m.log")]
    (tmp_path / "m").mkdir()
    for path in (*paths[:2], paths[3], f"{paths[0]}.1", f"{paths[3]}.7"):
        write(Path(path), b"x\n", 100)
    found = files_of_all(paths)
    assert list(found) == paths
    assert [len(files) for files in found.values()] == [2, 1, 0, 2]
    assert [file.path for file in found[paths[3]]] == [f"{paths[3]}.7", paths[3]]


def test_the_files_of_a_link_are_those_beside_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    write(tmp_path / "real" / "x.log", b"2\n", 200)
    write(tmp_path / "real" / "x.log.1", b"1\n", 100)
    (tmp_path / "link.log").symlink_to(tmp_path / "real" / "x.log")
    assert tail(str(tmp_path / "link.log"), 9) == [b"1\n", b"2\n"]
