"""The table of ``pypm list``: what its cells say, which columns fit, and its plain form for a pipe.

The form for a terminal is in ``listing_rich``: the quick road must not import rich.
"""

from __future__ import annotations

import sys
import time

from pypm.cli.output import note, plain
from pypm.config.units import format_duration, format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "COLUMNS",
    "EMPTY",
    "RIGHT",
    "cells",
    "display_width",
    "fitting",
    "plain_table",
    "row_cells",
    "show_table",
]

EMPTY = "no apps yet; start one with: pypm start FILE"

COLUMNS = (
    "id", "name", "namespace", "status", "pid", "↺", "uptime", "cpu", "mem", "ready", "health", "beat",
    "progress", "note",
)  # fmt: skip

RIGHT = frozenset({"id", "pid", "↺", "uptime", "cpu", "mem", "beat", "progress"})
"""Columns of numbers, aligned right."""

_SAID = ("beat", "progress")
"""Columns that are there only where an instance has said such a thing."""

_LEAVING = ("beat", "progress", "health", "namespace", "ready", "cpu", "note", "pid", "mem", "↺", "uptime")
"""The order in which columns are left out where the terminal is too narrow."""

_ILL = frozenset({"unhealthy", "stalled"})
"""Words of ``health`` that nobody may miss: while there is one, that column leaves last of all."""

_NOTE_WIDTH = 12
"""The least width that a note is worth showing in."""

_GAP = 2


def show_table(rows: list[dict[str, Any]]) -> None:
    """Print the table: in colours on a terminal, as plain text into a pipe; what to do where it is empty."""
    if not rows:
        note(EMPTY)
    elif sys.stdout.isatty():
        from pypm.cli.listing_rich import print_table

        print_table(rows)
    else:
        sys.stdout.write(plain_table(rows))


def row_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Give what each of ``COLUMNS`` says for one row of the protocol."""
    running = row.get("pid") is not None
    return (
        str(row["id"]),
        plain(str(row["name"])),
        plain(str(row["namespace"])),
        str(row["status"]),
        str(row["pid"]) if running else "-",
        str(row["restarts"]),
        "-" if row.get("uptime_seconds") is None else format_duration(row["uptime_seconds"]),
        "-" if row.get("cpu_percent") is None else f"{row['cpu_percent']:.0f}%",
        "-" if row.get("memory_bytes") is None else format_size(row["memory_bytes"]),
        ("yes" if row.get("ready") else "no") if running else "-",
        "-" if row.get("health") in (None, "unknown") else str(row["health"]),
        _age(row, "heartbeat_age_seconds"),
        _age(row, "progress_age_seconds"),
        _note(row),
    )


def cells(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Give the cells of all rows, in their order."""
    return [row_cells(row) for row in rows]


def plain_table(rows: list[dict[str, Any]]) -> str:
    """Give the whole table as aligned text without colours, uncut, each line ended."""
    lines = [COLUMNS, *cells(rows)]
    silent = _silent(lines[1:])
    widths = {name: width for name, width in zip(COLUMNS, _widths(lines), strict=True) if name not in silent}
    return "".join(_aligned(line, widths) for line in lines)


def fitting(lines: list[tuple[str, ...]], width: int, frame: int) -> dict[str, int]:
    """Give the columns that fit into ``width`` signs, and how wide the text of each may be.

    ``frame`` is what a column costs beside its text. A note is cut where it must be; when nothing more can
    be left out, the name is.
    """
    natural = dict(zip(COLUMNS, _widths([COLUMNS, *lines]), strict=True))
    if not any(line[COLUMNS.index("note")] for line in lines):
        del natural["note"]
    for name in _silent(lines):
        del natural[name]
    widths = {**natural, "note": min(natural["note"], _NOTE_WIDTH)} if "note" in natural else dict(natural)
    is_ill = any(line[COLUMNS.index("health")] in _ILL for line in lines)
    leaving = (*(name for name in _LEAVING if name != "health"), "health") if is_ill else _LEAVING
    for name in leaving:
        if _room(widths, width, frame) >= 0:
            break
        widths.pop(name, None)
    if "note" in widths:
        widths["note"] = min(natural["note"], widths["note"] + _room(widths, width, frame))
    widths["name"] = max(1, widths["name"] + min(0, _room(widths, width, frame)))
    return widths


def display_width(text: str) -> int:
    """Give how many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def _silent(lines: list[tuple[str, ...]]) -> list[str]:
    """The columns in which no line says anything."""
    return [name for name in _SAID if all(line[COLUMNS.index(name)] == "-" for line in lines)]


def _room(widths: dict[str, int], width: int, frame: int) -> int:
    return width - sum(widths.values()) - frame * len(widths) - 1


def _age(row: dict[str, Any], name: str) -> str:
    seconds = row.get(name)
    return "-" if seconds is None or row.get("pid") is None else format_duration(seconds)


def _note(row: dict[str, Any]) -> str:
    waiting = row.get("waiting_for") and f"waits for {row['waiting_for']}"
    awaited = row.get("awaited") or ""
    # What it is held back for, and what is left of its stop, say more than why it was ordered.
    first = awaited if row["status"] == "stopping" or awaited.startswith("waits for") else ""
    told = first or row.get("reason") or awaited or waiting or row.get("status_text") or ""
    # First, as nothing that it says itself can be relied on while its output does not arrive.
    text = plain("; ".join(part for part in (row.get("log_trouble"), str(told)) if part))
    retry = row.get("retry_in_seconds")
    if retry is not None:
        text = f"{text}, again in {format_duration(retry)}".lstrip(", ")
    elif row.get("next_run") is not None and not row.get("pid"):
        text = f"{text}, next run in {format_duration(row['next_run'] - time.time())}".lstrip(", ")
    return text


def _widths(lines: list[tuple[str, ...]]) -> list[int]:
    return [max(map(display_width, column)) for column in zip(*lines, strict=True)]


def _aligned(line: tuple[str, ...], widths: dict[str, int]) -> str:
    parts = []
    for name, width in widths.items():
        text = line[COLUMNS.index(name)]
        padding = " " * (width - display_width(text))
        parts.append(padding + text if name in RIGHT else text + padding)
    return (" " * _GAP).join(parts).rstrip() + "\n"
