"""Records as the master writes them with ``form = "text"`` or ``"json"``, taken apart again; pure.

What is no record is told as that, so a file may hold records and plain lines after a change of form.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import NamedTuple

__all__ = ["Record", "dated_pattern", "may_be_record", "parse_record"]

TEXT = re.compile(
    rb"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z) (out|err) ([0-9a-f]{12})(\+?) (.*)",
    re.DOTALL,
)
JSON_BEGINNING = b'{"timestamp":"'
STREAMS = {"out": "out", "err": "error"}


class Record(NamedTuple):
    """A line that tells where it comes from."""

    time: int | None
    """Milliseconds since 1970; ``None``: written in a form of the person's own."""
    stream: str
    """``out`` or ``error``."""
    run: str
    continued: bool
    """It goes on with a line that was too long for one record."""
    message: bytes
    """With the newline, if the record has one."""
    name: str = ""
    """The instance; empty where the form does not tell it."""


def may_be_record(line: bytes) -> bool:
    """Whether it is worth parsing; quick."""
    return line[23:25] == b"Z " or line.startswith(JSON_BEGINNING)


def dated_pattern(date_format: str | None) -> re.Pattern[bytes] | None:
    """What finds records whose time is in a person's form, of which the length only is known; or ``None``."""
    if date_format is None:
        return None
    return re.compile(rb"(.{0,80}?) (out|err) ([0-9a-f]{12})(\+?) (.*)", re.DOTALL)


def parse_record(line: bytes, dated: re.Pattern[bytes] | None = None) -> Record | None:
    """The record that ``line`` is; ``None`` if it is none.

    ``dated`` is what ``dated_pattern`` gave, for files with a ``date_format``.
    """
    if line.startswith(JSON_BEGINNING):
        return parse_json(line)
    match = TEXT.fullmatch(line)
    time = None
    if match is not None:
        time = unix_milliseconds(match[1].decode())
    elif dated is None or (match := dated.fullmatch(line)) is None:
        return None
    return Record(time, STREAMS[match[2].decode()], match[3].decode(), bool(match[4]), match[5])


def parse_json(line: bytes) -> Record | None:
    """A JSON record; objects of other programs are none."""
    try:
        fields = json.loads(line)
        # Bytes that are no UTF-8 are lone surrogates in the file, and bytes again here.
        message = fields["message"].encode("utf-8", "surrogateescape")
        end = b"\n" if line.endswith(b"\n") else b""
        return Record(
            unix_milliseconds(fields["timestamp"]),
            STREAMS[fields["type"]],
            str(fields["run_id"]),
            bool(fields.get("continued")),
            message + end,
            str(fields["app_name"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def unix_milliseconds(text: str) -> int | None:
    """The time of a record; ``None`` if it is in a form of the person's own."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round(moment.timestamp() * 1000) if moment.tzinfo else None
