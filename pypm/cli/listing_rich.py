"""The table of ``pypm list`` on a terminal."""

from __future__ import annotations

import os
import sys

from rich import box
from rich.cells import set_cell_size
from rich.console import Console
from rich.segment import Segment

from pypm.cli.listing import COLUMNS, RIGHT, cells, display_width, fitting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from rich.console import ConsoleOptions

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
_STYLED = frozenset(("status", "health"))

_FRAME = 3
"""Signs that a column costs beside its text: a space on each side and a line."""


def terminal() -> Console:
    """Give the console on stdout; it reads nothing as markup and invents no colours or links.

    With ``NO_COLOR`` it writes no escape sequences, also none for bold.
    """
    return Console(
        file=sys.stdout,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=False,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
    )


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the table of ``rows``, with the columns that the terminal has room for."""
    console = terminal()
    lines = cells(rows)
    widths = fitting(lines, console.width, _FRAME)
    while sum(widths.values()) + _FRAME * len(widths) + 1 > console.width and max(widths.values()) > 1:
        widths[max(widths, key=widths.__getitem__)] -= 1
    console.print(Listing(lines, widths), crop=False)


class Listing:
    """What rich prints: the columns of ``widths``, each cell cut to its column's width.

    The widths are known, so the lines are laid out here: rich's own table measures, wraps and pads cell by
    cell, which takes it longer than all else that `pypm list` does.
    """

    def __init__(self, lines: list[tuple[str, ...]], widths: dict[str, int]) -> None:
        self._lines = lines
        self._columns = [(COLUMNS.index(name), name, width) for name, width in widths.items()]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Give the frame, the head and a line for each instance."""
        frame = box.ROUNDED.substitute(options, safe=False)
        outer = [width + 2 for _, _, width in self._columns]
        styles = {word: console.get_style(style) for word, style in STATUS_STYLES.items()}
        bold = console.get_style("bold")
        yield Segment(frame.get_top(outer) + "\n" + frame.head_left)
        for place, (_, name, width) in enumerate(self._columns):
            yield Segment(f" {_fitted(name, name, width)} ", bold)
            yield Segment(frame.head_vertical if place < len(self._columns) - 1 else frame.head_right)
        yield Segment("\n" + frame.get_row(outer, "head") + "\n")
        for line in self._lines:
            plain = frame.mid_left
            for place, (index, name, width) in enumerate(self._columns):
                text = line[index]
                plain += f"{frame.mid_vertical} " if place else " "
                cell = _fitted(name, text, width)
                if name in _STYLED and text in styles:
                    yield Segment(plain)
                    yield Segment(cell.rstrip(), styles[text])
                    cell = " " * (len(cell) - len(cell.rstrip()))
                    plain = ""
                plain += cell + " "
            yield Segment(plain + frame.mid_right + "\n")
        yield Segment(frame.get_bottom(outer) + "\n")


def _fitted(name: str, text: str, width: int) -> str:
    """``text`` at exactly ``width`` columns of the terminal."""
    taken = display_width(text)
    if taken > width:
        return set_cell_size(text, width - 1) + "…"
    padding = " " * (width - taken)
    return padding + text if name in RIGHT else text + padding
