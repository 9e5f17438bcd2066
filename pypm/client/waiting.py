"""What a person waits for, and whether it can still come. Quick to import."""

from __future__ import annotations

from pypm.core.errors import RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from pypm.protocol.shapes import Row

    Goal = Literal["online", "ready", "healthy", "exited"]

__all__ = ["GOALS", "awaited_ids", "is_there", "judge"]

GOALS = ("online", "ready", "healthy", "exited")

_ALIVE = ("starting", "online", "stopping")
"""A run exists, or is about to."""


def awaited_ids(rows: Sequence[Row], goal: Goal) -> list[int]:
    """The ids that are waited for: of two rows in the same place, which a reload has, the smaller one.

    That is the id of whoever has the place, now and later; the other one goes. Only for ``exited`` all count.
    """
    if goal == "exited":
        return [row["id"] for row in rows]
    holders: dict[tuple[str, int], int] = {}
    for row in rows:
        place = row["app"], row["instance"]
        holders[place] = min(row["id"], holders.get(place, row["id"]))
    return list(holders.values())


def is_there(row: Row, goal: Goal) -> bool:
    """Whether an instance is what is waited for.

    ``ready`` and ``healthy`` are online too. What neither beats nor has a probe is never known to be healthy.
    """
    if goal == "exited":
        return row["status"] not in _ALIVE
    if row["status"] != "online":
        return False
    if goal == "healthy":
        return row["ready"] and row["health"] == "healthy"
    return goal == "online" or row["ready"]


def is_over(row: Row) -> bool:
    """Whether an instance stays as it is until somebody starts it."""
    if row["status"] == "exited":
        return row["next_run"] is None
    return row["status"] == "errored" or (row["status"] == "stopped" and row["desired"] == "down")


def judge(rows: Sequence[Row], ids: Sequence[int], goal: Goal) -> bool:
    """Whether all of these are there. Raises RequestError when one will not come by itself.

    ``rows`` are those that still exist.
    """
    if goal == "exited":
        return all(is_there(row, goal) for row in rows)
    if len(rows) < len(ids):
        raise RequestError("what was waited for has been deleted")
    for row in rows:
        if is_over(row):
            reason = f": {row['reason']}" if row["reason"] else ""
            raise RequestError(f"{row['name']} is {row['status']}{reason}", hint=f"pypm why {row['name']}")
    return all(is_there(row, goal) for row in rows)
