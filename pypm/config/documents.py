"""One file, whatever its format, to the raw tables of its apps."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pypm.config.faults import Faults, nearest
from pypm.config.files import shape
from pypm.config.units import shown
from pypm.config.values import kind
from pypm.core.errors import ConfigError

__all__ = ["STDIN", "Document", "read_document"]

STDIN = "-"
"""In place of a path: JSON on stdin."""
LARGEST_FILE = 16 * 1024 * 1024

Table = Mapping[str, object]


class Document(NamedTuple):
    """What a file declares, not yet looked at: each app's place and table, and the defaults."""

    apps: list[tuple[str, Table]]
    defaults: Table
    pm2: bool
    """Whether the format is one of PM2's."""
    namespaces: object = None
    """What it says of namespaces; None: nothing."""


def read_document(path: str, faults: Faults) -> Document:
    """Read and parse the file; wrong types of its frame go to ``faults``.

    Raises ConfigError for a file that cannot be read, or is not what its name says it is.
    """
    form = "json" if path == STDIN else shape(path)
    if form is None:
        raise ConfigError(
            f"{path}: not a configuration: expected a name that ends in .toml, .json, .yaml or .config.js"
        )
    text = _decoded("stdin", _read_stdin()) if path == STDIN else _read_text(path)
    if form == "toml":
        return _toml_document(_parse(path, text, _toml), faults)
    if form == "javascript":
        from pypm.config.javascript import evaluate

        content = evaluate(path)
    else:
        content = _parse("stdin" if path == STDIN else path, text, _json if form == "json" else _yaml)
    return _pm2_document(content, faults)


def _read_text(path: str) -> str:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path}: not a regular file")
        if status.st_size > LARGEST_FILE:
            raise ConfigError(f"{path}: is larger than {LARGEST_FILE} bytes")
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file{_neighbour(path)}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return _decoded(path, content)


def _read_stdin() -> bytes:
    import sys

    content = sys.stdin.buffer.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ConfigError(f"stdin: is larger than {LARGEST_FILE} bytes")
    return content


def _decoded(path: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}: line {line}: is not UTF-8 text") from error


def _neighbour(path: str) -> str:
    try:
        names = os.listdir(os.path.dirname(path) or ".")
    except OSError:
        return ""
    return nearest(os.path.basename(path), [name for name in names if shape(name)])


def _parse(path: str, text: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None


def _toml(text: str) -> Any:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.fullmatch(r"(.*) \(at (.*)\)", str(error), re.DOTALL)
        if match is None:
            raise
        raise ValueError(f"{match[2]}: {match[1][:1].lower()}{match[1][1:]}") from error


def _json(text: str) -> Any:
    from pypm.config.relaxed_json import parse

    return parse(text)


def _yaml(text: str) -> Any:
    from pypm.config.yaml_file import parse

    return parse(text)


def _toml_document(content: Table, faults: Faults) -> Document:
    apps = content.get("apps", [])
    _check_frame(content, ("apps", "defaults", "namespaces"), faults)
    if isinstance(apps, Mapping):
        faults.add("apps", "is a table; write [[apps]] with two brackets, one for each app")
        apps = []
    tables, defaults = _tables(apps, faults, "apps"), _defaults(content, faults)
    return Document(tables, defaults, pm2=False, namespaces=content.get("namespaces"))


def _pm2_document(content: Any, faults: Faults) -> Document:
    if not isinstance(content, Mapping):
        return Document(_tables(content, faults, ""), {}, pm2=True)
    key = next((key for key in ("apps", "pm2") if key in content), "")
    if not key:
        return _bare_app(content, faults)
    _check_frame(content, (key, "defaults", "namespaces", "deploy", "static"), faults)
    apps = content[key]
    entries = [apps] if isinstance(apps, Mapping) else apps
    tables, defaults = _tables(entries, faults, key), _defaults(content, faults)
    return Document(tables, defaults, pm2=True, namespaces=content.get("namespaces"))


def _bare_app(content: Table, faults: Faults) -> Document:
    if not {"script", "exec", "command", "cmd", "module"} & set(content):
        faults.add("", 'declares no apps: expected "apps", or an app with "script", "command" or "module"')
        return Document([], {}, pm2=True)
    return Document([("", content)], {}, pm2=True)


def _check_frame(content: Table, known: tuple[str, ...], faults: Faults) -> None:
    """Nothing but apps and defaults at the top of the file."""
    from pypm.config.keys import is_app_key

    for key, value in content.items():
        if key in known:
            if key == "static" and value:
                faults.add(key, "not supported yet")
        elif is_app_key(key):
            faults.add(key, "belongs to an app: write it below [[apps]], or below [defaults] for all apps")
        else:
            faults.add(key, f"unknown key{nearest(key, ('apps', 'defaults', 'namespaces'))}")


def _defaults(content: Table, faults: Faults) -> Table:
    defaults = content.get("defaults")
    if isinstance(defaults, Mapping):
        return defaults
    if defaults is not None:
        faults.add("defaults", f"{shown(defaults)} is {kind(defaults)}: expected a table")
    return {}


def _tables(apps: object, faults: Faults, key: str) -> list[tuple[str, Table]]:
    if not isinstance(apps, list):
        faults.add(key, f"{shown(apps)} is {kind(apps)}: expected a list of apps")
        return []
    if not apps and not faults.lines:
        faults.add(key, "declares no apps")
    tables: list[tuple[str, Table]] = []
    for index, app in enumerate(apps):
        place = f"{key or 'apps'}[{index}]"
        if isinstance(app, Mapping):
            tables.append((place, app))
        else:
            faults.add(place, f"{shown(app)} is {kind(app)}: expected a table")
    return tables
