"""An ecosystem file to be written: apps with comments to their keys, and notes for people above them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["AppDraft", "render"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
COLUMN = 38
"""Where comments behind values begin, if the values leave room."""
LONGEST = 100
"""Signs of a line from which on a list is written over several lines."""


class AppDraft:
    """One app: keys of an ecosystem file and their values, the comments behind them, and notes above them."""

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self.settings: dict[str, Any] = dict(settings or {})
        self.comments: dict[str, str] = {}
        self.notes: list[str] = []

    def put(self, key: str, value: Any, comment: str = "") -> None:
        """Set ``key`` (``table.key`` for one of a table), with a comment."""
        table, _, name = key.rpartition(".")
        place = self.settings.setdefault(table, {}) if table else self.settings
        place[name] = value
        if comment:
            self.comments[key] = comment


def render(header: Sequence[str], apps: Iterable[AppDraft], defaults: AppDraft | None = None) -> str:
    """The text of the file; ``header``: lines of the comment at its top."""
    lines = [_comment(line) for line in header]
    if defaults is not None:
        lines += ["", *_table("defaults", "[defaults]", defaults)]
    for app in apps:
        lines += ["", "", *_table("apps", "[[apps]]", app)]
    return "\n".join(lines) + "\n"


def _table(name: str, head: str, app: AppDraft) -> Iterator[str]:
    for note in app.notes:
        yield _comment(note)
    yield head
    tables = {}
    for key, value in app.settings.items():
        if isinstance(value, Mapping):
            tables[key] = value
        else:
            yield from _line(key, value, app.comments.get(key, ""))
    for key, table in tables.items():
        yield from ("", f"[{name}.{_key(key)}]")
        for inner, value in table.items():
            yield from _line(inner, value, app.comments.get(f"{key}.{inner}", ""))


def _line(key: str, value: Any, comment: str) -> Iterator[str]:
    text = f"{_key(key)} = {_value(value)}"
    if len(text) > LONGEST and isinstance(value, list | tuple):
        if comment:
            yield _comment(comment)
        yield f"{_key(key)} = ["
        yield from (f"    {_value(each)}," for each in value)
        yield "]"
        return
    yield f"{f'{text} ':<{COLUMN}}{_comment(comment)}" if comment else text


def _comment(text: str) -> str:
    """A comment of one line: signs that do not print are none of it."""
    return f"# {''.join(sign if sign.isprintable() else ' ' for sign in text)}".rstrip()


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    import tomli_w

    return tomli_w.dumps({"x": value}).removeprefix("x = ").removesuffix("\n")
