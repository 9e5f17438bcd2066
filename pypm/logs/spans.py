"""Which bytes of a log are to be read: by time, by run, or its last lines. Nothing else is looked at."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import msgspec

from pypm.logs.compressed import open_plain
from pypm.logs.index import read_index
from pypm.logs.listing import files_of
from pypm.logs.rotation import Generation

__all__ = ["Span", "last_bytes", "last_lines", "of_run", "of_time", "open_here", "whole"]

TRIES = 20
"""How often a log is listed anew because it was rotated meanwhile."""
BLOCK = 65536
WINDOW = 1024 * 1024
"""Bytes of a part of a compressed file whose end nobody knows."""
MARGIN = 1000
"""Milliseconds by which the kernel's clock of files may be behind."""


class Span(msgspec.Struct, frozen=True):
    """A part of one file of a log, in bytes of the plain log."""

    generation: Generation
    start: int = 0
    end: int | None = None
    """``None``: the end of the file."""
    by_lines: bool = False
    """Only lines that begin here, and those to their ends; else these very bytes."""
    continues: bool = False
    """It begins where the span before it ended."""


def whole(files: Sequence[Generation]) -> list[Span]:
    """All that is in these files now."""
    return [
        Span(file, 0, file.size if file.compression == "none" else None, continues=number > 0)
        for number, file in enumerate(files)
    ]


def of_time(spans: Sequence[Span], since: int | None, until: int | None) -> list[Span]:
    """What was received from ``since`` to ``until`` (Unix milliseconds), to the second; a little more may be.

    ``spans`` are whole files, oldest first; those whose last change was before ``since`` are not even opened.
    """
    found: list[Span] = []
    previous: Generation | None = None
    for span in spans:
        file, before, previous = span.generation, previous, span.generation
        if since is not None and file.modified // 1_000_000 + MARGIN < since:
            continue
        index = read_index(file, before)
        start = 0 if since is None else index.offset_since(since)
        end = span.end if until is None else bounded(index.offset_until(until), span.end)
        if end is None or start < end:
            continues = start == 0 and bool(found) and found[-1].end in (None, found[-1].generation.size)
            found.append(Span(file, start, end, by_lines=True, continues=continues))
    return found


def bounded(offset: int, end: int | None) -> int:
    """An offset that is not beyond the end, which may be unknown."""
    return offset if end is None else min(offset, end)


def of_run(spans: Sequence[Span], run: int) -> list[Span]:
    """What a run has written, of these spans; nothing of files without an index."""
    found: list[Span] = []
    for span in reversed(spans):
        index = read_index(span.generation)
        inside = [clipped for limits in index.run_ranges(run) if (clipped := clip(span, *limits))]
        if found and not inside and span.generation.size:
            break  # a run is one piece: what is older is not its output
        found[:0] = inside
    return found


def clip(span: Span, start: int, end: int) -> Span | None:
    """The part of a span between two offsets; ``None`` if there is none."""
    first, last = max(start, span.start), bounded(end, span.end)
    if first >= last:
        return None
    by_lines = span.by_lines and first > start
    return Span(span.generation, first, last, by_lines=by_lines, continues=first == 0)


def last_lines(spans: Sequence[Span], lines: int) -> list[Span]:
    """The end of these spans with the last ``lines`` lines; bytes after the last newline count as one.

    Reads backwards, and not more than these lines are long.
    """
    if lines <= 0:
        return []
    missing = lines
    first = True
    for place in range(len(spans) - 1, -1, -1):
        span = spans[place]
        for start, end in windows(span):
            count, last = newlines(span.generation, start, end)
            if first and last:
                first = False
                missing += last == b"\n"  # this newline ends the last line, it does not begin it
            if count >= missing:
                begin = place_after_newline(span.generation, start, end, count - missing)
                cut = Span(span.generation, begin, span.end)
                return [cut, *spans[place + 1 :]]
            missing -= count
    return list(spans)


def last_bytes(spans: Sequence[Span], count: int) -> list[Span]:
    """The lines that begin in the last ``count`` bytes of these spans, or in a few more."""
    for place in range(len(spans) - 1, -1, -1):
        span = spans[place]
        for start, end in windows(span):
            count -= WINDOW if end is None else end - start
            if count <= 0 and start > span.start:
                cut = Span(span.generation, start, span.end, by_lines=True)
                return [cut, *spans[place + 1 :]]
        if count <= 0:
            break
    return list(spans[place:]) if spans else []


def windows(span: Span) -> Iterator[tuple[int, int | None]]:
    """Parts of a span that can be read by themselves, the last one first."""
    end = span.end
    if span.generation.compression == "none":
        end = span.generation.size if end is None else end
        while end > span.start:
            start = max(end - BLOCK, span.start)
            yield start, end
            end = start
        return
    for start, _ in reversed(read_index(span.generation).members()):
        if (end is None or start < end) and start > span.start:
            yield start, end
            end = start
    yield span.start, end


def newlines(generation: Generation, start: int, end: int | None) -> tuple[int, bytes]:
    """How many newlines are between two offsets, and the last byte there."""
    count, last = 0, b""
    for block in blocks(generation, start, end):
        count += block.count(b"\n")
        last = block[-1:]
    return count, last


def place_after_newline(generation: Generation, start: int, end: int | None, number: int) -> int:
    """The offset after newline ``number`` (from 0) of those between two offsets."""
    offset = start
    for block in blocks(generation, start, end):
        count = block.count(b"\n")
        if count > number:
            place = -1
            for _ in range(number + 1):
                place = block.index(b"\n", place + 1)
            return offset + place + 1
        number -= count
        offset += len(block)
    return offset


def blocks(generation: Generation, start: int, end: int | None) -> Iterator[bytes]:
    """The plain bytes between two offsets, of a rotated file as far as it can be read.

    Raises ``OSError`` for a current file.
    """
    try:
        with open_here(generation, start) as stream:
            rest = end - start if end is not None else None
            while block := stream.read(BLOCK if rest is None else min(BLOCK, rest)):
                yield block
                if rest is not None:
                    rest -= len(block)
    except OSError:
        if not generation.number:
            raise


def open_here(generation: Generation, offset: int) -> BinaryIO:
    """Open a file of a log, wherever rotation has moved it since it was listed, also if compressed by now.

    Raises ``FileNotFoundError`` when it has been deleted, and ``OSError`` as they come.
    """
    for _ in range(TRIES):
        try:
            return open_plain(generation, offset)
        except FileNotFoundError:
            generation = found_again(generation)
    raise FileNotFoundError(errno.ENOENT, "rotated faster than it can be read", generation.path)


def found_again(generation: Generation) -> Generation:
    """The same content under the name that it has now. Raises ``FileNotFoundError`` when it is gone."""
    files = files_of(generation.base)
    same = [file for file in files if file.identity == generation.identity]
    # Compressed files keep the time of the last change of what they were made from.
    same += [file for file in files if file.compression != "none" and file.modified == generation.modified]
    if not same:
        raise FileNotFoundError(errno.ENOENT, "deleted by rotation", generation.path)
    return same[0]
