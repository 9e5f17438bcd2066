"""The table of ``pypm list`` on a terminal."""

from __future__ import annotations

import sys
from typing import Any

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
    chosen = fitting(lines, console.width, _FRAME)
    table = Table(box=box.ROUNDED, header_style="bold", pad_edge=True, safe_box=False)
    for index in chosen:
        name = COLUMNS[index]
        table.add_column(
            name, justify="right" if name in RIGHT else "left", no_wrap=True, overflow="ellipsis",
        )  # fmt: skip
    for line in lines:
        table.add_row(*(_cell(COLUMNS[index], line[index]) for index in chosen))
    console.print(table, overflow="crop", no_wrap=True)


def _cell(name: str, text: str) -> Text:
    style = STATUS_STYLES.get(text, "") if name in ("status", "health") else ""
    return Text(text, style=style, end="")
