"""What looks like a failure in a log: whole tracebacks, levels, systemd's prefixes, JSON; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

__all__ = ["FailureFinder", "is_failure"]

LEVELS = frozenset(
    {"error", "err", "critical", "crit", "fatal", "panic", "alert", "emerg", "emergency", "severe"}
)
LEVEL_KEYS = ("level", "severity", "lvl", "levelname", "log.level", "log_level")
ERROR_NUMBER = 50
"""Of pino and bunyan; also of Python's ``levelno``, where 40 is ERROR already, but names go with it there."""
HEAD = 400
"""Bytes of a line in which its level is looked for."""
LONGEST_JSON = 256 * 1024
MOST_LINES = 2000
"""A traceback of so many lines is given in pieces."""

SIGNS = re.compile(
    rb"""
    ^<[0-3]>                                                                # as systemd reads it
    | \b(?:ERROR|CRITICAL|FATAL|PANIC|EMERG(?:ENCY)?|ALERT|SEVERE)\b
    | \b(?:level|severity|lvl)["']?\s*[=:]\s*["']?(?:error|err|critical|crit|fatal|panic|alert|emerg)\b
    | \[(?:error|crit(?:ical)?|fatal|panic|alert|emerg)\]                   # nginx and others
    | ^(?:\S+\s+){0,3}?(?:fatal\ error|fatal|panic|error|critical)(?:\[[\w-]+\])?!?:(?:\s|$)
    | ^(?:Uncaught\ |Unhandled\ )?(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Interrupt)(?::\s|$|\s\[)
    | ^thread\ '.*?'\ .*?panicked\ at
    | ^npm\ ERR!
    | ^Exception\ in\ thread
    | ^Segmentation\ fault
    """,
    re.VERBOSE,
)
COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
TRACEBACK = re.compile(rb"^(.*?)(?:Exception Group )?Traceback \(most recent call last\):")
CHAIN = re.compile(
    rb"^[\s|+-]*(?:During handling of the above exception, another exception occurred:"
    rb"|The above exception was the direct cause of the following exception:)"
)
FRAME = re.compile(
    rb"^\s+at\s.+|^\s+\.\.\.\s[0-9]+\smore|^Caused\sby:\s|^\s+\[(?:cause|errors)\]:|^\s+\[stack\]:|^\s*\^+\s*$"
)
"""A line of the stack traces of node and Java."""


def is_failure(line: bytes) -> bool:
    """Whether a line by itself looks like one of a failure; JSON that tells its level is believed."""
    line = line.lstrip()
    if line.startswith(b"{") and (level := json_level(line)) is not None:
        return level
    head = line[:HEAD]
    return SIGNS.search(COLOUR.sub(b"", head) if b"\x1b" in head else head) is not None


def json_level(line: bytes) -> bool | None:
    """Whether a JSON line tells of an error by its level; ``None`` if it is no JSON or tells no level."""
    if len(line) > LONGEST_JSON:
        return None
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    level = next((fields[key] for key in LEVEL_KEYS if key in fields), None)
    if isinstance(level, str):
        return level.lower() in LEVELS
    if isinstance(level, int | float):
        return level >= ERROR_NUMBER
    return None


class FailureFinder:
    """Takes a log's lines in their order and gives those of failures, a group of lines a failure.

    A traceback is one group with the line of the exception at its end, the exceptions that it was raised
    from, and the logged line before it. A stack trace of node or Java is one with the line that it explains.
    """

    def __init__(self) -> None:
        self._group: list[bytes] = []
        self._previous = b""
        """The line before, if it was given to nobody."""
        self._inside: bytes | None = None
        """What stands before ``Traceback`` on its line, while one goes on."""
        self._blank: list[bytes] = []
        """Blank lines after an exception, which belong to it if a further one was raised from it."""

    def feed(self, lines: Iterable[bytes]) -> list[list[bytes]]:
        """The failures that have ended with these lines."""
        groups: list[list[bytes]] = []
        for line in lines:
            self._take(line, groups)
        return groups

    def flush(self) -> list[list[bytes]]:
        """The failure that has begun and whose end nothing has told yet."""
        groups: list[list[bytes]] = []
        self._end(groups)
        self._previous = b""
        return groups

    @property
    def pending(self) -> bool:
        """Whether a failure has begun that ``flush`` would give."""
        return bool(self._group)

    def _take(self, line: bytes, groups: list[list[bytes]]) -> None:
        if len(self._group) > MOST_LINES:
            self._end(groups)
        if self._inside is not None and self._goes_on(line):
            return
        match = TRACEBACK.match(line)
        if match is not None:
            self._begin_traceback(line, match[1], groups)
        elif CHAIN.match(line) and self._group:
            self._join([line])
        elif FRAME.match(line):
            self._frame(line)
        elif not line.strip() and self._group:
            self._blank.append(line)
        elif is_failure(line):
            self._end(groups)
            self._group = [line]
            self._previous = b""
        else:
            self._end(groups)
            self._previous = line

    def _goes_on(self, line: bytes) -> bool:
        """Take a line of the traceback that goes on; ``False``: it is none."""
        assert self._inside is not None
        margin = self._inside
        match = TRACEBACK.match(line)
        if match is not None and match[1] == margin:
            self._inside = None
            return False
        rest = line.removeprefix(margin)
        if rest[:1] in (b" ", b"\t", b"|"):
            self._join([line])
            return True
        self._inside = None
        if not rest.strip() or b"+" in margin:
            return False  # a group's traceback has no last line; another one was cut off
        self._join([line])
        return True

    def _begin_traceback(self, line: bytes, before: bytes, groups: list[list[bytes]]) -> None:
        chained = bool(self._group) and CHAIN.match(self._group[-1]) is not None
        logged = len(self._group) == 1 and not self._blank
        if not (chained or logged):
            self._end(groups)
        self._join([line])
        self._inside = before if not before.strip(b" |+-") else b""

    def _frame(self, line: bytes) -> None:
        if not self._group and self._previous.strip():
            self._group = [self._previous]
        if self._group:
            self._join([line])
        self._previous = b""

    def _join(self, lines: list[bytes]) -> None:
        self._group += self._blank
        self._blank = []
        self._group += lines

    def _end(self, groups: list[list[bytes]]) -> None:
        if self._group:
            groups.append(self._group)
        self._group = []
        self._blank = []
        self._inside = None
