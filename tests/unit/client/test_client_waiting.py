"""What is there, what may still come, and what will not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from pypm.client.waiting import awaited_ids, is_there, judge
from pypm.core.errors import RequestError

if TYPE_CHECKING:
    from pypm.client.waiting import Goal
    from pypm.protocol.shapes import Row


def row(**fields: Any) -> Row:
    given = {
        "id": 0, "name": "a", "status": "online", "desired": "up", "ready": True, "health": "unknown",
        "next_run": None, "reason": "",
    }  # fmt: skip
    return cast("Row", given | fields)


@pytest.mark.parametrize(
    ("goal", "fields", "there"),
    [
        ("online", {}, True),
        ("online", {"ready": False}, True),
        ("online", {"status": "starting"}, False),
        ("ready", {"ready": False}, False),
        ("ready", {}, True),
        ("healthy", {}, False),
        ("healthy", {"health": "healthy"}, True),
        ("healthy", {"health": "healthy", "ready": False}, False),
        ("exited", {}, False),
        ("exited", {"status": "stopping"}, False),
        ("exited", {"status": "backoff"}, True),
        ("exited", {"status": "errored"}, True),
    ],
)
def test_what_is_there(goal: Goal, fields: dict[str, Any], there: bool) -> None:
    assert is_there(row(**fields), goal) is there


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "errored", "reason": "it failed 15 times"},
        {"status": "stopped", "desired": "down"},
        {"status": "exited"},
    ],
)
def test_what_will_not_come_is_not_waited_for(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=fields["status"]):
        judge([row(), row(name="b", **fields)], [0, 1], "ready")


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "backoff"},
        {"status": "held"},
        {"status": "exited", "next_run": 1.0},
        {"status": "stopped"},
    ],
)
def test_what_may_come_is_waited_for(fields: dict[str, Any]) -> None:
    assert judge([row(**fields)], [0], "online") is False


def test_what_was_deleted_has_exited_and_will_not_come() -> None:
    assert judge([], [0], "exited")
    with pytest.raises(RequestError, match="deleted"):
        judge([], [0], "online")


def test_of_two_in_the_same_place_the_one_is_waited_for_that_has_it() -> None:
    rows = [row(id=0, app="a", instance=0), row(id=1, app="a", instance=1), row(id=2, app="b", instance=0)]
    rows.append(row(id=7, app="a", instance=1, status="starting"))
    assert awaited_ids(rows, "ready") == [0, 1, 2]
    assert awaited_ids(rows, "exited") == [0, 1, 2, 7]
