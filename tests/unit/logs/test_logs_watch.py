"""Waiting for changes, by the kernel's notices and without them."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from pypm.logs import watch as watch_module
from pypm.logs.inotify import Notices
from pypm.logs.watch import LogWatch

LONG = 30.0
"""Seconds: a change ends the wait at once, and only a fault makes it last so long."""


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[LogWatch]:
    monkeypatch.setattr(watch_module, "LOOK_ANYWAY", LONG)
    watch = LogWatch()
    assert watch.reason is None, "this machine has inotify"
    yield watch
    watch.close()


def told(watch: LogWatch) -> Collection[str]:
    """What has changed since the last time; nothing, if nothing has."""
    changed = watch.wait(0)
    assert changed is not None
    return changed


def test_a_change_ends_the_wait(watch: LogWatch, tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"a\n")
    watch.add(str(path))
    assert told(watch) == set()
    with path.open("ab") as file:
        file.write(b"b\n")
    assert watch.wait(LONG) == {str(path)}
    assert told(watch) == set()


def test_what_happens_to_a_file(watch: LogWatch, tmp_path: Path) -> None:
    path, other = tmp_path / "x.log", tmp_path / "other.log"
    path.write_bytes(b"a\n")
    other.write_bytes(b"")
    watch.add(str(path))
    file = path.open("ab", buffering=0)
    os.truncate(path, 0)
    assert told(watch) == {str(path)}, "truncated"
    path.rename(tmp_path / "x.log.1")
    assert told(watch) == {str(path)}, "moved away"
    file.write(b"late\n")
    assert told(watch) == {str(path)}, "whoever has it open has not noticed"
    path.write_bytes(b"new\n")
    assert told(watch) == {str(path)}, "made anew"
    path.write_bytes(b"newer\n")
    assert told(watch) == {str(path)}, "the new one is written to"
    (tmp_path / "x.log.1").unlink()
    file.close()
    told(watch)
    path.unlink()
    assert told(watch) == {str(path)}, "deleted"
    os.replace(other, path)
    assert told(watch) == {str(path)}, "replaced"
    (tmp_path / "y.log").write_bytes(b"a\n")
    assert told(watch) == set(), "others do not matter"


def test_splicing_is_told_too(watch: LogWatch, tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"")
    watch.add(str(path))
    read, write = os.pipe()
    file = os.open(path, os.O_WRONLY)
    os.write(write, b"line\n")
    os.splice(read, file, 100, offset_dst=0)
    for descriptor in (read, write, file):
        os.close(descriptor)
    assert watch.wait(LONG) == {str(path)}


def test_a_file_and_its_folder_that_are_not_there_yet(
    watch: LogWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "LOOK_FOR_FOLDERS", 0.01)
    path = tmp_path / "later" / "x.log"
    watch.add(str(path))
    path.parent.mkdir()
    assert watch.wait() is None, "looked for, as nobody tells it"
    path.write_bytes(b"a\n")
    assert watch.wait(LONG) == {str(path)}


def test_a_link_and_what_it_points_to(watch: LogWatch, tmp_path: Path) -> None:
    one, two, link = tmp_path / "1" / "x.log", tmp_path / "2" / "x.log", tmp_path / "x.log"
    for real in (one, two):
        real.parent.mkdir()
        real.write_bytes(b"")
    link.symlink_to(one)
    watch.add(str(link))
    one.write_bytes(b"a\n")
    assert told(watch) == {str(link)}
    link.unlink()
    link.symlink_to(two)
    assert told(watch) == {str(link)}
    two.write_bytes(b"a\n")
    assert told(watch) == {str(link)}


def test_a_file_of_two_names(watch: LogWatch, tmp_path: Path) -> None:
    paths = [tmp_path / "x.log", tmp_path / "y.log"]
    paths[0].write_bytes(b"")
    paths[1].symlink_to(paths[0])
    for path in paths:
        watch.add(str(path))
    paths[0].write_bytes(b"a\n")
    assert told(watch) == set(map(str, paths))


def test_a_thousand_rotations_need_few_watches(watch: LogWatch, tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"")
    watch.add(str(path))
    for number in range(1000):
        path.rename(tmp_path / f"x.log.{number}")
        path.write_bytes(b"a\n")
        assert told(watch) == {str(path)}
    assert watch._notices is not None
    watches = Path(f"/proc/self/fdinfo/{watch._notices.descriptor}").read_text().count("inotify wd")
    assert watches <= 3


def test_a_queue_that_overflows_means_that_anything_may_have_changed(watch: LogWatch, tmp_path: Path) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    paths = [tmp_path / name for name in ("x.log", "y.log")]
    files = [path.open("wb", buffering=0) for path in paths]
    for path in paths:
        watch.add(str(path))
    for _ in range(most // 2 + 10):
        for file in files:
            file.write(b"a")
    for file in files:
        file.close()
    assert watch.wait(0) is None


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EMFILE])
def test_without_inotify_all_is_looked_at_again_and_again(
    monkeypatch: pytest.MonkeyPatch, number: int, tmp_path: Path
) -> None:
    def refused() -> Notices:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(watch_module, "Notices", refused)
    monkeypatch.setattr(watch_module, "LOOK_EVERY", 0.001)
    watch = LogWatch()
    watch.add(str(tmp_path / "x.log"))
    assert watch.reason
    assert watch.wait() is None
    assert watch.wait(LONG) is None
    watch.close()


def test_when_no_more_can_be_watched(
    watch: LogWatch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refused(notices: Notices, path: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Notices, "watch_file", refused)
    monkeypatch.setattr(watch_module, "LOOK_EVERY", 0.001)
    watch.add(str(tmp_path / "x.log"))
    assert watch.reason is not None
    assert "max_user_watches" in watch.reason
    assert watch.wait() is None


def test_the_wait_ends_with_the_reader(watch: LogWatch, tmp_path: Path) -> None:
    watch.add(str(tmp_path / "x.log"))
    read, write = os.pipe()
    os.close(read)
    assert watch.wait(LONG, write) == set()
    os.close(write)


def test_everything_is_looked_at_after_a_while_anyway(
    watch: LogWatch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(watch_module, "LOOK_ANYWAY", 0.01)
    watch.add(str(tmp_path / "x.log"))
    assert watch.wait() is None
    assert watch.wait(0) == set()
