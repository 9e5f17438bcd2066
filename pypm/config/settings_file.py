"""Changes to ``PYPM_HOME/config.toml``, one key at a time; what else is in it stays, comments too."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from pypm.config.faults import nearest
from pypm.config.home_settings import settings_of
from pypm.core.errors import ConfigError, UsageError

__all__ = ["DEFAULTS", "changed_text", "check_key", "said", "write_settings"]

DEFAULTS: Mapping[str, object] = {"logs.total_size": "10G"}
"""What holds where the file says nothing, by key."""


def check_key(key: str) -> None:
    """Raise UsageError for what is no setting of a home."""
    if key in DEFAULTS:
        return
    if ":" in key or key.startswith(("pm2", "pypm")):
        hint = "pypm has no modules; how logs are rotated, for one, [apps.logs] in an ecosystem file says"
        raise UsageError(f"{key!r} is a setting of a module of PM2", hint=hint)
    raise UsageError(f"there is no setting {key!r}{nearest(key, tuple(DEFAULTS))}", hint=_those())


def _those() -> str:
    return f"settings of a home: {', '.join(DEFAULTS)}; what an app has is in its ecosystem file"


def said(path: str) -> dict[str, object]:
    """What the file says, by key; raises ConfigError where it is wrong."""
    raw = _parsed(_text(path), path)
    settings_of(raw, path)
    found: dict[str, object] = {}
    for key in DEFAULTS:
        table, name = key.split(".")
        values = raw.get(table, {})
        if name in values:
            found[key] = values[name]
    return found


def write_settings(path: str, changes: Mapping[str, object]) -> None:
    """Change keys, all or none; a value of None removes one.

    Raises ConfigError where the file would be wrong then, and UsageError for a key that is no setting.
    """
    before = text = _text(path)
    for key, value in changes.items():
        check_key(key)
        text = changed_text(text, key, value, path)
    settings_of(_parsed(text, path), path)
    if text == before:
        return
    try:
        _replace(os.path.realpath(path), text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def changed_text(text: str, key: str, value: object, path: str = "config.toml") -> str:
    """The text of the file with one key changed, or, with None, removed."""
    wanted = deepcopy(_parsed(text, path))
    table, name = key.split(".")
    values = wanted.setdefault(table, {})
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: {table}: expected a table, [{table}]")
    values.pop(name, None)
    if value is not None:
        values[name] = value
    elif not values:
        del wanted[table]
    import tomli_w

    line = "" if value is None else tomli_w.dumps({name: value})
    edited = _edited(text, table, name, line)
    # The edit is by lines, and TOML has more forms than that: it holds only where it means what is wanted.
    try:
        found = _parsed(edited, path)
    except ConfigError:
        return tomli_w.dumps(wanted)
    return edited if {table: {}} | found == {table: {}} | wanted else tomli_w.dumps(wanted)


def _edited(text: str, table: str, name: str, line: str) -> str:
    lines = text.splitlines(keepends=True)
    inside, header = False, -1
    for number, each in enumerate(lines):
        if re.match(r"\s*\[", each):
            inside = bool(re.match(rf"\s*\[\s*{table}\s*\]", each))
            header = number if inside else header
        elif inside and re.match(rf"\s*{name}\s*=", each):
            comment = re.search(r"""^[^"'#]*("[^"]*"|'[^']*')?[^"'#]*?(\s*#.*)$""", each)
            rest = comment[2] if comment and line else ""
            lines[number] = line.rstrip("\n") + rest + "\n" if line else ""
            return "".join(lines)
    if not line:
        return text
    if header >= 0:
        lines[header] = lines[header].rstrip("\n") + "\n"
        lines.insert(header + 1, line)
        return "".join(lines)
    gap = "\n" if text.strip() else ""
    return f"{text.rstrip()}{gap and gap * 2}[{table}]\n{line}"


def _parsed(text: str, path: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _replace(path: str, text: str) -> None:
    """Write a file anew, so that who reads it meanwhile sees the one before or this one; owner-only."""
    folder = os.path.dirname(path)
    os.makedirs(folder, 0o700, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(prefix=".config-", dir=folder)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
