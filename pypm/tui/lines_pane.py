"""A pane of lines that scrolls: only what is seen is ever laid out, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pypm.tui.text import display_width

__all__ = ["LinesPane", "pieces"]


class Piece(NamedTuple):
    """What one line of the screen shows of a line of the text."""

    line: int
    start: int
    end: int | None


class LinesPane(ScrollView, can_focus=True):
    """Shows texts, each in a style of its own; ``wrapped`` ones go on in the next line of the screen."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "pane--plain", "pane--head", "pane--failure", "pane--error", "pane--note", "pane--match",
        "pane--plot",
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, *, wrapped: bool = True, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.wrapped = wrapped
        self._texts: Sequence[tuple[str, str]] = ()
        self._pieces: list[Piece] | None = None
        """How wrapped lines are parted; None: each line is one."""
        self._width = 0
        self.pattern = ""
        """What is shown as found."""

    def show(self, texts: Sequence[tuple[str, str]]) -> None:
        """Show texts, each with the name of its style; the place that is looked at stays."""
        self._texts = texts
        self.lay_out()

    def lay_out(self) -> None:
        """Part the lines for the width that there is."""
        self._width = max(self.size.width, 1)
        if self.wrapped:
            self._pieces = [
                Piece(number, start, end)
                for number, (text, _) in enumerate(self._texts)
                for start, end in pieces(text, self._width)
            ]
            size = Size(self._width, len(self._pieces))
        else:
            self._pieces = None
            widest = max((display_width(text) for text, _ in self._texts), default=0)
            size = Size(widest, len(self._texts))
        if size != self.virtual_size:
            self.virtual_size = size
        self.refresh()

    def on_resize(self) -> None:
        """Lay out anew where the width has changed."""
        if self.size.width != self._width:
            self.lay_out()

    def row_of(self, line: int) -> int:
        """In which row a line of the text begins."""
        if self._pieces is None:
            return line
        return next((row for row, piece in enumerate(self._pieces) if piece.line >= line), 0)

    def line_at(self, row: int) -> int:
        """Which line of the text a row shows."""
        if self._pieces is None:
            return row
        return self._pieces[min(row, len(self._pieces) - 1)].line if self._pieces else 0

    def render_line(self, y: int) -> Strip:
        """Textual asks for one line of the screen."""
        across, down = self.scroll_offset
        row, width = down + y, self.size.width
        rows = len(self._texts) if self._pieces is None else len(self._pieces)
        if row >= rows:
            return Strip.blank(width, self.rich_style)
        piece = Piece(row, 0, None) if self._pieces is None else self._pieces[row]
        text, name = self._texts[piece.line]
        style = self.get_component_rich_style(f"pane--{name}")
        strip = Strip(self._segments(text[piece.start : piece.end], style))
        return strip.crop_extend(across, across + width, self.rich_style)

    def _segments(self, text: str, style: Style) -> list[Segment]:
        if not self.pattern:
            return [Segment(text, style)]
        folded = text.lower() if self.pattern == self.pattern.lower() else text
        found, place = [], 0
        # A text whose small letters are longer than its capitals has other places: it is shown without marks.
        while len(folded) == len(text) and (begin := folded.find(self.pattern, place)) >= 0:
            end = begin + len(self.pattern)
            match = self.get_component_rich_style("pane--match")
            found += [Segment(text[place:begin], style), Segment(text[begin:end], match)]
            place = end
        return [*found, Segment(text[place:], style)]


def pieces(text: str, width: int) -> list[tuple[int, int | None]]:
    """How a text is parted into rows of ``width`` columns: places in it; an empty text has one row."""
    if text.isascii():
        if len(text) <= width:
            return [(0, None)]
        return [(start, start + width) for start in range(0, len(text), width)]
    found: list[tuple[int, int | None]] = []
    start, room = 0, width
    for place, sign in enumerate(text):
        columns = display_width(sign)
        if columns > room and place > start:
            found.append((start, place))
            start, room = place, width
        room -= columns
    return [*found, (start, None)]
