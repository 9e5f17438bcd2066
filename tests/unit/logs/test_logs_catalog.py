from __future__ import annotations

import json
from pathlib import Path

import pytest

from pypm.core.errors import ConfigError
from pypm.logs.catalog import read_catalog

STATE = {
    "version": 1,
    "boot_id": "b",
    "apps": [
        {"spec": {"name": "web", "command": ["/bin/true"], "cwd": "/", "instances": 2, "namespace": "n"}},
        {"spec": {"name": "one", "command": ["/bin/true"], "cwd": "/", "logs": {"error_file": "/e.log"}}},
    ],
    "instances": [
        {"id": 2, "app": "web", "index": 1, "status": "online"},
        {"id": 0, "app": "one", "index": 0},
        {"id": 1, "app": "web", "index": 0},
    ],
}


def save(home: Path, text: str, name: str = "state.json") -> None:
    (home / "state").mkdir(exist_ok=True)
    (home / "state" / name).write_text(text)


def test_every_instance_with_its_files(tmp_path: Path) -> None:
    save(tmp_path, json.dumps(STATE))
    entries = read_catalog(str(tmp_path))
    assert [(entry.id, entry.name, entry.app, entry.namespace, entry.index) for entry in entries] == [
        (0, "one", "one", "default", 0),
        (1, "web:0", "web", "n", 0),
        (2, "web:1", "web", "n", 1),
    ]
    assert entries[0].files.error == "/e.log"
    assert entries[2].files.out == f"{tmp_path}/logs/web-1-out.log"


def test_a_home_without_a_state_is_empty(tmp_path: Path) -> None:
    assert read_catalog(str(tmp_path)) == []
    assert read_catalog(str(tmp_path / "none")) == []


@pytest.mark.parametrize("text", ["", "{", '{"apps": 3}', "\udcff"])
def test_a_torn_state_is_read_from_its_backup(tmp_path: Path, text: str) -> None:
    save(tmp_path, "")
    (tmp_path / "state" / "state.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=r"state/state\.json: "):
        read_catalog(str(tmp_path))
    save(tmp_path, json.dumps(STATE), "state.json.bak")
    assert len(read_catalog(str(tmp_path))) == 3
