"""The folder of snapshots: owner-only, whole or not at all, and names that are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pypm.core.errors import NotFoundError, RequestError, UsageError
from pypm.core.snapshot import SavedApp, Snapshot
from pypm.core.spec import AppSpec, Origin
from pypm.master.snapshots import Snapshots

EMPTY = Snapshot(1.0, ())
ONE = Snapshot(2.0, (SavedApp(AppSpec("a", ("/bin/a",), "/"), Origin(), (0,), ()),))


def test_what_is_saved_is_read_listed_and_removed(home: Path) -> None:
    snapshots = Snapshots(str(home))
    assert snapshots.names() == []
    assert snapshots.save("dump", ONE) == f"{home}/snapshots/dump.json"
    snapshots.save("before-2.0", EMPTY)
    assert snapshots.names() == ["before-2.0", "dump"]
    assert snapshots.read("dump") == ONE
    snapshots.save("dump", EMPTY)
    assert snapshots.read("dump") == EMPTY
    snapshots.remove("dump")
    assert snapshots.names() == ["before-2.0"]


def test_it_is_the_owners_alone(home: Path) -> None:
    umask = os.umask(0)
    try:
        path = Path(Snapshots(str(home)).save("dump", ONE))
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "name", ["", "..", ".hidden", "-x", "a/b", "../state/state", "a b", "x" * 65, "ä", "a\n"]
)
def test_a_name_that_is_none_is_refused_everywhere(home: Path, name: str) -> None:
    snapshots = Snapshots(str(home))
    for verb in (
        lambda: snapshots.save(name, ONE),
        lambda: snapshots.read(name),
        lambda: snapshots.remove(name),
    ):
        with pytest.raises(UsageError, match="is no name for a snapshot"):
            verb()
    assert list(home.iterdir()) == []


def test_one_that_is_not_there_is_answered_with_the_nearest(home: Path) -> None:
    snapshots = Snapshots(str(home))
    for verb in (snapshots.read, snapshots.remove):
        with pytest.raises(NotFoundError) as caught:
            verb("dump")
        assert caught.value.hint == "there is none yet; `pypm save` makes one"
    snapshots.save("nightly", ONE)
    with pytest.raises(NotFoundError) as caught:
        snapshots.read("nigthly")
    assert caught.value.hint == "did you mean nightly?"
    with pytest.raises(NotFoundError) as caught:
        snapshots.remove("dump")
    assert caught.value.hint == "there are: nightly"


def test_a_torn_one_is_told_and_left_as_it_is(home: Path) -> None:
    snapshots = Snapshots(str(home))
    path = Path(snapshots.save("dump", ONE))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RequestError, match=r"dump\.json cannot be used: it is torn"):
        snapshots.read("dump")
    assert snapshots.names() == ["dump"]


def test_a_full_disk_leaves_the_older_one(home: Path) -> None:
    """A link to /dev/full stands for the disk."""
    snapshots = Snapshots(str(home))
    path = snapshots.save("dump", ONE)
    os.symlink("/dev/full", f"{path}.new")
    with pytest.raises(RequestError, match=r"cannot save .*No space left"):
        snapshots.save("dump", EMPTY)
    assert snapshots.read("dump") == ONE
