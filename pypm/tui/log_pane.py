"""The pane of the log: it follows, stands still, searches and jumps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from pypm.tui.lines_pane import LinesPane
from pypm.tui.log_buffer import LogBuffer, LogLine

__all__ = ["LogPane"]


class LogPane(LinesPane):
    """Shows a log; it stays at its end unless one scrolls up or pauses it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("end,G", "to_end", "End")]

    class Changed(Message):
        """What ``state`` says has changed."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(wrapped=False, id=id)
        self.buffer = LogBuffer()
        self._current = -1
        """The line that was jumped to last."""
        self._follows = True
        """It is at its end, and stays there when more comes."""

    @property
    def state(self) -> str:
        """How the log is shown, in words."""
        parts = [
            f"paused, {self.buffer.waiting} new" if self.buffer.paused else "",
            "errors only" if self.buffer.only_failures else "",
            "wrapped" if self.wrapped else "",
            f"“{self.pattern}”" if self.pattern else "",
        ]
        return " · ".join(part for part in parts if part) or ("following" if self._follows else "")

    def begin(self, lines: Sequence[LogLine]) -> None:
        """Show another log from its end."""
        self.buffer.clear()
        self.buffer.add(lines)
        self._current = -1
        self._renew()
        self._to_end()

    def take(self, lines: Sequence[LogLine]) -> None:
        """Show what has come, and let go of as much at the top."""
        at_end = self._follows
        first = self.line_at(self.scroll_offset.y)
        gone = self.buffer.add(lines)
        self._current = max(self._current - gone, -1)
        self._renew()
        if at_end and not self.buffer.paused:
            self._to_end()
        elif gone:
            self.scroll_to(y=self.row_of(max(first - gone, 0)), animate=False, immediate=True, force=True)

    def toggle_pause(self) -> None:
        """Stand still, or go on at the end."""
        self.buffer.pause(not self.buffer.paused)
        self._renew()
        if not self.buffer.paused:
            self._to_end()

    def toggle_wrap(self) -> None:
        """Part long lines, or cut them; the line at the top stays."""
        at_end, first = self._follows, self.line_at(self.scroll_offset.y)
        self.wrapped = not self.wrapped
        self._renew()
        self.scroll_to(x=0, y=self.row_of(first), animate=False, immediate=True, force=True)
        if at_end:
            self._to_end()

    def toggle_failures(self) -> None:
        """Show only what looks like failures, or all."""
        self.buffer.show_only_failures(not self.buffer.only_failures)
        self._current = -1
        self._renew()
        self._to_end()

    def search(self, wanted: str) -> bool:
        """Mark a text, and go to the last line that has it; tells whether one has."""
        self.pattern = wanted
        self._current = len(self.buffer.lines)
        self.refresh()
        self.post_message(self.Changed())
        return not wanted or self.jump(-1)

    def jump(self, step: int) -> bool:
        """Go to the next line that has what was searched for; -1: to the one before."""
        return self._go_to(self.buffer.find(self.pattern, self._begin(step), step))

    def jump_to_failure(self, step: int) -> bool:
        """Go to the next failure, or to the one before."""
        return self._go_to(self.buffer.find_failure(self._begin(step), step))

    def action_to_end(self) -> None:
        """Go to the end and follow again."""
        self._to_end()

    def _begin(self, step: int) -> int:
        if self._current >= 0:
            return self._current
        return len(self.buffer.lines) if step < 0 else -1

    def _go_to(self, line: int | None) -> bool:
        if line is None:
            return False
        self._current = line
        above = max(self.row_of(line) - self.size.height // 3, 0)
        self.scroll_to(y=above, animate=False, immediate=True, force=True)
        self.post_message(self.Changed())
        return True

    def _renew(self) -> None:
        self.show([(line.text, _style(line)) for line in self.buffer.lines])
        self.post_message(self.Changed())

    def on_resize(self) -> None:
        """With another height the end is elsewhere."""
        follows = self._follows
        super().on_resize()
        if follows:
            self._to_end()

    def _to_end(self) -> None:
        self._follows = True
        self.scroll_end(animate=False, immediate=True, force=True, x_axis=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Tell of it where following begins or ends."""
        super().watch_scroll_y(old_value, new_value)
        self._follows = new_value >= self.max_scroll_y
        self.post_message(self.Changed())


def _style(line: LogLine) -> str:
    if line.stream == "note":
        return "note"
    return "failure" if line.is_failure else "error" if line.stream == "error" else "plain"
