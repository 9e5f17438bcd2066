"""Reading what the last master left: whole, torn, of a newer pypm, from another boot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fakes import SPEC, new_instance
from msgspec.structs import replace

from pypm.core.errors import PypmError
from pypm.core.instance import Run
from pypm.core.state import App, assemble, encode_app, encode_instance, encode_origin
from pypm.master import recovery
from pypm.master.recovery import read_state
from pypm.system import files
from pypm.system.clock import boot_id


def written(next_id: int = 1, boot: str | None = None, restarts: int = 0) -> bytes:
    app = App(SPEC, 50.0)
    instance = replace(new_instance(0), created=50.0, since=60.0, restarts=restarts)
    parts = ({"": encode_origin(app.origin)}, [encode_app(app, "")], [encode_instance(instance)])
    return assemble(boot or boot_id(), 100.0, 1e9, next_id, *parts)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


def backup_of(state: Path) -> Path:
    return state.with_name("state.json.bak")


def names(state: Path) -> list[str]:
    return sorted(os.listdir(state.parent))


def test_a_new_home_has_no_state(state: Path) -> None:
    assert read_state(str(state)) is None
    assert names(state) == []


def test_a_state_is_read_and_kept_as_backup(state: Path) -> None:
    state.write_bytes(written(restarts=3))
    read = read_state(str(state))
    assert read is not None
    assert read.instances[0].restarts == 3
    assert read.instances[0].since == 60.0
    assert backup_of(state).read_bytes() == state.read_bytes()
    assert os.stat(backup_of(state)).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damage",
    [b"", b"\0" * 500, written()[:200], b"hello", b'{"version":1}', b'{"version":1,"boot_id":"\xff"}'],
    ids=["empty", "zeros", "torn", "words", "hollow", "no UTF-8"],
)
def test_what_cannot_be_used_is_set_aside_and_the_backup_taken(state: Path, damage: bytes) -> None:
    state.write_bytes(damage)
    backup_of(state).write_bytes(written(restarts=2))
    read = read_state(str(state))
    assert read is not None
    assert read.instances[0].restarts == 2
    aside = [name for name in names(state) if name.startswith("state.json.unusable-")]
    assert len(aside) == 1
    assert (state.parent / aside[0]).read_bytes() == damage, "somebody may want to look at it"


def test_a_state_that_is_gone_is_replaced_by_its_backup(state: Path) -> None:
    backup_of(state).write_bytes(written(restarts=2))
    read = read_state(str(state))
    assert read is not None
    assert read.instances[0].restarts == 2


@pytest.mark.parametrize("backup", [None, b"torn"])
def test_without_a_backup_nothing_is_begun_and_nothing_changed(state: Path, backup: bytes | None) -> None:
    state.write_bytes(written()[:100])
    if backup is not None:
        backup_of(state).write_bytes(backup)
    before = names(state)
    with pytest.raises(PypmError, match="cannot be used: it is torn") as caught:
        read_state(str(state))
    assert "to begin anew" in (caught.value.hint or "")
    assert names(state) == before


def test_the_state_of_a_newer_pypm_is_not_touched(state: Path) -> None:
    newer = written().replace(b'"version":1', b'"version":2')
    state.write_bytes(newer)
    backup_of(state).write_bytes(written())
    with pytest.raises(PypmError, match="version 2"):
        read_state(str(state))
    assert state.read_bytes() == newer
    assert names(state) == ["state.json", "state.json.bak"]


def test_the_state_of_another_user_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.write_bytes(written())
    monkeypatch.setattr(files.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PypmError, match="belongs to user id"):
        read_state(str(state))
    assert names(state) == ["state.json"]


def test_a_full_disk_does_not_keep_a_master_from_beginning(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.write_bytes(written(restarts=5))
    backup_of(state).write_bytes(written(restarts=4))

    def refuse(path: str, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recovery, "replace_file", refuse)
    read = read_state(str(state))
    assert read is not None
    assert read.instances[0].restarts == 5
    assert backup_of(state).read_bytes() == written(restarts=4), "the older backup is better than none"


def test_times_of_another_boot_are_moved_to_this_one(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.write_bytes(written(boot="another"))
    monkeypatch.setattr(recovery, "boot_time", lambda: 30.0)
    monkeypatch.setattr(recovery, "wall_time", lambda: 1e9 + 40.0)
    read = read_state(str(state))
    assert read is not None
    # It was written 40 s ago, at 100 s of that boot; 60 s of that boot were 80 s ago.
    assert read.instances[0].since == 30.0 - 80.0
    assert read.boot_id == "another", "whoever asks whether runs can live has to know"


def run_of(pid: int, ticks: int) -> Run:
    return Run(run_id="r", token="t", pid=pid, start_ticks=ticks, started=1.0, ready=True)
