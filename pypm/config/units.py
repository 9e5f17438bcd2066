"""Durations and sizes: what people write, and what people read.

A bare number is a number of milliseconds (duration) or bytes (size), as in PM2; with a unit it is what the
unit says. Everything else in pypm is in seconds and bytes.
"""

from __future__ import annotations

import re

from pypm.core.errors import ConfigError

__all__ = [
    "DURATION_PATTERN",
    "SIZE_PATTERN",
    "format_duration",
    "format_size",
    "parse_duration",
    "parse_size",
]

LONGEST = 100 * 365 * 86400
"""Seconds; a longer duration is taken for a mistake."""
LARGEST = 2**63 - 1
"""Bytes; what the kernel can count."""

DURATION_FORMS = 'a number of milliseconds or such as "500ms", "5s", "10m", "1h30m", "1d"'
SIZE_FORMS = 'a number of bytes or such as "512K", "300M", "1.5G"'

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_DURATION = (
    rf"(?:({_NUMBER})d)?\s*(?:({_NUMBER})h)?\s*(?:({_NUMBER})m(?!s))?"
    rf"\s*(?:({_NUMBER})s)?\s*(?:({_NUMBER})ms)?"
)
_SIZE = rf"({_NUMBER})\s*(?:B|([KMGT])(?:I?B)?)?"
DURATION_PATTERN = rf"^\s*(?=.*[0-9])(?:{_NUMBER}|{_DURATION})\s*$"
SIZE_PATTERN = rf"^\s*{_NUMBER}\s*(?:[Bb]|[KMGTkmgt](?:[Ii]?[Bb])?)?\s*$"
"""The texts that are durations and sizes, in what Python's and JavaScript's expressions have in common."""
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def parse_duration(value: object) -> float:
    """Seconds of a duration: a number of milliseconds, or text with the units d, h, m, s, ms in this order.

    Raises ConfigError for anything else, and for what is negative, empty or not finite.
    """
    seconds = _milliseconds(value) if isinstance(value, int | float) else _duration_text(value)
    if seconds is None:
        raise ConfigError(f"{shown(value)} is not a duration: expected {DURATION_FORMS}")
    if not seconds <= LONGEST:
        raise ConfigError(f"{shown(value)} is longer than a hundred years: expected {DURATION_FORMS}")
    return seconds


def parse_size(value: object) -> int:
    """Bytes of a size: a number of bytes, or text with a unit of 1024: B, K, M, G, T (also KB, MiB …).

    A fraction of a byte is dropped. Raises ConfigError for anything else, and for what is negative, empty or
    not finite.
    """
    amount: float | None = None
    if isinstance(value, int | float):
        amount = value if not isinstance(value, bool) and value >= 0 else None
    elif isinstance(value, str) and (match := re.fullmatch(_SIZE, value.strip(), re.IGNORECASE)):
        power = " KMGT".index((match[2] or " ").upper())
        amount = float(match[1]) * 1024**power
    if amount is None:
        raise ConfigError(f"{shown(value)} is not a size: expected {SIZE_FORMS}")
    if not amount <= LARGEST or (isinstance(amount, float) and amount >= LARGEST):
        raise ConfigError(f"{shown(value)} is more than any machine has: expected {SIZE_FORMS}")
    return int(amount)


def format_duration(seconds: float) -> str:
    """A duration for people, in its two largest units, rounded down: ``1h 12m``, ``3d``, ``2.5s``, ``40ms``.

    What is below a millisecond, and a negative duration, is ``0s``.
    """
    if seconds < 1:
        milliseconds = int(max(seconds, 0.0) * 1000)
        return f"{milliseconds}ms" if milliseconds else "0s"
    if seconds < 10:
        return f"{int(seconds * 10) / 10:g}s"
    rest, parts = int(seconds), []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        parts.append(f"{count}{unit}" if count else "")
    first = next(index for index, part in enumerate(parts) if part)
    return " ".join(part for part in parts[first : first + 2] if part)


def format_size(size: float) -> str:
    """A number of bytes for people, in the largest unit of 1024: ``312M``, ``1.5G``, ``900B``."""
    amount, unit = max(float(size), 0.0), "B"
    for larger in "KMGT":
        if amount < 999.5:
            break
        amount, unit = amount / 1024, larger
    return (
        f"{amount:.1f}".removesuffix(".0") + unit if amount < 9.95 and unit != "B" else f"{amount:.0f}{unit}"
    )


def _milliseconds(value: float) -> float | None:
    if isinstance(value, bool) or not value >= 0:
        return None
    return value / 1000 if value <= LONGEST * 1000 else float("inf")


def _duration_text(value: object) -> float | None:
    text = value.strip() if isinstance(value, str) else ""
    if re.fullmatch(_NUMBER, text):
        return float(text) / 1000
    match = re.fullmatch(_DURATION, text)
    if match is None or not text:
        return None
    whole = sum(
        float(count) * size for count, (_, size) in zip(match.groups(), _UNITS, strict=False) if count
    )
    return whole + float(match[5] or 0) / 1000


def shown(value: object) -> str:
    """A value as an error message shows it: short, and never an error itself."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of too many digits, a list within itself
        return f"this {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "…"
