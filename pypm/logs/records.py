"""Lines to records: a frame with time, stream and run around each line, over whole chunks at once; pure.

Between two records of a run is a newline of the agent, unless the second one continues the first one. So
the agent's bytes can be had back; only whether a run's last words had a newline is told by JSON alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring
from typing import Literal, NamedTuple

import msgspec

from pypm.core.date_format import compile_date_format
from pypm.logs.redact import Redactor

__all__ = ["Framer", "Framing", "LineState", "Measure"]

Form = Literal["raw", "lines", "text", "json"]
"""``raw`` is bytes as they come, ``lines`` the same bytes by whole lines."""
FRAMED = ("text", "json")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SEPARATORS = b"\x7f`^~|@#$"
"""Bytes that JSON takes as they are; one that a chunk has not stands for its newlines."""


class LineState:
    """What the bytes that come next belong to."""

    NEW = 0
    """A line that begins."""
    CONTINUED = 1
    """A line whose beginning is in a record."""
    MASKED = 2
    """A line of which all the rest is masked."""
    VERBATIM = 3
    """A line whose beginning is in the file without a frame."""


class Framing(msgspec.Struct, frozen=True):
    """All that the records of a stream depend on, beside their lines and times."""

    form: Form
    stream: Literal["out", "err"]
    instance_id: int
    name: str
    """The instance's."""
    run_id: str
    """12 hexadecimal digits."""
    max_line: int
    """Bytes of one record at most."""
    date_format: str | None = None
    patterns: tuple[str, ...] = ()
    secrets: tuple[bytes, ...] = ()


class Measure(NamedTuple):
    """How much of the waiting bytes is ready to be written."""

    size: int
    state: int
    """The LineState after these bytes."""


class Framer:
    """Frames the lines of one stream. The same bytes, state and time always give the same records."""

    def __init__(self, framing: Framing) -> None:
        self.framing = framing
        self._redactor = None
        if framing.patterns or framing.secrets:
            self._redactor = Redactor(framing.patterns, framing.secrets)
        self._hold = 0 if self._redactor is None else self._redactor.hold
        self.longest_wait = framing.max_line + self._hold
        """Bytes of a line's beginning that can wait for its end."""
        self._write_date: Callable[[datetime], str] | None = None
        if framing.date_format is not None:
            self._write_date = compile_date_format(framing.date_format)

    def measure(self, data: bytes, state: int, *, flush: bool) -> Measure:
        """How much of ``data``, which waits, can be framed now: whole lines, and pieces of too long ones.

        With ``flush``, all: the line that was begun goes too. What could be the beginning of a secret is
        not cut, as far as it has at most 4 KiB.
        """
        if self.framing.form == "raw":
            return Measure(len(data), LineState.NEW)
        end = data.rfind(b"\n") + 1
        if end == len(data):
            return Measure(end, LineState.NEW)
        if not end and state in (LineState.MASKED, LineState.VERBATIM):
            return Measure(len(data), state)
        if flush:
            return Measure(len(data), LineState.CONTINUED)
        if len(data) - end > self.longest_wait:
            size, after = self._piece(data[end:])
            return Measure(end + size, after)
        return Measure(end, LineState.NEW if end else state)

    def frame(self, data: bytes, state: int, milliseconds: int) -> bytes:
        """The records of ``data``, which is as much as was measured, received at a Unix time."""
        if state in (LineState.VERBATIM, LineState.MASKED):
            end = data.find(b"\n") + 1 or len(data)
            verbatim = data[:end] if state == LineState.VERBATIM else b""
            return verbatim + self.frame(data[end:], LineState.NEW, milliseconds)
        if not data or self.framing.form not in FRAMED:
            return data
        if self._redactor is not None:
            data = self._redactor.mask(data)
        frame = self._frame_text if self.framing.form == "text" else self._frame_json
        return frame(data, milliseconds, continued=state == LineState.CONTINUED)

    def _piece(self, rest: bytes) -> tuple[int, int]:
        """How much of the beginning of a line that is too long is written now."""
        if self._redactor is None:
            longest = self.framing.max_line
            return character_end(rest, (len(rest) - 1) // longest * longest), LineState.CONTINUED
        cut = character_end(rest, len(rest) - self._hold)
        for start, end in self._redactor.spans(rest):
            if start < cut < end:
                if start:
                    cut = start
                elif end < len(rest):
                    cut = end
                else:  # nobody knows where this one ends
                    return len(rest), LineState.MASKED
        return cut, LineState.CONTINUED

    def _stamp(self, milliseconds: int) -> str:
        if self._write_date is not None:
            return self._write_date((EPOCH + timedelta(milliseconds=milliseconds)).astimezone())
        seconds, rest = divmod(milliseconds, 1000)
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}Z"

    def _frame_text(self, data: bytes, milliseconds: int, *, continued: bool) -> bytes:
        framing = self.framing
        source = f"{self._stamp(milliseconds)} {framing.stream} {framing.run_id}".encode()
        beginning, going_on = source + b" ", source + b"+ "
        first = going_on if continued else beginning
        if has_longer(data, framing.max_line):
            pieces = split_pieces(data, framing.max_line, continued=continued)
            return b"".join(
                b"%b%b\n" % (going_on if piece.continued else beginning, piece.text) for piece in pieces
            )
        lines = data[:-1] if data.endswith(b"\n") else data
        return b"".join((first, lines.replace(b"\n", b"\n" + beginning), b"\n"))

    def _frame_json(self, data: bytes, milliseconds: int, *, continued: bool) -> bytes:
        beginning = self._json_beginning(milliseconds)
        longest = self.framing.max_line
        separator = next((bytes([each]) for each in SEPARATORS if each not in data), None)
        if separator is None or has_longer(data, longest):
            pieces = split_pieces(data, longest, continued=continued)
            return b"".join(self._json_record(beginning, piece) for piece in pieces)
        partial = not data.endswith(b"\n")
        lines = data if partial else data[:-1]
        encoded = encode_json(lines.replace(b"\n", separator))
        first = beginning.replace(b'"message":', b'"continued":true,"message":') if continued else beginning
        last = b',"partial":true}\n' if partial else b"}\n"
        return b"".join((first, encoded.replace(separator, b'"}\n' + beginning + b'"'), last))

    def _json_beginning(self, milliseconds: int) -> bytes:
        framing = self.framing
        fields = {
            "timestamp": self._stamp(milliseconds),
            "type": framing.stream,
            "process_id": framing.instance_id,
            "app_name": framing.name,
            "run_id": framing.run_id,
        }
        return msgspec.json.encode(fields)[:-1] + b',"message":'

    def _json_record(self, beginning: bytes, piece: Piece) -> bytes:
        continued = b'"continued":true,' if piece.continued else b""
        partial = b',"partial":true}\n' if piece.partial else b"}\n"
        head = beginning.removesuffix(b'"message":')
        return b"".join((head, continued, b'"message":', encode_json(piece.text), partial))


class Piece(NamedTuple):
    """A line or a part of one."""

    text: bytes
    continued: bool
    partial: bool


def encode_json(text: bytes) -> bytes:
    """A JSON string; bytes that are no UTF-8 are in it as lone surrogates (PEP 383)."""
    try:
        return msgspec.json.encode(text.decode())
    except UnicodeDecodeError:
        escaped: str = encode_basestring(text.decode("utf-8", "surrogateescape"))
        return escaped.encode("utf-8", "backslashreplace")


def has_longer(data: bytes, longest: int) -> bool:
    """Whether a line has more than ``longest`` bytes: looks once in so many bytes, not at every line."""
    place = 0
    while len(data) - place > longest:
        end = data.rfind(b"\n", place, place + longest + 1)
        if end < 0:
            return True
        place = end + 1
    return False


def split_pieces(data: bytes, longest: int, *, continued: bool) -> Iterator[Piece]:
    """Line by line, each in pieces of at most ``longest`` bytes."""
    lines = data.split(b"\n")
    ended = lines[-1] == b""
    if ended:
        lines.pop()
    for number, line in enumerate(lines):
        unended = number == len(lines) - 1 and not ended
        place = 0
        while len(line) - place > longest:
            end = place + character_end(line[place : place + longest + 1], longest)
            yield Piece(line[place:end], continued, True)
            place, continued = end, True
        yield Piece(line[place:], continued, unended)
        continued = False


def character_end(text: bytes, place: int) -> int:
    """The place, or up to three bytes before it, where no UTF-8 character is cut; never 0."""
    for earlier in range(place, max(place - 4, 0), -1):
        if text[earlier] & 0xC0 != 0x80:
            return earlier
    return place
