"""The table of ``pypm list`` on a terminal."""

from __future__ import annotations

import sys
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pypm.cli.listing import COLUMNS, RIGHT, cells, fitting

__all__ = ["STATUS_STYLES", "print_table", "terminal"]

STATUS_STYLES = {
    "online": "green",
    "starting": "cyan",
    "stopping": "yellow",
    "backoff": "yellow",
    "held": "magenta",
    "errored": "bold red",
    "stopped": "dim",
    "exited": "dim",
    "unhealthy": "red",
    "stalled": "red",
    "healthy": "green",
}

_FRAME = 3
"""Signs that a column costs beside its text: a space on each side and a line."""


def terminal() -> Console:
    """Give the console on stdout; it reads nothing as markup and invents no colours or links."""
    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False, soft_wrap=False)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the table of ``rows``, with the columns that the terminal has room for."""
    console = terminal()
    lines = cells(rows)
    widths = fitting(lines, console.width, _FRAME)
    table = Table(box=box.ROUNDED, header_style="bold", safe_box=False)
    for name, width in widths.items():
        justify: Literal["left", "right"] = "right" if name in RIGHT else "left"
        table.add_column(name, justify=justify, width=width, no_wrap=True, overflow="ellipsis")
    # One row of tall cells: rich lays out a cell, not a line, and a thousand cells take it 55 ms.
    table.add_row(*(_column(name, [line[COLUMNS.index(name)] for line in lines]) for name in widths))
    console.print(table)


def _column(name: str, texts: list[str]) -> Text:
    styled = name in ("status", "health")
    return Text("\n").join(Text(text, style=STATUS_STYLES.get(text, "") if styled else "") for text in texts)
