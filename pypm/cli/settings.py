"""What ``set``, ``get``, ``unset``, ``multiset`` and ``conf`` have in common: a home's settings."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from pypm.cli.output import print_json, say
from pypm.cli.session import existing_master
from pypm.client.home import home_folder
from pypm.config.settings_file import DEFAULTS, check_key, said, write_settings
from pypm.core.errors import NoMasterError, UsageError

__all__ = ["change", "pairs", "show", "typed"]


def show(key: str | None, *, as_json: bool) -> int:
    """Print a setting, or all of them, with what holds where nothing is said."""
    if key is not None:
        check_key(key)
    written = said(_path())
    values = {**DEFAULTS, **written}
    if as_json:
        shown = values if key is None else {key: values[key]}
        print_json(values if key is None else values[key], _settings(shown))
    elif key is not None:
        say(str(values[key]))
    else:
        for name, value in values.items():
            say(f"{name} = {value}{'' if name in written else '   (the default)'}")
    return 0


def change(changes: Mapping[str, object], *, as_json: bool) -> int:
    """Write settings, let a master that runs take them up, and tell that."""
    path = _path()
    write_settings(path, changes)
    try:
        with existing_master() as client:
            client.call("reload_settings")
        when = "the master has taken it up"
    except NoMasterError:
        when = "it holds from the next master on"
    values = {**DEFAULTS, **said(path)}
    if as_json:
        changed = {key: values[key] for key in changes}
        print_json(changed, _settings(changed))
        return 0
    for key, value in changes.items():
        unset = "" if value is not None else "   (the default)"
        say(f"{key} = {values[key]}{unset}")
    say(f"{path} is written; {when}")
    return 0


def _settings(values: Mapping[str, object]) -> list[dict[str, object]]:
    """What a line of `--format` is about: a setting."""
    return [{"key": key, "value": value} for key, value in values.items()]


def typed(word: str) -> object:
    """The value that a word stands for: a number, or itself."""
    return int(word) if word.isascii() and word.isdecimal() else word


def pairs(words: str) -> dict[str, object]:
    """Keys and values in turn, as `multiset` has them in one text."""
    try:
        given = shlex.split(words)
    except ValueError as error:
        raise UsageError(f"{words!r}: {error}") from None
    if not given or len(given) % 2:
        raise UsageError("expected KEY VALUE KEY VALUE …", hint="as in 'logs.total_size 20G'")
    return {key: typed(value) for key, value in zip(given[::2], given[1::2], strict=True)}


def _path() -> str:
    return os.path.join(home_folder(), "config.toml")
