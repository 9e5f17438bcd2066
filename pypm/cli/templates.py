"""``--format TEMPLATE``: a line for each object, with its fields in braces, as of ``docker ps --format``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import Formatter
from typing import Any

from pypm.cli.output import plain
from pypm.core.errors import UsageError

__all__ = ["filled"]

ESCAPES = {"\\t": "\t", "\\n": "\n"}
"""What a person writes in a shell's quotes for signs that are hard to type there."""


def filled(template: str, objects: Iterable[Mapping[str, Any]]) -> str:
    """Give ``template`` filled with each of ``objects``, a line each.

    ``{name}`` is a field, ``{last_exit.reason}`` one within another, ``{name:<20}`` one in a width. What is
    not known is ``-``. Raises UsageError for a field that no object has, and for a template that is none.
    """
    for written, sign in ESCAPES.items():
        template = template.replace(written, sign)
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise UsageError(f"--format: {error}", hint="such as '{name} {status}'") from None
    return "".join(f"{_line(parts, each)}\n" for each in objects)


def _line(parts: list[tuple[str, str | None, str | None, str | None]], fields: Mapping[str, Any]) -> str:
    line = []
    for text, name, form, conversion in parts:
        if conversion:
            raise UsageError(f"--format: !{conversion} has no meaning here", hint="such as {name:<20}")
        line.append(text)
        if name is not None:
            line.append(_formed(_found(name, fields), form or ""))
    return "".join(line)


def _formed(value: Any, form: str) -> str:
    """A value in its width; a number may have a number's form."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        value = _text(value)
    try:
        return format(value, form)
    except ValueError:
        raise UsageError(f"--format: {form!r} is no form for {value!r}", hint="such as {name:<20}") from None


def _text(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list)):
        import json

        return json.dumps(value)
    return plain(str(value))


def _found(path: str, fields: Mapping[str, Any]) -> Any:
    value: Any = fields
    for name in path.split("."):
        if value is None:  # such as the last end of what has never ended
            return None
        if not isinstance(value, Mapping):
            raise UsageError(f"--format: there is no field {{{path}}}")
        if name not in value:
            from difflib import get_close_matches

            # Values that are as their defaults are left out within a spec.
            if value is not fields:
                return None
            close = get_close_matches(name, value, n=1)
            known = ", ".join(sorted(value))
            raise UsageError(
                f"--format: there is no field {{{path}}}",
                hint=f"did you mean {{{close[0]}}}?" if close else f"there are: {known}",
            )
        value = value[name]
    return value
