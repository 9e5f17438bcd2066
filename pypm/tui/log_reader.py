"""The log of one instance as it is shown: its last lines, then what is added, both streams by time."""

from __future__ import annotations

from collections.abc import Iterator

from pypm.logs.catalog import CatalogEntry, read_catalog
from pypm.logs.failures import FailureFinder
from pypm.logs.follow import Follower
from pypm.logs.history import ends_of, follow_from, history, merged
from pypm.logs.lines import Stamped
from pypm.logs.listing import files_of
from pypm.logs.picking import Batch, Picker, Query
from pypm.tui.log_buffer import LogLine
from pypm.tui.text import LONGEST, log_text

__all__ = ["LogReader"]

FIRST = 1000
"""Lines of each stream that are read at first."""
MOST_AT_ONCE = 2000
"""Lines of each stream that are taken of what has come since the last look: nobody reads more."""
REMEMBERED = 4000
"""Lines of which a failure that ends later may be told."""


class LogReader:
    """Reads the log of the instance ``number`` of ``home``. Not for use by several threads at once.

    Raises ``ConfigError`` for a broken state file and ``OSError`` for a log that may not be read.
    """

    def __init__(self, home: str, number: int) -> None:
        entry = next((entry for entry in read_catalog(home) if entry.id == number), None)
        self._follower: Follower[str] = Follower()
        self._streams = {} if entry is None else _streams(entry)
        """Paths and which streams they have."""
        self._date_format = None if entry is None or entry.form != "text" else entry.date_format
        self._recorded = entry is not None and entry.form != "raw"
        query = Query(recorded=self._recorded)
        self._pickers = {path: Picker(query, self._date_format) for path in self._streams}
        self._finders = {path: _Failures() for path in self._streams}

    def begin(self) -> list[LogLine]:
        """The last lines, oldest first; what is added from now on comes with ``poll``."""
        histories: list[tuple[str, Iterator[Batch]]] = []
        for path in self._streams:
            files = files_of(path)
            position = follow_from(files)
            self._follower.add(path, path, position)
            spans = ends_of(files, position)
            found = history(spans, Query(recorded=self._recorded), FIRST, date_format=self._date_format)
            histories.append((path, found))
        lines = [line for path, batch in merged(histories) for line in self._shown(path, batch)]
        for finder in self._finders.values():
            finder.settle()
        return lines

    def poll(self) -> list[LogLine]:
        """Whole lines that have come since the last look; of very many the last ones, and a word about it."""
        came: dict[str, list[bytes]] = {}
        for path, chunk in self._follower.poll():
            came.setdefault(path, []).extend(chunk.lines)
        found: list[LogLine] = []
        for path, lines in came.items():
            if (left_out := len(lines) - MOST_AT_ONCE) > 0:
                found.append(
                    LogLine(f"… {left_out} lines are left out here: more come than can be read", "note")
                )
            stamped = Stamped(0, "", lines[-MOST_AT_ONCE:])
            for batch in self._pickers[path].pick(stamped):
                found += self._shown(path, batch)
        for path, finder in self._finders.items():
            if path not in came:
                finder.settle()
        return found

    def close(self) -> None:
        """Close the files."""
        self._follower.close()

    def _shown(self, path: str, batch: Batch) -> list[LogLine]:
        stream = batch.stream or self._streams[path]
        raws = [line[: LONGEST * 2] for line in batch.lines]
        lines = [LogLine(log_text(whole), stream) for whole in batch.lines]
        self._finders[path].take(raws, lines)
        return lines


def _streams(entry: CatalogEntry) -> dict[str, str]:
    files = entry.files
    paths = {files.out: "out", files.error: "error"}
    found = {path: stream for path, stream in paths.items() if path}
    return found or ({files.combined: "out"} if files.combined else {})


class _Failures:
    """Marks the lines of failures, which are known as such when they have ended."""

    def __init__(self) -> None:
        self._finder = FailureFinder()
        self._lines: dict[int, tuple[bytes, LogLine]] = {}
        """By the identity of the bytes, which are kept, so that it stays theirs."""

    def take(self, raws: list[bytes], lines: list[LogLine]) -> None:
        for raw, line in zip(raws, lines, strict=True):
            self._lines[id(raw)] = (raw, line)
        self._mark(self._finder.feed(raws))
        for key in list(self._lines)[:-REMEMBERED]:
            del self._lines[key]

    def settle(self) -> None:
        """Nothing comes for the moment: what has begun is taken for whole."""
        self._mark(self._finder.flush())

    def _mark(self, groups: list[list[bytes]]) -> None:
        for group in groups:
            for raw in group:
                if (known := self._lines.get(id(raw))) is not None:
                    known[1].is_failure = True
