"""Times as PM2's ``log_date_format`` writes them: the letters of moment.js that stand for numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

__all__ = ["LONGEST_DATE", "DateFormatError", "compile_date_format"]

LONGEST_DATE = 80
"""Bytes of a written time at most."""

Part = Callable[[datetime], str]
_WORD = r"\[([^\[\]]*)\]|([A-Za-z])\2*|[^A-Za-z\[\]]+|[\[\]]"
"""Compiled where a format is: each `pypm start` loads this, and few apps have one."""
_LETTERS: dict[str, Part] = {
    "YYYY": lambda moment: f"{moment.year:04d}",
    "YY": lambda moment: f"{moment.year % 100:02d}",
    "MM": lambda moment: f"{moment.month:02d}",
    "M": lambda moment: str(moment.month),
    "DD": lambda moment: f"{moment.day:02d}",
    "D": lambda moment: str(moment.day),
    "HH": lambda moment: f"{moment.hour:02d}",
    "H": lambda moment: str(moment.hour),
    "hh": lambda moment: f"{_twelve(moment):02d}",
    "h": lambda moment: str(_twelve(moment)),
    "mm": lambda moment: f"{moment.minute:02d}",
    "m": lambda moment: str(moment.minute),
    "ss": lambda moment: f"{moment.second:02d}",
    "s": lambda moment: str(moment.second),
    "SSS": lambda moment: f"{moment.microsecond // 1000:03d}",
    "A": lambda moment: "AM" if moment.hour < 12 else "PM",
    "a": lambda moment: "am" if moment.hour < 12 else "pm",
    "Z": lambda moment: _offset(moment, ":"),
    "ZZ": lambda moment: _offset(moment, ""),
    "X": lambda moment: str(_milliseconds(moment) // 1000),
    "x": lambda moment: str(_milliseconds(moment)),
    # No letter of theirs, and in every ISO 8601 time.
    "T": lambda _: "T",
}


class DateFormatError(ValueError):
    """What is wrong with a format, for people."""


def compile_date_format(text: str) -> Part:
    """What writes an aware ``datetime`` in this format, in its own time zone.

    Raises DateFormatError for letters that mean nothing here, and for a format that would not be one short
    line of text.
    """
    if not text.strip() or not text.isprintable():
        raise DateFormatError("expected one line of text")
    parts = [_part(match) for match in re.finditer(_WORD, text)]

    def write(moment: datetime) -> str:
        return "".join([part(moment) for part in parts])

    if len(write(datetime(2028, 12, 30, 23, 59, 59).astimezone()).encode()) > LONGEST_DATE:
        raise DateFormatError(f"times would be longer than {LONGEST_DATE} bytes")
    return write


def _part(match: re.Match[str]) -> Part:
    literal, letter, word = match[1], match[2], match[0]
    if literal is None and (letter or word in ("[", "]")):
        if word not in _LETTERS:
            known = " ".join(name for name in _LETTERS if name != "T")
            raise DateFormatError(f'"{word}" is not known; known are {known}, and text in [brackets]')
        return _LETTERS[word]
    text = word if literal is None else literal
    return lambda _: text


def _twelve(moment: datetime) -> int:
    return moment.hour % 12 or 12


def _milliseconds(moment: datetime) -> int:
    return round(moment.replace(microsecond=0).timestamp()) * 1000 + moment.microsecond // 1000


def _offset(moment: datetime, colon: str) -> str:
    offset = moment.utcoffset()
    minutes = 0 if offset is None else round(offset.total_seconds() / 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}{colon}{abs(minutes) % 60:02d}"
