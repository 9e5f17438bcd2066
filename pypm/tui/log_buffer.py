"""The lines of the log that is shown: kept up to a number, searched, with the failures marked. No screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["KEPT", "LogBuffer", "LogLine"]

KEPT = 5000
"""Lines kept; who needs more has ``pypm logs``."""


@dataclass(eq=False)
class LogLine:
    """One line as it is shown."""

    text: str
    stream: str = "out"
    """``out``, ``error``, or ``note`` for a line of our own."""
    is_failure: bool = False
    """It looks like a failure, or belongs to one; known perhaps only when the next lines are there."""


class LogBuffer:
    """Lines in their order; while ``paused``, those that come wait outside of what is shown."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        """What is shown: all lines, or only failures."""
        self.only_failures = False
        self.paused = False
        self._all: list[LogLine] = []
        self._waiting: list[LogLine] = []

    @property
    def waiting(self) -> int:
        """How many lines have come since the pause began."""
        return len(self._waiting)

    def clear(self) -> None:
        """Forget all lines; a pause ends."""
        self._all, self._waiting, self.paused = [], [], False
        self._show()

    def add(self, lines: Iterable[LogLine]) -> int:
        """Take lines that have come; gives how many were let go at the top of what is shown."""
        if self.paused:
            self._waiting = [*self._waiting, *lines][-KEPT:]
            return 0
        first = self.lines[0] if self.lines else None
        before = self.lines
        self._all = [*self._all, *lines][-KEPT:]
        self._show()
        if first is None or (self.lines and self.lines[0] is first):
            return 0
        kept = {id(line) for line in self.lines}
        return next((place for place, line in enumerate(before) if id(line) in kept), len(before))

    def pause(self, paused: bool) -> None:
        """Stand still, or show what has come meanwhile."""
        self.paused = paused
        if not paused:
            came, self._waiting = self._waiting, []
            self.add(came)

    def show_only_failures(self, only: bool) -> None:
        """Show failures only, or all lines."""
        self.only_failures = only
        self._show()

    def find(self, wanted: str, start: int, step: int) -> int | None:
        """The place of the next line after ``start`` that has the text, backwards where ``step`` is -1.

        It goes on at the other end; None: no line has it. Small and capital letters are alike unless the
        text has a capital one.
        """
        folded = wanted.lower() == wanted

        def has_it(line: LogLine) -> bool:
            return bool(wanted) and wanted in (line.text.lower() if folded else line.text)

        return self._next(start, step, has_it)

    def find_failure(self, start: int, step: int) -> int | None:
        """The place of the next failure, of its first line."""
        return self._next(start, step, lambda line: line.is_failure, first_of_group=True)

    def _next(
        self, start: int, step: int, holds: Callable[[LogLine], bool], *, first_of_group: bool = False
    ) -> int | None:
        count = len(self.lines)
        for distance in range(1, count + 1):
            place = (start + step * distance) % count
            if not holds(self.lines[place]):
                continue
            if first_of_group and place and holds(self.lines[place - 1]):
                continue
            return place
        return None

    def _show(self) -> None:
        if self.only_failures:
            self.lines = [line for line in self._all if line.is_failure or line.stream == "note"]
        else:
            self.lines = self._all
