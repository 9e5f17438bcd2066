"""What ``redact`` may say: regular expressions over the bytes of a line, and variables by name."""

from __future__ import annotations

import re

__all__ = [
    "LEAST_SECRET",
    "VARIABLE",
    "RedactionError",
    "check_redactions",
    "compile_pattern",
    "variables_of",
]

VARIABLE = "ENV:"
"""Begins the name of a variable whose value is masked."""
LEAST_SECRET = 4
"""Bytes that a variable's value has at least, to be masked: shorter ones are in every other word."""


class RedactionError(ValueError):
    """What is wrong with an entry, for people."""


def compile_pattern(text: str) -> re.Pattern[bytes]:
    """The regular expression as it is applied to one line.

    Raises RedactionError where it is none, or matches the empty text, and for a variable without a name.
    """
    if text.startswith(VARIABLE):
        raise RedactionError(f'"{text}" names a variable')
    try:
        pattern = re.compile(text.encode(), re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        raise RedactionError(f"{text!r} is no regular expression: {error}") from None
    if pattern.search(b"") is not None:
        raise RedactionError(f"{text!r} also matches where there is nothing")
    return pattern


def check_redactions(entries: tuple[str, ...]) -> None:
    """Raises RedactionError for the first of the entries that cannot be."""
    variables_of(entries)
    for entry in entries:
        if not entry.startswith(VARIABLE):
            compile_pattern(entry)


def variables_of(entries: tuple[str, ...]) -> list[str]:
    """The names of the variables among the entries. Raises RedactionError for one that cannot be."""
    names = [entry.removeprefix(VARIABLE) for entry in entries if entry.startswith(VARIABLE)]
    for name in names:
        if not name or "=" in name or "\0" in name:
            raise RedactionError(f'"{VARIABLE}{name}" names no variable')
    return names
