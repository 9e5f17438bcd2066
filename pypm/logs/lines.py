"""Reading parts of a log by lines, with the time and the run of each; at the reader's own pace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from pypm.logs.index import Index, read_index
from pypm.logs.rotation import Generation
from pypm.logs.spans import Span, open_here

__all__ = ["Chunk", "Joiner", "Stamped", "Stamps", "read_lines", "split_lines"]

BLOCK = 131072
Unreadable = Callable[[OSError], None]
LONGEST_PIECE = 1024 * 1024
"""Bytes after which a line that has not ended is given in pieces."""


class Chunk(NamedTuple):
    """Lines that follow each other, with their newlines; pieces of a long line and the last may have none."""

    generation: Generation
    """The file in which the first of them begins."""
    offset: int
    """Where it begins there, in plain bytes."""
    lines: list[bytes]


class Stamped(NamedTuple):
    """Lines that came within the same second, from the same run."""

    time: int
    """Milliseconds since 1970; 0: not known."""
    run: str
    """Empty: not known."""
    lines: list[bytes]


def read_lines(
    spans: Sequence[Span], size: int = BLOCK, on_unreadable: Unreadable = lambda _: None
) -> Iterator[Chunk]:
    """The lines of these spans, read by blocks of ``size`` bytes. Of a line 1 MiB is held at a time.

    A file that rotation has deleted meanwhile is left out, and so is, from there on, a rotated file that is
    damaged or may not be read, of which ``on_unreadable`` is told. Raises ``OSError`` for a current one.
    """
    joiner = Joiner()
    for span in spans:
        if not span.continues:
            yield from joiner.flush()
        try:
            yield from read_span(span, joiner, size)
        except FileNotFoundError:
            continue
        except OSError as error:
            if not span.generation.number:
                raise
            on_unreadable(error)
            yield from joiner.flush()
    yield from joiner.flush()


def read_span(span: Span, joiner: Joiner, size: int) -> Iterator[Chunk]:
    """The lines of one span; what has not ended stays in the joiner."""
    skipping = span.by_lines and span.start > 0
    offset = span.start - 1 if skipping else span.start
    with open_here(span.generation, offset) as stream:
        while block := stream.read(limit(span, offset, size)):
            at, offset = offset, offset + len(block)
            if skipping:
                # What begins before the span is not of it, however long it is.
                end = block.find(b"\n") + 1
                if end == 0:
                    continue
                skipping = False
                block, at = block[end:], at + end
            if span.by_lines and span.end is not None and offset >= span.end:
                yield from joiner.add(span.generation, at, ended(block, at, span.end))
                if ends_here(block, at, span.end):
                    return
                continue
            yield from joiner.add(span.generation, at, block)


def limit(span: Span, offset: int, size: int) -> int:
    """How many bytes to read next: by lines the last line is read to its end."""
    if span.end is None or span.by_lines:
        return size
    return max(min(size, span.end - offset), 0)


def ended(block: bytes, at: int, end: int) -> bytes:
    """A block up to the end of the last line that begins before the offset ``end``."""
    if at + len(block) < end:
        return block
    place = block.find(b"\n", max(end - at - 1, 0))
    return block if place < 0 else block[: place + 1]


def ends_here(block: bytes, at: int, end: int) -> bool:
    """Whether the last line that begins before ``end`` ends in this block."""
    return at + len(block) >= end and block.find(b"\n", max(end - at - 1, 0)) >= 0


def split_lines(data: bytes) -> list[bytes]:
    """The lines of ``data`` with their newlines; unlike ``splitlines``, a carriage return is no line end."""
    *whole, rest = data.split(b"\n")
    lines = [line + b"\n" for line in whole]
    if rest:
        lines.append(rest)
    return lines


class Joiner:
    """Makes lines of blocks, and remembers where the first of them begins."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._begins: tuple[Generation, int] | None = None

    def add(self, generation: Generation, offset: int, block: bytes) -> Iterator[Chunk]:
        """The lines that a block completes."""
        if not block:
            return
        end = block.rfind(b"\n") + 1
        begins = self._begins or (generation, offset)
        if end:
            data = bytes(self._partial) + block[:end] if self._partial else block[:end]
            yield Chunk(*begins, split_lines(data))
            self._partial = bytearray(block[end:])
            self._begins = (generation, offset + end) if self._partial else None
        else:
            self._partial += block
            self._begins = begins
        if len(self._partial) > LONGEST_PIECE:
            yield from self.flush()

    def flush(self) -> Iterator[Chunk]:
        """The line that has not ended."""
        if self._partial:
            assert self._begins is not None
            yield Chunk(*self._begins, [bytes(self._partial)])
        self._partial.clear()
        self._begins = None


class Stamps:
    """Tells of lines when they came and from which run, by the indexes; the lines come in their order."""

    def __init__(self) -> None:
        self._generation: Generation | None = None
        self._index: Index | None = None
        self._records: Iterator[tuple[int, int, int]] = iter(())
        self._now: tuple[int, int, int] = (0, 0, 0)
        self._next: tuple[int, int, int] | None = None

    def of(self, chunk: Chunk) -> Iterator[Stamped]:
        """The lines of a chunk, parted where the time or the run changes."""
        self._go_to(chunk)
        offset, begin = chunk.offset, 0
        for number, line in enumerate(chunk.lines):
            if self._next is not None and self._next[1] <= offset:
                if number > begin:
                    yield self._stamped(chunk.lines[begin:number])
                begin = number
                self._advance(offset)
            offset += len(line)
        if begin < len(chunk.lines):
            yield self._stamped(chunk.lines[begin:])

    def _go_to(self, chunk: Chunk) -> None:
        if self._generation is None or self._generation.identity != chunk.generation.identity:
            self._generation = chunk.generation
            self._index = read_index(chunk.generation)
            self._seek(chunk.offset)
        elif self._now[1] > chunk.offset:
            self._seek(chunk.offset)
        else:
            self._advance(chunk.offset)

    def _seek(self, offset: int) -> None:
        assert self._index is not None
        self._records = self._index.records_from(offset)
        self._now = next(self._records, (0, 0, 0))
        self._next = next(self._records, None)

    def _advance(self, offset: int) -> None:
        while self._next is not None and self._next[1] <= offset:
            self._now, self._next = self._next, next(self._records, None)

    def _stamped(self, lines: list[bytes]) -> Stamped:
        time, _, run = self._now
        return Stamped(time, f"{run:012x}" if run else "", lines)
