"""The columns of the table of instances: what their cells say, and which of them fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pypm.config.units import format_duration, format_size
from pypm.tui.plots import sparkline
from pypm.tui.rows import Board, Row, Samples, note_of
from pypm.tui.text import display_width, one_line

__all__ = ["COLUMNS", "Column", "cells", "fitting", "name_width"]

LINE = 6
"""Blocks of a sparkline in the table."""
MEGABYTE = 1024.0 * 1024.0
SHORTEST_NAME, LONGEST_NAME = 8, 40
SHORTEST_NOTE = 14


class Column(NamedTuple):
    """One column; ``width`` is that of its text, 0: it takes what is left."""

    key: str
    title: str
    width: int
    right: bool
    sort: str
    """What a click on its title sorts by; empty: nothing."""
    text: Callable[[Row, Samples], str]


def _status(row: Row, _: Samples) -> str:
    sign = ("●" if row.get("ready") else "○") if row.get("pid") is not None else "·"
    return f"{sign} {row['status']}"


def _health(row: Row, _: Samples) -> str:
    health = str(row.get("health") or "unknown")
    return "-" if health == "unknown" else health


def _ready(row: Row, _: Samples) -> str:
    return ("yes" if row.get("ready") else "no") if row.get("pid") is not None else "-"


def _progress(row: Row, _: Samples) -> str:
    age = row.get("progress_age_seconds")
    return "-" if age is None else short_duration(age)


def _uptime(row: Row, _: Samples) -> str:
    return "-" if row.get("uptime_seconds") is None else short_duration(row["uptime_seconds"])


def short_duration(seconds: float) -> str:
    """As ``format_duration``, whole seconds at least, so that not each second changes its width."""
    return format_duration(seconds if seconds >= 10 else float(int(seconds)))


def _cpu(row: Row, _: Samples) -> str:
    return "-" if row.get("cpu_percent") is None else f"{row['cpu_percent']:.0f}%"


def _memory(row: Row, _: Samples) -> str:
    return "-" if row.get("memory_bytes") is None else format_size(row["memory_bytes"])


def _cpu_line(_: Row, samples: Samples) -> str:
    return sparkline(_last(samples.cpu), LINE, least=25.0)


def _memory_line(_: Row, samples: Samples) -> str:
    return sparkline(_last(samples.memory), LINE, least=16 * MEGABYTE, from_zero=False)


def _last(values: Any) -> list[float | None]:
    return [values[place] for place in range(max(len(values) - LINE, 0), len(values))]


COLUMNS = (
    Column("name", "name", SHORTEST_NAME, False, "name", lambda row, _: one_line(str(row["name"]))),
    Column("status", "status", 10, False, "status", _status),
    Column("health", "health", 9, False, "health", _health),
    Column("ready", "ready", 5, False, "", _ready),
    Column("progress", "progress", 8, True, "progress", _progress),
    Column("cpu", "cpu", 5, True, "cpu", _cpu),
    Column("cpu_line", "", LINE, False, "", _cpu_line),
    Column("memory", "mem", 5, True, "memory", _memory),
    Column("memory_line", "", LINE, False, "", _memory_line),
    Column("restarts", "↺", 4, True, "restarts", lambda row, _: str(row["restarts"])),
    Column("uptime", "uptime", 7, True, "uptime", _uptime),
    Column("note", "note", 0, False, "", lambda row, _: note_of(row)),
)

LEAVING = ("ready", "note", "progress", "memory_line", "cpu_line", "uptime", "health", "restarts", "memory")
"""The order in which columns are left out where there is no room; what is left is name, status and CPU."""
GAP = 1
MARK = 2
"""Columns of the terminal in front of a row: whether it is chosen, and a blank."""


def name_width(rows: Iterable[Row]) -> int:
    """How wide the names are, within reason."""
    longest = max((display_width(one_line(str(row["name"]))) for row in rows), default=0)
    return min(max(longest, SHORTEST_NAME), LONGEST_NAME)


def fitting(width: int, names: int, *, past: bool = True) -> list[tuple[Column, int]]:
    """The columns that fit into ``width`` columns of a terminal, and how wide the text of each is.

    ``names`` is the width of the names. Without ``past`` those of what was before are left out.
    """
    widths = {column.key: column.width for column in COLUMNS if past or not column.key.endswith("_line")}
    widths["name"], widths["note"] = names, SHORTEST_NOTE
    for key in LEAVING:
        if _taken(widths) <= width:
            break
        widths.pop(key, None)
    left = width - _taken(widths)
    if "note" in widths:
        widths["note"] += left
    else:
        widths["name"] = max(widths["name"] + min(left, 0), 4)
    return [(column, widths[column.key]) for column in COLUMNS if column.key in widths]


def _taken(widths: dict[str, int]) -> int:
    return MARK + sum(widths.values()) + GAP * (len(widths) - 1)


def cells(board: Board, number: int, columns: Iterable[tuple[Column, int]]) -> list[str]:
    """What the columns say of an instance."""
    row, samples = board.rows[number], board.samples[number]
    return [column.text(row, samples) for column, _ in columns]
