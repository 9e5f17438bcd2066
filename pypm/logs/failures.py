"""What looks like a failure in a log: whole tracebacks, levels, systemd's prefixes, JSON; pure."""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Sequence
from itertools import accumulate

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
FRAME = re.compile(rb"^(?:\s*\t|\s{2,})at\s.+")
"""A line of the stack traces of node and Java."""
MORE = re.compile(rb"^\s+\.\.\.\s[0-9]+\smore|^Caused\sby:\s|^\s+\[(?:cause|errors|stack)\]:")
"""What else there is between and behind them."""
WORDS = (
    *(b"err", b"exception", b"fatal", b"panic", b"crit", b"alert", b"emerg", b"severe", b"fault"),
    *(b"traceback", b"  at ", b"\tat "),
)
"""In small letters; a line without any of them begins no failure, but for the two forms below."""
NUMBERED = (re.compile(rb"\n<[0-3]>"), re.compile(rb'level": ?(?:[5-9][0-9]|[0-9]{3})'))


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


def suspicious(lines: Sequence[bytes]) -> list[int]:
    """Numbers of the lines with which a failure may begin, ascending: those with a word of failures."""
    text = b"\n" + b"".join(lines)
    folded = text.lower()
    ends = list(accumulate(map(len, lines), initial=1))
    numbered = (match.end() - 1 for pattern in NUMBERED for match in pattern.finditer(folded))
    found = {bisect.bisect_right(ends, place) - 1 for place in numbered}
    for word in WORDS:
        place = folded.find(word)
        while place >= 0:
            number = bisect.bisect_right(ends, place) - 1
            found.add(number)
            place = folded.find(word, ends[number + 1])
    return sorted(found)


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

    def feed(self, lines: Sequence[bytes]) -> list[list[bytes]]:
        """The failures that have ended with these lines."""
        groups: list[list[bytes]] = []
        places = suspicious(lines)
        number = 0
        while number < len(lines):
            if not self._group:
                # Most lines are of no failure: go where one may begin.
                after = bisect.bisect_left(places, number)
                if after == len(places):
                    self._previous = lines[-1]
                    break
                if places[after] > number:
                    number = places[after]
                    self._previous = lines[number - 1]
            self._take(lines[number], groups)
            number += 1
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
        elif self._group and (CHAIN.match(line) or MORE.match(line)):
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
