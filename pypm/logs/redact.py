"""Masking secrets in lines: regular expressions and known values, over whole chunks of lines at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pypm.core.redaction import LEAST_SECRET, compile_pattern

__all__ = ["MASK", "Redactor", "Span", "secrets_of"]

MASK = b"***"
HOLD = 4096
"""Bytes that a match has at most if it is to be found wherever a long line is split."""
_BY_LINE = re.compile(r"\(\?<?[=!]|\\[AZ]")
"""Signs of a pattern that looks around itself or for the text's ends: it means those of one line."""

Span = tuple[int, int]


class Redactor:
    """Finds what is to be masked; ``patterns`` are of the kind that ``compile_pattern`` takes.

    A match never goes beyond its line. What several patterns find is masked together, so that none hides
    from another what it has to find.
    """

    def __init__(self, patterns: Iterable[str], secrets: Iterable[bytes]) -> None:
        self._patterns = [(compile_pattern(text), bool(_BY_LINE.search(text))) for text in patterns]
        self._secrets = list(secrets)
        self.hold = max([HOLD, *map(len, self._secrets)])
        """Bytes after a place that have to be known to tell what is to be masked before it."""

    def mask(self, data: bytes) -> bytes:
        """``data`` with ``***`` in place of each secret."""
        spans = self.spans(data)
        if not spans:
            return data
        parts: list[bytes] = []
        place = 0
        for start, end in spans:
            parts += (data[place:start], MASK)
            place = end
        parts.append(data[place:])
        return b"".join(parts)

    def spans(self, data: bytes) -> list[Span]:
        """Where the secrets are, in their order, none touching another."""
        found: list[Span] = []
        for secret in self._secrets:
            found += find_all(secret, data)
        for pattern, by_line in self._patterns:
            matches = [] if by_line else [match.span() for match in pattern.finditer(data)]
            if by_line or any(b"\n" in data[start:end] for start, end in matches):
                matches = find_in_lines(pattern, data)
            found += matches
        return merged(found)


def find_all(secret: bytes, data: bytes) -> list[Span]:
    """Where ``secret`` is, also where it overlaps itself."""
    found = []
    place = data.find(secret)
    while place >= 0:
        found.append((place, place + len(secret)))
        place = data.find(secret, place + 1)
    return found


def find_in_lines(pattern: re.Pattern[bytes], data: bytes) -> list[Span]:
    """What the pattern finds in each line by itself."""
    found = []
    start = 0
    for line in data.split(b"\n"):
        found += [(start + match.start(), start + match.end()) for match in pattern.finditer(line)]
        start += len(line) + 1
    return found


def merged(spans: list[Span]) -> list[Span]:
    """Spans in their order; those that touch are one, and those of no bytes none."""
    whole: list[Span] = []
    for start, end in sorted(spans):
        if start == end:
            continue
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((start, end))
    return whole


def secrets_of(values: Sequence[str]) -> tuple[bytes, ...]:
    """What to look for to mask these values of variables: each of their lines that is long enough."""
    lines = [line for value in values for line in value.encode("utf-8", "surrogateescape").split(b"\n")]
    return tuple(dict.fromkeys(line for line in lines if len(line) >= LEAST_SECRET))
