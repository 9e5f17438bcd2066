"""What logs already hold: their last lines, or all of a time or a run; several are merged by time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from pypm.logs.lines import BLOCK, Chunk, Stamped, Stamps, Unreadable, read_lines
from pypm.logs.picking import Batch, Picker, Query
from pypm.logs.rotation import Generation, Position
from pypm.logs.spans import Span, last_bytes, last_lines, of_run, of_time, open_here, whole

__all__ = ["ends_of", "follow_from", "history", "merged"]

FIRST_LOOK = 1024 * 1024
"""Bytes of a log's end that are searched first for the last lines that match."""
FURTHER = 8
"""How many times as much is searched next."""
LONGEST_PARTIAL = 1024 * 1024

SourceT = TypeVar("SourceT")
Read = Callable[[Sequence[Span]], Iterator[Chunk]]


def follow_from(files: Sequence[Generation]) -> Position | None:
    """Where to go on with a log from here: the beginning of the last line, if that has not ended.

    Raises ``OSError`` as they come.
    """
    if not files:
        return None
    newest = files[-1]
    if newest.compression != "none":
        return Position(newest.identity, newest.size)
    start = max(newest.size - LONGEST_PARTIAL, 0)
    with open_here(newest, start) as stream:
        data = stream.read(newest.size - start)
    end = data.rfind(b"\n") + 1
    # A line that is longer than what is ever held is given in pieces anyway.
    return Position(newest.identity, start + end if end or start == 0 else newest.size)


def ends_of(files: Sequence[Generation], position: Position | None) -> list[Span]:
    """All of these files, up to a position in the newest one."""
    spans = whole(files)
    if spans and position is not None and spans[-1].end is not None:
        newest = spans[-1]
        spans[-1] = Span(newest.generation, 0, position.offset, continues=newest.continues)
    return spans


def history(
    spans: Sequence[Span],
    query: Query,
    lines: int | None,
    *,
    date_format: str | None = None,
    timed: bool = True,
    block: int = BLOCK,
    on_unreadable: Unreadable = lambda _: None,
) -> Iterator[Batch]:
    """What a query asks of some files' bytes, oldest first; with ``lines`` only so many, the last ones.

    With ``errors`` these are so many failures. Without ``timed``, times and runs are left out where nothing
    in the query needs them, which spares opening the index. ``block`` is how many bytes are read at once.
    ``on_unreadable`` is told, perhaps more than once, of rotated files that cannot be read and are left out.
    Raises ``OSError`` for a current one.
    """
    read = partial(read_lines, size=block, on_unreadable=on_unreadable)
    if query.since is not None or query.until is not None:
        spans = of_time(spans, query.since, query.until)
    if query.run is not None:
        inside = of_run(spans, int(query.run, 16))
        spans = inside or (spans if query.recorded else [])
    if lines is None:
        return picked(spans, query, date_format, timed=timed, read=read)
    if lines <= 0:
        return iter(())
    if query.picks or query.run is not None or query.since is not None or query.until is not None:
        return last_picked(spans, query, lines, date_format, timed=timed, read=read)
    return picked(last_lines(spans, lines), query, date_format, timed=timed, read=read)


def picked(
    spans: Sequence[Span], query: Query, date_format: str | None, *, timed: bool, read: Read
) -> Iterator[Batch]:
    """What a query asks of these spans."""
    picker = Picker(query, date_format)
    stamps = Stamps() if timed or query.run is not None else None
    for chunk in read(spans):
        for stamped in untimed(chunk) if stamps is None else stamps.of(chunk):
            yield from picker.pick(stamped)
    yield from picker.flush()


def untimed(chunk: Chunk) -> Iterator[Stamped]:
    """Lines without time and run."""
    yield Stamped(0, "", chunk.lines)


def last_picked(
    spans: Sequence[Span], query: Query, lines: int, date_format: str | None, *, timed: bool, read: Read
) -> Iterator[Batch]:
    """The last lines, or failures, that a query asks for; a growing end of the log is searched for them."""
    size = FIRST_LOOK
    while True:
        end = last_bytes(spans, size)
        kept = Kept(lines, whole_batches=query.errors)
        for batch in picked(end, query, date_format, timed=timed, read=read):
            kept.add(batch)
        if kept.full or end == list(spans):
            return iter(kept.batches)
        size *= FURTHER


class Kept:
    """The last lines of what is added, or the last batches."""

    def __init__(self, most: int, *, whole_batches: bool) -> None:
        self.batches: deque[Batch] = deque()
        self._most = most
        self._whole_batches = whole_batches
        self._count = 0

    @property
    def full(self) -> bool:
        """As many are there as were asked for."""
        return self._count >= self._most

    def add(self, batch: Batch) -> None:
        """Keep a batch, and let go of as much at the other end."""
        self.batches.append(batch)
        self._count += self._size(batch)
        while self._count > self._most:
            first = self.batches.popleft()
            excess = self._count - self._most
            self._count -= self._size(first)
            if self._size(first) > excess:
                rest = first._replace(lines=first.lines[excess:])
                self.batches.appendleft(rest)
                self._count += self._size(rest)

    def _size(self, batch: Batch) -> int:
        return 1 if self._whole_batches else len(batch.lines)


def merged(histories: Sequence[tuple[SourceT, Iterator[Batch]]]) -> Iterator[tuple[SourceT, Batch]]:
    """Several logs as one, by time; what came at the same time stays in the order of the logs."""
    if len(histories) == 1:
        source, batches = histories[0]
        for batch in batches:
            yield source, batch
        return
    ordered = (rising(place, batches) for place, (_, batches) in enumerate(histories))
    for _, place, batch in heapq.merge(*ordered, key=lambda item: item[:2]):
        yield histories[place][0], batch


def rising(place: int, batches: Iterator[Batch]) -> Iterator[tuple[int, int, Batch]]:
    """Batches with a time that never goes down, as a log's order is what counts within it."""
    time = 0
    for batch in batches:
        time = max(time, batch.time)
        yield time, place, batch
