"""What of an agent's bytes a terminal may obey: colours, and nothing else."""

from __future__ import annotations

import re

__all__ = ["harmless", "highlighted", "last_printed", "without_escapes"]

SGR = rb"\x1b\[[0-9;:]*m"
"""Select Graphic Rendition: colours, bold and such."""
ESCAPE = (
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # moves of the cursor, clearing
    rb"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|(?=\x1b)|\Z)"  # titles, links, the clipboard
    rb"|\x1b[PX^_][^\x1b]*(?:\x1b\\|(?=\x1b)|\Z)"
    rb"|\x1b[ -/]*[0-~]"
)
CONTROL = rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]"
UNSAFE = re.compile(rb"(%b)|(%b)|(%b)" % (SGR, ESCAPE, CONTROL))
ESCAPES = re.compile(ESCAPE)
RESET = b"\x1b[0m"
OVERPRINTED = "…\r".encode()
"""Stands for what was printed in a line before it was printed over."""


def harmless(line: bytes) -> bytes:
    """A line for a terminal: colours stay, other escape sequences go, other control characters are shown.

    They are shown as ``^A`` or ``\\x9b``. A carriage return at the end of the line is part of it.
    """
    body, end = parted(line)
    if UNSAFE.search(body) is None:
        return line
    body = UNSAFE.sub(shown, body)
    return body + (RESET if b"\x1b" in body else b"") + end


def shown(match: re.Match[bytes]) -> bytes:
    """What stands for something that a terminal might obey."""
    colour, escape, control = match.groups()
    if colour is not None:
        return bytes(colour)
    if escape is not None:
        return b""
    if len(control) == 2:
        return b"\\x%02x" % control[1]
    return b"^" + bytes([control[0] ^ 64])


def last_printed(line: bytes) -> bytes:
    """A line that was printed over several times, as progress bars do: as it was at last, with a mark.

    One that was printed over once stays whole: nothing that is short is to be hidden by a carriage return.
    """
    body, end = parted(line)
    before, _, last = body.rstrip(b"\r").rpartition(b"\r")
    return OVERPRINTED + last + end if b"\r" in before else line


def without_escapes(line: bytes) -> bytes:
    """A line without colours and other escape sequences."""
    return ESCAPES.sub(b"", line) if b"\x1b" in line else line


def highlighted(line: bytes, pattern: re.Pattern[bytes]) -> bytes:
    """A line in which what matches is shown in reverse."""
    body, end = parted(line)
    return pattern.sub(lambda match: b"\x1b[7m" + match[0] + b"\x1b[27m" if match[0] else b"", body) + end


def parted(line: bytes) -> tuple[bytes, bytes]:
    """A line and what ends it."""
    body = line.removesuffix(b"\n").removesuffix(b"\r") if line.endswith(b"\n") else line
    return body, line[len(body) :]
