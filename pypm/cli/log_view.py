"""What ``pypm logs`` looks at: the logs that targets name, first their ends and then what is added."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator, Sequence

from pypm.cli.log_printers import Printer, Source
from pypm.core.errors import NotFoundError
from pypm.core.targets import match
from pypm.logs.catalog import CatalogEntry, catalog_file, read_catalog
from pypm.logs.follow import Follower
from pypm.logs.reader import read_tail
from pypm.logs.rotation import Position

__all__ = ["LogView"]

CATALOG_EVERY = 1.0
"""Seconds between two looks at whether there are other instances."""
STREAMS = frozenset({"out", "error"})


class LogView:
    """Prints logs of the instances that ``targets`` name (all, if there are none).

    It reads files only: it needs no master and cannot slow one. ``begin`` prints the last lines; then each
    ``look`` prints what has come since, also from instances that are new, and never waits; ``finish`` prints
    what has come of lines without an end.
    """

    def __init__(
        self,
        home: str,
        targets: Sequence[str],
        printer: Printer,
        *,
        streams: Collection[str] = STREAMS,
        lines: int = 15,
    ) -> None:
        self._home = home
        self._targets = list(targets)
        self._printer = printer
        self._streams = streams
        self._lines = lines
        self._follower: Follower[Source] = Follower()
        self._shown: set[str] = set()
        self._ends: dict[str, Position] = {}
        self._catalog_mark: tuple[int, int] | None = None
        self._catalog_at = 0.0

    def begin(self, *, follow: bool) -> int:
        """Print the last lines of each stream; gives how many instances there are.

        With ``follow``, a line without an end is left to be printed when it ends.

        Raises ``NotFoundError`` for a target that names nothing, ``ConfigError`` for a broken state file and
        ``OSError`` for a log that may not be read.
        """
        self._ends = ends(os.path.join(self._home, "logs"))
        self._catalog_at = time.monotonic() + CATALOG_EVERY
        self._catalog_mark = self._mark()
        entries = read_catalog(self._home)
        if self._targets:
            entries = match(self._targets, entries)
        for source in self._new_sources(entries):
            self._show_end(source, follow=follow)
        return len(entries)

    def look(self) -> bool:
        """Print what has come; ``False``: nothing has, so wait a little. Raises as ``begin``."""
        self._look_for_instances()
        return self._show(self._follower.poll())

    def finish(self) -> None:
        """Print what has come of lines that have not ended, and close the files."""
        self._show(self._follower.flush())
        self._follower.close()

    def _show(self, came: list[tuple[Source, list[bytes]]]) -> bool:
        for source, lines in came:
            self._printer.show(source, lines)
        return bool(came)

    def _show_end(self, source: Source, *, follow: bool) -> None:
        end = read_tail(source.file, self._lines)
        lines, partial = end.lines, b""
        if follow and lines and not lines[-1].endswith(b"\n"):
            lines, partial = lines[:-1], lines[-1]
        self._follower.add(source, source.file, end.position, partial)
        if lines:
            self._printer.show(source, lines)

    def _look_for_instances(self) -> None:
        """Add what is new in the catalog, at most once a second and only if it has changed."""
        if time.monotonic() < self._catalog_at:
            return
        self._catalog_at = time.monotonic() + CATALOG_EVERY
        mark = self._mark()
        if mark == self._catalog_mark:
            return
        self._catalog_mark = mark
        for source in self._new_sources(self._chosen(read_catalog(self._home))):
            self._add_late(source)

    def _add_late(self, source: Source) -> None:
        """Follow an instance that came while we looked: all that it wrote since we began, and no more."""
        in_logs_folder = os.path.dirname(source.file) == os.path.join(self._home, "logs")
        if in_logs_folder or source.file in self._ends:
            self._follower.add(source, source.file, self._ends.get(source.file))
        else:
            self._show_end(source, follow=True)

    def _chosen(self, entries: list[CatalogEntry]) -> list[CatalogEntry]:
        """What the targets name by now; a target may cease to name anything."""
        if not self._targets:
            return entries
        chosen: dict[int, CatalogEntry] = {}
        for target in self._targets:
            with contextlib.suppress(NotFoundError):
                chosen.update((entry.id, entry) for entry in match([target], entries))
        return list(chosen.values())

    def _new_sources(self, entries: list[CatalogEntry]) -> list[Source]:
        """The streams that are not shown yet, each file once, however many write into it."""
        found: list[Source] = []
        for source in (source for entry in entries for source in sources(entry, self._streams)):
            if source.file not in self._shown:
                self._shown.add(source.file)
                found.append(source)
        self._printer.prepare(source.name for source in found)
        return found

    def _mark(self) -> tuple[int, int] | None:
        try:
            status = os.stat(catalog_file(self._home))
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


def sources(entry: CatalogEntry, streams: Collection[str]) -> Iterator[Source]:
    """The streams of an instance; its combined file only where no stream has a file of its own."""
    name = entry.app if entry.merged else entry.name
    files = {"out": entry.files.out, "error": entry.files.error}
    if set(streams) == STREAMS and not any(files.values()):
        files = {"combined": entry.files.combined}
        streams = files
    for stream, file in files.items():
        if file is not None and stream in streams:
            yield Source(name, stream, file, entry.id)


def ends(folder: str) -> dict[str, Position]:
    """Where the files of a folder end now, by path."""
    found: dict[str, Position] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as listing:
        for item in listing:
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(item.path)
                found[item.path] = Position((status.st_dev, status.st_ino), status.st_size)
    return found
