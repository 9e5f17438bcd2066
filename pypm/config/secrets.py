"""Where an ecosystem file says that secrets are: raw values to paths."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pypm.config.faults import Place
from pypm.config.search import Search
from pypm.config.units import shown
from pypm.config.values import kind, text, variable
from pypm.core.errors import ConfigError

__all__ = ["secret_files", "secrets"]

FILE = "file:"


def secrets(value: object) -> dict[str, str]:
    """Names of variables, and the paths of the files that hold their values."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{shown(value)} is {kind(value)}: expected a table of variables")
    return {variable(name): _path(name, source) for name, source in value.items()}


def _path(name: str, source: object) -> str:
    try:
        word = text(source)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error.message}") from error
    if word.startswith("cmd:"):
        raise ConfigError(f'{name}: "cmd:" is not supported yet; "file:" is')
    path = word.removeprefix(FILE)
    if path == word or not path.strip():
        # What is there instead is probably the secret itself, which is not repeated on a terminal.
        raise ConfigError(f'{name}: expected where it is, as in "file:/run/secrets/{name.lower()}"')
    return path


def secret_files(written: Mapping[str, str], search: Search, place: Place) -> dict[str, str]:
    """Absolute paths for those of ``secrets``; one that is missing is a fault."""
    found = {}
    for name, word in written.items():
        path = search.file(word)
        if path is None:
            place.fault("secrets", f"{name}: {shown(word)} is not a file in {' or '.join(search.folders())}")
        elif not os.access(path, os.R_OK):
            place.fault("secrets", f"{name}: {path} cannot be read: permission denied")
        else:
            found[name] = path
    return found
