"""``--format TEMPLATE``: a line for each object, with its fields in braces, as of ``docker ps --format``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from string import Formatter
from typing import Any

from pypm.cli.output import plain
from pypm.core.errors import UsageError

__all__ = ["filled", "objects_of", "parsed", "unescaped"]

ESCAPES = {"\\t": "\t", "\\n": "\n"}
"""What a person writes in a shell's quotes for signs that are hard to type there."""


Parts = list[tuple[str, str | None, str | None, str | None]]
"""A template as ``string.Formatter`` tells it: text, and the field after it, its form and conversion."""


OF_NUMBERS = re.compile(r"(?:.?[<>^=])?[-+ ]?z?#?0?(\d*)[_,]?(?:\.\d+)?[bcdeEfFgGnoxX%]?")
"""A form that a number may have, with its width."""


def filled(template: str, objects: Iterable[Mapping[str, Any]], *, sparse: bool = False) -> str:
    """Give ``template`` filled with each of ``objects``, a line each.

    ``{name}`` is a field, ``{last_exit.reason}`` one within another, ``{name:<20}`` one in a width. What is
    not known is ``-``, and with ``sparse``, for objects of several kinds, what one of them does not have.
    Raises UsageError for another field that an object does not have, and for a template that is none.
    """
    parts = parsed(template)
    return "".join(f"{_line(parts, each, sparse)}\n" for each in objects)


def parsed(template: str) -> Parts:
    """Give the parts of ``template``; raises UsageError for one that is none."""
    try:
        parts = list(Formatter().parse(unescaped(template)))
    except ValueError as error:
        raise UsageError(f"--format: {error}", hint="such as '{name} {status}'") from None
    for _, _, _, conversion in parts:
        if conversion:
            raise UsageError(f"--format: !{conversion} has no meaning here", hint="such as {name:<20}")
    return parts


def unescaped(template: str) -> str:
    """Give ``template`` with the signs that it writes as ``\\t`` and ``\\n``."""
    for written, sign in ESCAPES.items():
        template = template.replace(written, sign)
    return template


def objects_of(value: Any) -> Iterator[Mapping[str, Any]]:
    """Give what ``value``, as ``--json`` prints it, has a line for each of.

    These are the elements of an array, the instances of a change (each with its row, where there is one, and
    its failure), and of any other object that object. A row has the words of the table beside its fields;
    what is gone by then has none of what the rows of others have.
    """
    if isinstance(value, Mapping) and "instances" in value and "warnings" in value:
        rows = {row["id"]: _with_words(row) for row in value.get("rows", ())}
        gone = _unknown_row() if "rows" in value else {}
        reasons = {failure["id"]: failure["reason"] for failure in value.get("failures", ())}
        for entry in value["instances"]:
            failed = {"reason": reasons.get(entry["id"])} if "failures" in value else {}
            yield {**rows.get(entry["id"], gone), **entry, **failed}
        return
    for each in value if isinstance(value, list) else [value]:
        yield _with_words(each) if isinstance(each, Mapping) else {"value": each}


def _unknown_row() -> Mapping[str, None]:
    from pypm.cli.listing import COLUMNS
    from pypm.protocol.shapes import Row

    return dict.fromkeys((*COLUMNS, "memory", *Row.__annotations__))


def _with_words(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row with what the table says of it: ``cpu``, ``memory``, ``uptime``, ``note``; others as they are."""
    if "memory_bytes" not in fields or "restarts" not in fields:
        return fields
    from pypm.cli.listing import COLUMNS, row_cells

    words = dict(zip(COLUMNS, row_cells(dict(fields)), strict=True))
    return {**words, "memory": words["mem"], **fields}


def _line(parts: Parts, fields: Mapping[str, Any], sparse: bool) -> str:
    line = []
    for text, name, form, _ in parts:
        line.append(text)
        if name is not None:
            line.append(_formed(_found(name, fields, sparse), form or ""))
    return "".join(line)


def _formed(value: Any, form: str) -> str:
    """A value in its width; a number may have a number's form, of which what is not known has the width."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        return format(value if is_number else _text(value), form)
    except ValueError:
        if value is None and (number := OF_NUMBERS.fullmatch(form)):
            return "-".rjust(int(number[1] or 0))
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


def _found(path: str, fields: Mapping[str, Any], sparse: bool) -> Any:
    value: Any = fields
    for name in path.split("."):
        if value is None:  # such as the last end of what has never ended
            return None
        if not isinstance(value, Mapping):
            raise UsageError(f"--format: there is no field {{{path}}}")
        if name not in value:
            from difflib import get_close_matches

            # Values that are as their defaults are left out within a spec.
            if sparse or value is not fields:
                return None
            close = get_close_matches(name, value, n=1)
            known = ", ".join(sorted(value))
            raise UsageError(
                f"--format: there is no field {{{path}}}",
                hint=f"did you mean {{{close[0]}}}?" if close else f"there are: {known}",
            )
        value = value[name]
    return value
