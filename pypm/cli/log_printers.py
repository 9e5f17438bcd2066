"""How lines of logs look: prefixed for people, raw for pipes, JSON for programs. Bytes in, bytes out."""

from __future__ import annotations

import json
import re
import sys
import zlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from string import Formatter
from typing import NamedTuple

from pypm.cli.log_terminal import harmless, highlighted, last_printed, without_escapes
from pypm.logs.picking import Batch
from pypm.logs.view import Source

__all__ = [
    "JsonPrinter",
    "Look",
    "PrefixPrinter",
    "RawPrinter",
    "TemplatePrinter",
    "flush",
]

COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
"""ANSI colours of instances, by name; no reds, which tell stderr."""
RESET = b"\x1b[0m"
FIELDS = ("time", "name", "app", "id", "stream", "type", "run", "line", "message", "file")
"""What a template may name; ``type`` and ``message`` are PM2's words."""


class Look(NamedTuple):
    """How lines are shown to people."""

    colour: bool = False
    """Names have colours, stderr is told apart, what is searched for is highlighted."""
    terminal: bool = False
    """What a terminal might obey is taken out, except for colours."""
    strip: bool = False
    """Escape sequences are taken out, colours too."""
    highlight: re.Pattern[bytes] | None = None
    write_time: Callable[[datetime], str] | None = None
    """Shows times, in a form of the person's own; ``None``: as ISO 8601."""
    timed: bool = False

    def line(self, line: bytes) -> bytes:
        """What is shown of a line."""
        if self.strip:
            line = without_escapes(line)
        if self.terminal:
            line = harmless(self._at_last(line) if b"\r" in line else line)
        if self.highlight is not None and self.colour:
            line = highlighted(line, self.highlight)
        return line

    def _at_last(self, line: bytes) -> bytes:
        """A line that was printed over, as it was at last, unless what is searched for was there before."""
        last = last_printed(line)
        return line if self.highlight is not None and not self.highlight.search(last) else last

    def time(self, batch: Batch) -> str:
        """When lines came, in the local zone; a dash where it is not known."""
        if not batch.time:
            return "-"
        moment = datetime.fromtimestamp(batch.time / 1000, UTC).astimezone()
        if self.write_time is not None:
            return self.write_time(moment)
        return moment.replace(tzinfo=None).isoformat(" ", "milliseconds" if batch.exact else "seconds")


class RawPrinter:
    """The very bytes: those of stderr go to stderr, all others to stdout."""

    timed = False

    def prepare(self, names: Iterable[str]) -> None:
        """Names are not shown."""

    def show(self, source: Source, batch: Batch) -> None:
        """Write the lines as they are."""
        write(b"".join(batch.lines), to_stderr=source.stream == "error")


class JsonPrinter:
    """One JSON object a line: name, stream, line, file, time, run. Bytes that are not UTF-8 become U+FFFD."""

    timed = True

    def __init__(self, look: Look = Look()) -> None:  # noqa: B008 - a value
        self._look = look

    def prepare(self, names: Iterable[str]) -> None:
        """Names are in every object."""

    def show(self, source: Source, batch: Batch) -> None:
        """Write an object for each line, which is given without its newline."""
        before = json.dumps({"name": source.name, "stream": source.stream})[:-1]
        after = json.dumps({"file": source.file, "time": iso_time(batch), "run": batch.run or None})[1:]
        texts = (self._look.line(line).removesuffix(b"\n").decode(errors="replace") for line in batch.lines)
        entries = (f'{before}, "line": {json.dumps(text)}, {after}\n' for text in texts)
        write("".join(entries).encode())


class PrefixPrinter:
    """``name | line``; with colour, names are coloured and aligned and the bar of stderr is red."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._width = 0
        self.timed = look.timed

    def prepare(self, names: Iterable[str]) -> None:
        """Align to the longest of these names."""
        self._width = max([self._width, *(len(name) for name in names)])

    def show(self, source: Source, batch: Batch) -> None:
        """Write the lines, each with its prefix and a newline."""
        prefix = self._prefix(source, batch)
        write(b"".join(prefix + self._ended(line) for line in batch.lines))

    def _prefix(self, source: Source, batch: Batch) -> bytes:
        time = f"{self._look.time(batch)} " if self.timed else ""
        if not self._look.colour:
            return f"{time}{source.name} | ".encode()
        colour = COLOURS[zlib.crc32(source.name.encode()) % len(COLOURS)]
        bar = "\x1b[31m|\x1b[0m" if source.stream == "error" else "|"
        return f"{time}\x1b[0;{colour}m{source.name:<{self._width}}\x1b[0m {bar} ".encode()

    def _ended(self, line: bytes) -> bytes:
        """The line with its newline, and without a colour that would run into the next prefix."""
        line = self._look.line(line)
        if self._look.colour and b"\x1b" in line:
            return line.removesuffix(b"\n").removesuffix(RESET) + RESET + b"\n"
        return line if line.endswith(b"\n") else line + b"\n"


class TemplatePrinter:
    """Each line as a template says: ``{time} {name} {stream}: {line}``."""

    def __init__(self, template: str, look: Look) -> None:
        """Raises ``ValueError`` for a field that there is not."""
        for _, field, _, conversion in Formatter().parse(template):
            if field is not None and (field not in FIELDS or conversion):
                known = ", ".join(f"{{{name}}}" for name in FIELDS)
                raise ValueError(f"no field {{{field}}}; there are {known}")
        self._template = template + "\n"
        self._look = look
        self.timed = "{time" in template or "{run" in template

    def prepare(self, names: Iterable[str]) -> None:
        """Names are where the template has them."""

    def show(self, source: Source, batch: Batch) -> None:
        """Write the lines, each in its form."""
        fields = {
            "time": self._look.time(batch),
            "name": source.name,
            "app": source.app or source.name,
            "id": source.id,
            "stream": source.stream,
            "type": "err" if source.stream == "error" else source.stream,
            "run": batch.run or "-",
            "file": source.file,
        }
        texts = (self._look.line(line).removesuffix(b"\n") for line in batch.lines)
        for text in (text.decode("utf-8", "surrogateescape") for text in texts):
            entry = self._template.format(**fields, line=text, message=text)
            write(entry.encode("utf-8", "surrogateescape"))


def iso_time(batch: Batch) -> str | None:
    """The time in UTC, with milliseconds where they are known; ``None``: it is not known."""
    if not batch.time:
        return None
    moment = datetime.fromtimestamp(batch.time / 1000, UTC).replace(tzinfo=None)
    return moment.isoformat("T", "milliseconds" if batch.exact else "seconds") + "Z"


def write(data: bytes, *, to_stderr: bool = False) -> None:
    """Write bytes past the text layer, so that they need not be UTF-8; the order of both streams is kept."""
    other, stream = (sys.stdout, sys.stderr) if to_stderr else (sys.stderr, sys.stdout)
    other.buffer.flush()
    stream.buffer.write(data)


def flush() -> None:
    """Let everything that was written be seen. Raises ``BrokenPipeError`` when nobody reads any more."""
    sys.stdout.buffer.flush()
    sys.stderr.buffer.flush()
