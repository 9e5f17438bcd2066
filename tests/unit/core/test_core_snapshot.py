"""Snapshots as bytes and back, and what is no snapshot."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pypm.core.snapshot import SavedApp, Snapshot, decode_snapshot, encode_snapshot
from pypm.core.spec import AppSpec, Origin
from pypm.core.state import NewerStateError, StateError

SHELL = Origin({"PATH": "/bin", "NAME": "wörk\n"}, 0o077)
SNAPSHOT = Snapshot(
    1_700_000_000.5,
    (
        SavedApp(AppSpec("a", ("/bin/a",), "/", instances=3), SHELL, (0, 2), (1,)),
        SavedApp(AppSpec("b", ("/bin/b", "x"), "/tmp", env={"KEY": "secret"}), SHELL, (0,), ()),
        SavedApp(AppSpec("c", ("/bin/c",), "/"), Origin(), (), (0,)),
    ),
)


def test_it_comes_back_as_it_was() -> None:
    assert decode_snapshot(encode_snapshot(SNAPSHOT)) == SNAPSHOT


def test_an_empty_one_too() -> None:
    assert decode_snapshot(encode_snapshot(Snapshot(0.0, ()))) == Snapshot(0.0, ())


def test_an_environment_that_apps_share_is_stored_once() -> None:
    assert encode_snapshot(SNAPSHOT).count(b"PATH") == 1


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    value = json.loads(encode_snapshot(SNAPSHOT))
    change(value)
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "torn or no snapshot"),
        (b"[]", "torn or no snapshot"),
        (b"\xff{}", "torn or no snapshot"),
        (encode_snapshot(SNAPSHOT)[:-30], "torn or no snapshot"),
        (b'{"version":1}', "torn or no snapshot"),
        (changed(lambda value: value.update(version=0)), "it has version 0"),
        (changed(lambda value: value["origins"].clear()), "refers to what it does not have"),
        (changed(lambda value: value["apps"].append(value["apps"][0])), "an app twice"),
        (
            changed(lambda value: value["apps"][0].update(up=[0, 3])),
            r"a cannot have the instances \[0, 3, 1\]",
        ),
        (changed(lambda value: value["apps"][0].update(up=[1])), r"a cannot have the instances \[1, 1\]"),
        (changed(lambda value: value["apps"][2].update(down=[])), r"c cannot have the instances \[\]"),
    ],
)
def test_what_is_none_is_told(data: bytes, words: str) -> None:
    with pytest.raises(StateError, match=words):
        decode_snapshot(data)


def test_a_later_one_is_no_damage() -> None:
    with pytest.raises(NewerStateError, match="it has version 2, and this pypm knows version 1"):
        decode_snapshot(changed(lambda value: value.update(version=2)))
