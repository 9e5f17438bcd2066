"""The logs that targets name: what they hold, then what is added. For `pypm logs` and for `Client.logs`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import msgspec

from pypm.core.errors import NotFoundError
from pypm.core.targets import match
from pypm.logs.catalog import CatalogEntry, catalog_file, read_catalog
from pypm.logs.follow import Follower
from pypm.logs.history import ends_of, follow_from, history, merged
from pypm.logs.lines import BLOCK, Chunk, Stamped, Stamps
from pypm.logs.listing import files_of_all
from pypm.logs.picking import Batch, Picker, Query
from pypm.logs.rotation import Position
from pypm.logs.spans import whole
from pypm.logs.watch import LogWatch

__all__ = ["STREAMS", "LogView", "Printer", "Source"]

CATALOG_EVERY = 0.5
"""Seconds between two looks at whether there are other instances."""
SILENCE = 0.3
"""Seconds after which a failure is shown although no other line has told its end."""
BYTES_AT_ONCE = 16 * 1024 * 1024
"""Bytes that are read at once of all logs together, where many are merged."""
STREAMS = frozenset({"out", "error"})


class Source(NamedTuple):
    """One stream of one instance (of one app, where instances share a file)."""

    name: str
    stream: str
    """``out``, ``error``, or ``combined`` where only a file of both is kept."""
    file: str
    id: int
    app: str = ""
    date_format: str | None = None
    """That of the times in its records, where it is not ISO 8601."""


class Printer(Protocol):
    """Writes lines, each with its newline if it has one, to where this form belongs."""

    @property
    def timed(self) -> bool:
        """Whether it shows times or runs."""

    def prepare(self, names: Iterable[str]) -> None:
        """Learn which names will come."""

    def show(self, source: Source, batch: Batch) -> None:
        """Write lines of one source. Raises ``BrokenPipeError`` when nobody reads any more."""


class LogView:
    """Prints logs of the instances that ``targets`` name (all, if there are none).

    It reads files only: it needs no master and cannot slow one. ``begin`` prints what the logs hold, the last
    ``lines`` of each stream or, where that is ``None``, all that ``query`` asks for; then each ``look`` waits
    and prints what has come, also from instances that are new; ``finish`` prints what has come of lines
    without an end. ``runs`` are the runs to show, by instance id; ``None``: whatever runs.
    ``flush`` is called when what was printed is to be seen, ``note`` with words for the reader.
    """

    def __init__(
        self,
        home: str,
        targets: Sequence[str],
        printer: Printer,
        *,
        query: Query = Query(),  # noqa: B008 - a value
        streams: Collection[str] = STREAMS,
        lines: int | None = 15,
        runs: dict[int, str] | None = None,
        flush: Callable[[], None] = lambda: None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._home = home
        self._targets = list(targets)
        self._printer = printer
        self._query = query
        self._streams = streams
        self._lines = lines
        self._runs = runs
        self._flush = flush
        self._note = note
        self._follower: Follower[str] = Follower()
        self._watch: LogWatch | None = None
        self._shown: dict[str, tuple[Source, CatalogEntry]] = {}
        """What is shown, by the path of its file."""
        self._pickers: dict[str, Picker] = {}
        self._names: dict[str, str] = {}
        """Instances by the ids of their runs."""
        self._ends: dict[str, Position] = {}
        self._unreadable: set[str] = set()
        """Rotated files that have been told of."""
        self._busy: set[str] = set()
        """Paths of which more may be there to be read."""
        self._catalog_at = 0.0
        self._catalog_changed = False

    def begin(self, *, follow: bool) -> int:
        """Print what the logs hold; gives how many instances there are.

        With ``follow``, a line without an end is left to be printed when it ends.

        Raises ``NotFoundError`` for a target that names nothing, ``ConfigError`` for a broken state file and
        ``OSError`` for a log that may not be read.
        """
        if follow:
            self._watch = LogWatch()
            self._watch.add(catalog_file(self._home))
            self._ends = ends(os.path.join(self._home, "logs"))
        self._catalog_at = time.monotonic() + CATALOG_EVERY
        entries = read_catalog(self._home)
        if self._targets:
            entries = match(self._targets, entries)
        self._show_history(self._new_paths(entries), follow=follow)
        return len(entries)

    @property
    def no_notices(self) -> str | None:
        """Why changes of files are looked for again and again, as the kernel does not tell them."""
        return self._watch.reason if self._watch is not None else None

    def look(self, ending: int, seconds: float | None = None) -> None:
        """Wait until something comes (at most ``seconds``, or a few) and print it.

        ``ending`` is a descriptor; the wait ends when its reader has gone. Raises as ``begin``.
        """
        assert self._watch is not None
        changed = self._watch.wait(self._longest(seconds), ending)
        if changed is None or catalog_file(self._home) in changed:
            self._catalog_changed = True
        if self._catalog_changed and time.monotonic() >= self._catalog_at:
            self._look_for_instances()
        came = self._follower.poll(None if changed is None else self._busy.union(changed))
        self._busy = {path for path, _ in came}
        for path, chunk in came:
            self._show_chunk(path, chunk)
        if not came:
            self._show_pending()
        self._flush()

    def finish(self) -> None:
        """Print what has come of lines that have not ended, and close the files."""
        for path, chunk in self._follower.flush():
            self._show_chunk(path, chunk)
        self._show_pending()
        self._follower.close()
        if self._watch is not None:
            self._watch.close()
        self._flush()

    def _longest(self, seconds: float | None) -> float | None:
        """How long to wait for a change."""
        limits = [] if seconds is None else [seconds]
        if self._busy:
            limits.append(0.0)
        if self._catalog_changed:
            limits.append(self._catalog_at - time.monotonic())
        if any(picker.pending for picker in self._pickers.values()):
            limits.append(SILENCE)
        return max(min(limits), 0.0) if limits else None

    def _show_history(self, paths: Sequence[str], *, follow: bool) -> None:
        block = max(min(BYTES_AT_ONCE // max(len(paths), 1), BLOCK), 4096)
        timed = self._printer.timed or len(paths) > 1
        histories: list[tuple[str, Iterator[Batch]]] = []
        for path, files in files_of_all(paths).items():
            spans = whole(files)
            lines = self._lines
            if follow:
                position = follow_from(files)
                spans = ends_of(files, position)
                if lines and position and position.offset < files[-1].size and not self._query.picks:
                    lines -= 1  # the line that has not ended is one of them, and comes when it ends
                self._follow(path, position)
            source, entry = self._shown[path]
            query, form = self._query_of(entry), source.date_format
            found = history(
                spans,
                query,
                lines,
                date_format=form,
                timed=timed,
                block=block,
                on_unreadable=self._tell_unreadable,
            )
            histories.append((path, found))
        for path, batch in merged(histories):
            self._show(path, batch)
        self._flush()

    def _tell_unreadable(self, error: OSError) -> None:
        """Tell once of a rotated file that is left out."""
        if error.filename not in self._unreadable:
            self._unreadable.add(error.filename)
            self._note(f"pypm: {error.filename}: {error.strerror}; the rest of it is left out")

    def _query_of(self, entry: CatalogEntry) -> Query:
        run = None if self._runs is None else self._runs.get(entry.id, "")
        return msgspec.structs.replace(self._query, run=run, recorded=entry.form != "raw")

    def _follow(self, path: str, position: Position | None) -> None:
        assert self._watch is not None
        source, entry = self._shown[path]
        self._pickers[path] = Picker(self._query_of(entry), source.date_format)
        self._watch.add(path)
        self._follower.add(path, path, position)
        self._busy.add(path)

    def _show_chunk(self, path: str, chunk: Chunk) -> None:
        """Print of lines that have come what is asked for."""
        picker = self._pickers[path]
        timed = self._printer.timed or self._runs is not None
        # An index that grows is opened anew.
        stamped = Stamps().of(chunk) if timed else [Stamped(0, "", chunk.lines)]
        for each in stamped:
            for batch in picker.pick(each):
                self._show(path, batch)

    def _show_pending(self) -> None:
        for path, picker in self._pickers.items():
            for batch in picker.flush():
                self._show(path, batch)

    def _show(self, path: str, batch: Batch) -> None:
        """Print a batch, as of the instance and the stream that its record tells."""
        source, entry = self._shown[path]
        if batch.stream and source.stream == "combined":
            source = source._replace(stream=batch.stream)
        if entry.merged and (name := batch.name or self._names.get(batch.run)):
            source = source._replace(name=name)
        self._printer.show(source, batch)

    def _look_for_instances(self) -> None:
        """Add what is new in the catalog."""
        self._catalog_changed = False
        self._catalog_at = time.monotonic() + CATALOG_EVERY
        for path in self._new_paths(self._chosen(read_catalog(self._home))):
            self._add_late(path)

    def _add_late(self, path: str) -> None:
        """Follow an instance that came while we looked: all that it wrote since we began, and no more."""
        if os.path.dirname(path) == os.path.join(self._home, "logs") or path in self._ends:
            self._follow(path, self._ends.get(path))
        else:
            self._show_history([path], follow=True)

    def _chosen(self, entries: list[CatalogEntry]) -> list[CatalogEntry]:
        """What the targets name by now; a target may cease to name anything."""
        if not self._targets:
            return entries
        chosen: dict[int, CatalogEntry] = {}
        for target in self._targets:
            with contextlib.suppress(NotFoundError):
                chosen.update((entry.id, entry) for entry in match([target], entries))
        return list(chosen.values())

    def _new_paths(self, entries: list[CatalogEntry]) -> list[str]:
        """The files that are not shown yet, each once, however many write into it."""
        found: list[str] = []
        for entry in entries:
            self._names.update(dict.fromkeys(entry.runs, entry.name))
            if self._runs is not None and entry.id not in self._runs:
                continue
            for source in sources(entry, self._streams):
                if source.file not in self._shown:
                    self._shown[source.file] = (source, entry)
                    found.append(source.file)
        self._printer.prepare(self._shown[path][0].name for path in found)
        return found


def sources(entry: CatalogEntry, streams: Collection[str]) -> Iterator[Source]:
    """The streams of an instance; its combined file only where no stream has a file of its own."""
    name = entry.app if entry.merged else entry.name
    files = {"out": entry.files.out, "error": entry.files.error}
    if set(streams) == STREAMS and not any(files.values()):
        files = {"combined": entry.files.combined}
        streams = files
    for stream, file in files.items():
        if file is not None and stream in streams:
            form = entry.date_format if entry.form == "text" else None
            yield Source(name, stream, file, entry.id, entry.app, form)


def ends(folder: str) -> dict[str, Position]:
    """Where the files of a folder end now, by path."""
    found: dict[str, Position] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as listing:
        for item in listing:
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(item.path)
                found[item.path] = Position((status.st_dev, status.st_ino), status.st_size)
    return found
