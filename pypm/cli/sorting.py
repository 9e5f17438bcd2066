"""The order of ``pypm list --sort FIELD[:asc|desc]``, with PM2's names of the fields beside our own."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pypm.core.errors import UsageError

__all__ = ["FIELDS", "sorted_rows"]

FIELDS = {
    "id": "id",
    "name": "name",
    "namespace": "namespace",
    "pid": "pid",
    "status": "status",
    "cpu": "cpu_percent",
    "memory": "memory_bytes",
    "mem": "memory_bytes",
    "uptime": "uptime_seconds",
    "restarts": "restarts",
    "health": "health",
}
"""What a person writes, and the field of a row."""

DIRECTIONS = ("asc", "desc")


def sorted_rows(rows: list[dict[str, Any]], wanted: str) -> list[dict[str, Any]]:
    """Give ``rows`` by ``wanted``, ``FIELD`` or ``FIELD:asc`` or ``FIELD:desc``; others come last.

    Raises UsageError for another field or direction.
    """
    word, _, direction = wanted.partition(":")
    if word not in FIELDS:
        close = get_close_matches(word, FIELDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(FIELDS)}"
        raise UsageError(f"cannot sort by {word!r}", hint=hint)
    if direction not in ("", *DIRECTIONS):
        raise UsageError(f"{direction!r} is no direction", hint="it is asc or desc")
    field = FIELDS[word]
    known = [row for row in rows if row[field] is not None]
    unknown = [row for row in rows if row[field] is None]
    return sorted(known, key=lambda row: row[field], reverse=direction == "desc") + unknown
