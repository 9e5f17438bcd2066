"""Threads that ask and read for the screen, so that it never waits: for the list, and for the selected."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from textual.message import Message

from pypm.core.errors import PypmError
from pypm.tui.log_buffer import LogLine
from pypm.tui.source import Log, Source

__all__ = [
    "Broken",
    "Chosen",
    "DetailFeed",
    "EventsCame",
    "FactsCame",
    "LogBegan",
    "LogCame",
    "MasterLost",
    "RowFeed",
    "RowsCame",
]

EVERY = 1.0
"""Seconds between two looks at the list, and at what is told of the selected instance."""
LOG_EVERY = 0.25
CALM = 0.1
"""Seconds for which a selection has to stay before anything is read for it: one who walks through a list
reads none of what is passed."""

Post = Callable[[Message], bool]
Row = dict[str, Any]


class RowsCame(Message):
    """The list."""

    def __init__(self, rows: list[Row]) -> None:
        super().__init__()
        self.rows = rows


class MasterLost(Message):
    """There is no list, and why."""

    def __init__(self, reason: str, hint: str, *, is_gone: bool) -> None:
        super().__init__()
        self.reason = reason
        self.hint = hint
        self.is_gone = is_gone
        """No master runs."""


class LogBegan(Message):
    """The last lines of the log of an instance."""

    def __init__(self, number: int, lines: list[LogLine]) -> None:
        super().__init__()
        self.number = number
        self.lines = lines


class LogCame(LogBegan):
    """Lines that were added."""


class FactsCame(Message):
    """All about an instance; None: it is gone, or nobody can tell."""

    def __init__(self, number: int, detail: Row | None, why: str) -> None:
        super().__init__()
        self.number = number
        self.detail = detail
        self.why = why
        """In words, or why there are none."""


class EventsCame(Message):
    """The events of an instance, newest first."""

    def __init__(self, number: int, events: list[Row]) -> None:
        super().__init__()
        self.number = number
        self.events = events


class Broken(Message):
    """A bug in a thread, which the screen raises as its own."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Feed:
    """A daemon thread: whoever leaves the screen does not wait for a master that does not answer."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True, name=type(self).__name__)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Look again at once."""
        self._wake.set()

    def stop(self) -> None:
        """Look no more; waits a moment for the thread, if it is not within a question."""
        self._ended = True
        self._wake.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        try:
            while not self._ended:
                pause = self._look()
                self._wake.wait(pause)
                self._wake.clear()
        except Exception as error:  # whatever it is, it is a bug, and must not end a thread in silence
            self._post(Broken(error))
        finally:
            self._close()

    def _look(self) -> float:
        """Look once; gives the seconds until the next look."""
        raise NotImplementedError

    def _close(self) -> None:
        """Close what is open."""


class RowFeed(Feed):
    """Asks for the list."""

    def __init__(self, source: Source, post: Post) -> None:
        super().__init__(post)
        self._source = source

    def _look(self) -> float:
        begun = time.monotonic()
        try:
            self._post(RowsCame(self._source.rows()))
        except PypmError as error:
            self._post(MasterLost(error.message, error.hint or "", is_gone=error.code == "no_master"))
        except OSError as error:
            self._post(MasterLost(str(error), "", is_gone=False))
        return max(EVERY - (time.monotonic() - begun), 0.1)


class Chosen(NamedTuple):
    """What is looked at: the row of an instance, the tab, and how wide it is."""

    row: Row | None = None
    tab: str = "log"
    width: int = 80

    @property
    def number(self) -> int | None:
        """The id of the instance."""
        return None if self.row is None else int(self.row["id"])


class DetailFeed(Feed):
    """Reads what the open tab shows of the selected instance. ``why`` says a detail in words of a width."""

    def __init__(self, source: Source, post: Post, why: Callable[[Row, int], str]) -> None:
        super().__init__(post)
        self._source = source
        self._why = why
        self._chosen = Chosen()
        self._reading: tuple[int, Log] | None = None
        self._read_files: tuple[object, ...] = ()
        """What the log that is read consists of: an id is another one's when all were deleted."""
        self._told: tuple[int | None, str, int] | None = None
        self._facts_at = 0.0

    def choose(self, chosen: Chosen) -> None:
        """Read this from now on."""
        before, self._chosen = self._chosen, chosen
        if (before.number, before.tab, before.width) != (chosen.number, chosen.tab, chosen.width):
            self._wake.set()

    def _look(self) -> float:
        chosen = self._calm()
        if chosen.row is None or self._ended:
            return EVERY
        if chosen.tab == "log":
            self._look_at_log(chosen.row)
            return LOG_EVERY
        key = (chosen.number, chosen.tab, chosen.width)
        now = time.monotonic()
        if key != self._told or now >= self._facts_at:
            self._told, self._facts_at = key, now + EVERY
            self._look_at_facts(chosen, chosen.row)
        return EVERY

    def _calm(self) -> Chosen:
        """What is selected when nothing else has been for a moment."""
        while not self._ended:
            chosen = self._chosen
            if self._reading is not None and self._reading[0] == chosen.number:
                return chosen
            self._wake.wait(CALM)
            self._wake.clear()
            if chosen.number == self._chosen.number:
                return self._chosen
        return self._chosen

    def _look_at_log(self, row: Row) -> None:
        number, files = int(row["id"]), (row["name"], row.get("out_file"), row.get("error_file"))
        try:
            if self._reading is None or self._reading[0] != number or self._read_files != files:
                self._close()
                self._read_files = files
                log = self._source.log(number)
                self._reading = (number, log)
                self._post(LogBegan(number, log.begin()))
            elif lines := self._reading[1].poll():
                self._post(LogCame(number, lines))
        except (PypmError, OSError) as error:
            self._post(LogBegan(number, [LogLine(f"this log cannot be read: {error}", "note")]))

    def _look_at_facts(self, chosen: Chosen, row: Row) -> None:
        number = int(row["id"])
        try:
            if chosen.tab == "events":
                self._post(EventsCame(number, self._source.events(row)))
                return
            detail = self._source.detail(number)
            words = "it is gone" if detail is None else ""
            if detail is not None and chosen.tab == "why":
                words = self._why(detail, chosen.width)
            self._post(FactsCame(number, detail, words))
        except (PypmError, OSError) as error:
            self._post(FactsCame(number, None, f"nobody can tell: {error}"))

    def _close(self) -> None:
        if self._reading is not None:
            self._reading[1].close()
            self._reading = None
