"""Where an ecosystem file says that secrets are: raw values to sources."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pypm.config.faults import Place
from pypm.config.program import resolve_program
from pypm.config.search import Search
from pypm.config.units import shown
from pypm.config.values import kind, text, variable
from pypm.core.errors import ConfigError
from pypm.core.secret_sources import COMMAND, command_source

__all__ = ["secret_sources", "secrets"]

FILE = "file:"
FOR_A_SHELL = "write \"cmd:sh -c '…'\""


def secrets(value: object) -> dict[str, str]:
    """Names of variables, and the file or the command that has their value, as written."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{shown(value)} is {kind(value)}: expected a table of variables")
    return {variable(name): _source(name, source) for name, source in value.items()}


def _source(name: str, source: object) -> str:
    try:
        word = text(source)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error.message}") from error
    scheme = next((each for each in (FILE, COMMAND) if word.startswith(each)), "")
    if not scheme or not word.removeprefix(scheme).strip():
        # What is there instead is probably the secret itself, which is not repeated on a terminal.
        example = f'"file:/run/secrets/{name.lower()}" or "cmd:pass show {name.lower()}"'
        raise ConfigError(f"{name}: expected where it is, as in {example}")
    return word


def secret_sources(written: Mapping[str, str], search: Search, place: Place) -> dict[str, str]:
    """The sources for ``AppSpec.secrets``, with absolute paths; what is missing is a fault."""
    found = {}
    for name, word in written.items():
        try:
            found[name] = (
                _command(word.removeprefix(COMMAND), search, place)
                if word.startswith(COMMAND)
                else _file(word.removeprefix(FILE), search)
            )
        except ConfigError as error:
            place.fault("secrets", f"{name}: {error.message}")
    return found


def _command(written: str, search: Search, place: Place) -> str:
    try:
        return command_source(resolve_program({"command": written.strip()}, search, place).argv)
    except ConfigError as error:
        raise ConfigError(error.message.replace("say shell = true", FOR_A_SHELL)) from error


def _file(word: str, search: Search) -> str:
    path = search.file(word)
    if path is None:
        raise ConfigError(f"{shown(word)} is not a file in {' or '.join(search.folders())}")
    if not os.access(path, os.R_OK):
        raise ConfigError(f"{path} cannot be read: permission denied")
    return path
