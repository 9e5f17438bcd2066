"""How lines of logs look: prefixed for people, raw for pipes, JSON for programs. Bytes in, bytes out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

__all__ = ["JsonPrinter", "PrefixPrinter", "Printer", "RawPrinter", "Source"]

COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
"""ANSI colours of instances, by id; no reds, which tell stderr."""
RESET = b"\x1b[0m"


class Source(NamedTuple):
    """One stream of one instance (of one app, where instances share a file)."""

    name: str
    stream: str
    """``out``, ``error``, or ``combined`` where only a file of both is kept."""
    file: str
    id: int


class Printer(Protocol):
    """Writes lines, each with its newline if it has one, to where this form belongs."""

    def prepare(self, names: Iterable[str]) -> None:
        """Learn which names will come."""

    def show(self, source: Source, lines: Sequence[bytes]) -> None:
        """Write lines of one source. Raises ``BrokenPipeError`` when nobody reads any more."""


class RawPrinter:
    """The very bytes: those of stderr go to stderr, all others to stdout."""

    def prepare(self, names: Iterable[str]) -> None:
        """Names are not shown."""

    def show(self, source: Source, lines: Sequence[bytes]) -> None:
        """Write the lines as they are."""
        write(b"".join(lines), to_stderr=source.stream == "error")


class JsonPrinter:
    """One JSON object a line: name, stream, line, file. Bytes that are not UTF-8 become U+FFFD."""

    def prepare(self, names: Iterable[str]) -> None:
        """Names are in every object."""

    def show(self, source: Source, lines: Sequence[bytes]) -> None:
        """Write an object for each line, which is given without its newline."""
        objects = (
            {
                "name": source.name,
                "stream": source.stream,
                "line": line.removesuffix(b"\n").decode(errors="replace"),
                "file": source.file,
            }
            for line in lines
        )
        write("".join(json.dumps(entry) + "\n" for entry in objects).encode())


class PrefixPrinter:
    """``name | line``; with ``colour``, names are coloured and aligned and the bar of stderr is red."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour
        self._width = 0

    def prepare(self, names: Iterable[str]) -> None:
        """Align to the longest of these names."""
        self._width = max([self._width, *(len(name) for name in names)])

    def show(self, source: Source, lines: Sequence[bytes]) -> None:
        """Write the lines, each with its prefix and a newline."""
        prefix = self._prefix(source)
        write(b"".join(prefix + self._ended(line) for line in lines))

    def _prefix(self, source: Source) -> bytes:
        if not self._colour:
            return f"{source.name} | ".encode()
        colour = COLOURS[source.id % len(COLOURS)]
        bar = "\x1b[31m|\x1b[0m" if source.stream == "error" else "|"
        return f"\x1b[0;{colour}m{source.name:<{self._width}}\x1b[0m {bar} ".encode()

    def _ended(self, line: bytes) -> bytes:
        """The line with its newline, and without a colour that would run into the next prefix."""
        if self._colour and b"\x1b" in line:
            return line.removesuffix(b"\n") + RESET + b"\n"
        return line if line.endswith(b"\n") else line + b"\n"


def write(data: bytes, *, to_stderr: bool = False) -> None:
    """Write bytes past the text layer, so that they need not be UTF-8, and at once."""
    stream = (sys.stderr if to_stderr else sys.stdout).buffer
    stream.write(data)
    stream.flush()
