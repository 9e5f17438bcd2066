"""The table of instances: only rows that are seen are made, and only lines that differ are drawn anew."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pypm.tui.columns import Column, cells, fitting, name_width
from pypm.tui.rows import Board, Heading, Line, View
from pypm.tui.text import cut

__all__ = ["InstanceTable"]

HEAD = 1
"""Lines of the titles, which do not scroll."""

STATUSES = {
    "online": "good", "starting": "busy", "stopping": "warn", "backoff": "warn", "held": "held",
    "errored": "bad", "stopped": "dim", "exited": "dim",
}  # fmt: skip
HEALTHS = {"healthy": "good", "unhealthy": "bad", "stalled": "bad"}


class InstanceTable(ScrollView, can_focus=True):
    """Rows of a board, one of which is the current one; several may be marked."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--head", "table--group", "table--cursor", "table--away", "table--mark", "table--good",
        "table--busy", "table--warn", "table--held", "table--bad", "table--dim", "table--line",
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up"),
        Binding("down,j", "move(1)", "Down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up"),
        Binding("pagedown", "page(1)", "Page down"),
        Binding("home", "edge(-1)", "First"),
        Binding("end,G", "edge(1)", "Last"),
    ]

    class Moved(Message):
        """Another instance is the current one, or none."""

    class SortAsked(Message):
        """A title was clicked."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class OpenAsked(Message):
        """An instance was clicked twice."""

    def __init__(self, board: Board, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.board = board
        self.view = View()
        self.lines: list[Line] = []
        self.current: int | None = None
        """The id of the current instance."""
        self.marked: set[int] = set()
        self._place = 0
        self._columns: list[tuple[Column, int]] = []
        self._drawn: dict[int, object] = {}
        """What the lines of the screen show, by their number."""

    def renew(self, view: View | None = None) -> None:
        """Show what the board has by now, perhaps in another way."""
        if view is not None:
            self.view = view
        self.lines = self.board.arrange(self.view)
        self.marked &= self.board.rows.keys()
        columns = fitting(self.size.width, name_width(self.board.rows.values()))
        if columns != self._columns:
            self._columns = columns
            self._drawn.clear()
        size = Size(self.size.width, len(self.lines) + HEAD)
        if size != self.virtual_size:
            self.virtual_size = size
        self._find_current()
        self.draw()

    def draw(self) -> None:
        """Draw the lines that show something else than they should."""
        top = self.scroll_offset.y
        for y in range(self.size.height):
            if self._drawn.get(y) != self._content(y, top):
                self.refresh(Region(0, y, self.size.width, 1))

    def targets(self) -> list[int]:
        """The instances that an order is for: the marked ones, else the current one."""
        if self.marked:
            return sorted(self.marked)
        return [] if self.current is None else [self.current]

    def toggle_mark(self, number: int | None) -> None:
        """Mark an instance, or do so no longer."""
        if number is not None:
            self.marked ^= {number}
            self.draw()

    def mark_all(self) -> None:
        """Mark all that is shown; if all of it is marked, nothing."""
        shown = {line for line in self.lines if isinstance(line, int)}
        self.marked = set() if shown <= self.marked else self.marked | shown
        self.draw()

    def unmark(self) -> None:
        """Mark nothing."""
        self.marked = set()
        self.draw()

    # --- moving ---

    def action_move(self, step: int) -> None:
        """Go to the next instance, or the one before."""
        self._go(self._place + step, step)

    def action_page(self, step: int) -> None:
        """Go a page further."""
        self._go(self._place + step * max(self.size.height - HEAD - 1, 1), step)

    def action_edge(self, step: int) -> None:
        """Go to the first instance, or the last."""
        self._go(0 if step < 0 else len(self.lines) - 1, -step)

    def _go(self, place: int, step: int) -> None:
        """Make the instance at a place the current one; a heading is passed over in the way of ``step``."""
        place = min(max(place, 0), len(self.lines) - 1)
        for direction in (step, -step):
            at = place
            while 0 <= at < len(self.lines) and isinstance(self.lines[at], Heading):
                at += direction
            if 0 <= at < len(self.lines):
                self._make_current(at)
                return

    def _make_current(self, place: int) -> None:
        line = self.lines[place]
        assert isinstance(line, int)
        changed, self.current, self._place = self.current != line, line, place
        self._bring_into_view(place)
        self.draw()
        if changed:
            self.post_message(self.Moved())

    def _bring_into_view(self, place: int) -> None:
        top, room = self.scroll_offset.y, max(self.size.height - HEAD, 1)
        above = place - 1 if place and isinstance(self.lines[place - 1], Heading) else place
        if above < top:
            self.scroll_to(y=above, animate=False, immediate=True, force=True)
        elif place >= top + room:
            self.scroll_to(y=place - room + 1, animate=False, immediate=True, force=True)

    def _find_current(self) -> None:
        """The current instance stays so wherever it goes; for one that has gone there is the next one."""
        if self.current in self.lines:
            self._place = self.lines.index(self.current)
            return
        before, self.current = self.current, None
        self._go(self._place, 1)
        if before is not None and self.current is None:
            self.post_message(self.Moved())

    # --- the mouse, the size, the focus ---

    def on_click(self, event: events.Click) -> None:
        """A title sorts, a row is chosen, its margin marks it, and a second click opens it."""
        if event.y < HEAD:
            self._sort_by(event.x)
            return
        place = self.scroll_offset.y + event.y - HEAD
        if place >= len(self.lines) or not isinstance(line := self.lines[place], int):
            return
        self._make_current(place)
        if event.x < 2 or event.ctrl or event.shift:
            self.toggle_mark(line)
        elif event.chain == 2:
            self.post_message(self.OpenAsked())

    def _sort_by(self, x: int) -> None:
        at = 2
        for column, width in self._columns:
            at += width + 1
            if x < at:
                if column.sort:
                    self.post_message(self.SortAsked(column.sort))
                return

    def on_resize(self) -> None:
        """Other columns may fit, and the current instance is to be seen still."""
        self._drawn.clear()
        self.renew()
        if self.current is not None and self.lines:
            self._bring_into_view(self._place)
        self.refresh()

    def on_focus(self) -> None:
        """The current row looks otherwise."""
        self.draw()

    def on_blur(self) -> None:
        """The current row looks otherwise."""
        self.draw()

    def notify_style_update(self) -> None:
        """Another theme: nothing that was drawn holds any more."""
        super().notify_style_update()
        self._drawn.clear()

    # --- drawing ---

    def _content(self, y: int, top: int) -> object:
        """What a line of the screen is to show: as long as it is equal, nothing has to be drawn."""
        if y < HEAD:
            return (self.view.sort, self.view.reverse, self.size.width)
        place = top + y - HEAD
        if place >= len(self.lines):
            return None
        line = self.lines[place]
        if isinstance(line, Heading):
            return line.text
        row = self.board.rows[line]
        state = (row["status"], row.get("health"), line in self.marked)
        current = line == self.current and (1 + self.has_focus)
        return (*cells(self.board, line, self._columns), *state, current)

    def render_line(self, y: int) -> Strip:
        """Textual asks for one line of the screen."""
        top, width = self.scroll_offset.y, self.size.width
        content = self._content(y, top)
        self._drawn[y] = content
        if content is None:
            return Strip.blank(width, self.rich_style)
        if y < HEAD:
            segments = self._head()
        elif isinstance(content, str):
            segments = [Segment(cut(f"▾ {content}", width), self._style("group"))]
        else:
            assert isinstance(content, tuple)
            number = self.lines[top + y - HEAD]
            assert isinstance(number, int)
            segments = self._row(number, content)
        return Strip(segments).crop_extend(0, width, self.rich_style).simplify()

    def _head(self) -> list[Segment]:
        style = self._style("head")
        arrow = "▼" if self.view.reverse else "▲"
        titles = []
        for column, width in self._columns:
            title = column.title
            if column.sort and column.sort == self.view.sort:
                title = f"{title[: max(width - 1, 0)]}{arrow}"
            titles.append(cut(title, width, right=column.right))
        return [Segment(cut("  " + " ".join(titles), self.size.width), style)]

    def _row(self, number: int, texts: tuple[object, ...]) -> list[Segment]:
        row = self.board.rows[number]
        over = None
        if number == self.current:
            over = self._style("cursor" if self.has_focus else "away")
        mark = Segment("✓ " if number in self.marked else "  ", over or self._style("mark"))
        segments = [mark]
        for (column, width), text in zip(self._columns, texts, strict=False):
            style = over or self._cell_style(column.key, row["status"], row.get("health"))
            segments += [
                Segment(cut(str(text), width, right=column.right), style),
                Segment(" ", over or self.rich_style),
            ]
        if over is not None:
            segments.append(Segment(" " * self.size.width, over))
        return segments

    def _cell_style(self, key: str, status: str, health: str | None) -> Style:
        if key == "status":
            return self._style(STATUSES.get(status, "dim"))
        if key == "health":
            return self._style(HEALTHS.get(str(health), "dim"))
        if key.endswith("_line"):
            return self._style("line")
        return self._style("dim") if key in ("note", "uptime") else self.rich_style

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"table--{name}")
