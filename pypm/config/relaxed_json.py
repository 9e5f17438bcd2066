"""JSON as people write it for PM2: with comments and trailing commas."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["parse"]

_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'"(?:\\.|[^"\\\n])*"|,(?=\s*[}\]])')


def parse(text: str) -> Any:
    """The value that the text states.

    Raises ValueError with line and column for broken syntax, for a key that an object has twice, and for NaN
    and Infinity. Comments and commas are blanked out, so that the positions stay what they are.
    """
    text = _TRAILING_COMMA.sub(_blank_comma, _COMMENT.sub(_blank, text))
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        fault = error.msg[:1].lower() + error.msg[1:]
        raise ValueError(f"line {error.lineno}, column {error.colno}: {fault}") from error


def _blank(match: re.Match[str]) -> str:
    found = match[0]
    return found if found.startswith('"') else "".join(sign if sign == "\n" else " " for sign in found)


def _blank_comma(match: re.Match[str]) -> str:
    before = match.start() - 1
    while before >= 0 and match.string[before].isspace():
        before -= 1
    follows_value = before >= 0 and match.string[before] not in "[{,:"
    return _blank(match) if follows_value else match[0]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f'an object has the key "{key}" twice')
        table[key] = value
    return table


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not a JSON value")
