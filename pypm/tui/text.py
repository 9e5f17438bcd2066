"""What others have written, as text that a terminal shows and does not obey."""

from __future__ import annotations

import re
from unicodedata import combining, east_asian_width

__all__ = ["cut", "display_width", "log_text", "one_line"]

LONGEST = 4096
"""Bytes of a log line that are shown; who needs the rest has ``pypm logs``."""
TAB = 8

ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, moves of the cursor, clearing
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|\Z)"  # titles, links, the clipboard
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\|\Z)"
    r"|\x1b[ -/]*[0-~]?"
)


def log_text(line: bytes) -> str:
    """A line of a log: cut, without escape sequences, with control characters shown as ``^A``.

    Of a line that was printed over again and again, as progress bars do, it is what was there at last.
    """
    text = line[:LONGEST].decode("utf-8", "replace").rstrip("\r\n")
    if not text.isprintable():
        if "\x1b" in text:
            text = ESCAPES.sub("", text)
        _, mark, last = text.rpartition("\r")
        text = "".join(map(_shown, ("…" + last if mark else text).expandtabs(TAB)))
    rest = len(line) - LONGEST
    return f"{text} … ({rest} more bytes)" if rest > 0 else text


def one_line(text: str) -> str:
    """A text of an agent or of a person as one line."""
    if text.isprintable():
        return text
    return "".join(" " if sign.isspace() else _shown(sign) for sign in text).rstrip()


def _shown(sign: str) -> str:
    if sign.isprintable():
        return sign
    code = ord(sign)
    if code < 32 or code == 127:
        return "^" + chr(code ^ 64)
    return "\ufffd"


def display_width(text: str) -> int:
    """How many columns of a terminal a printable text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(sign: str) -> int:
    return 0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1


def cut(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly ``width`` columns: cut with ``…``, or with blanks (``right``: before it)."""
    size = display_width(text)
    if size > width:
        text = _shortened(text, width)
        size = display_width(text)
    padding = " " * (width - size)
    return padding + text if right else text + padding


def _shortened(text: str, width: int) -> str:
    if width <= 0:
        return ""
    if text.isascii():
        return text[: width - 1] + "…"
    kept, room = [], width - 1
    for sign in text:
        room -= _columns(sign)
        if room < 0:
            break
        kept.append(sign)
    return "".join(kept) + "…"
