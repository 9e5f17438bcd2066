"""What an app runs: script, module or command to an argument vector, and the environment that this needs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pypm.config.faults import KeyFaultError, Place
from pypm.config.search import Search
from pypm.config.units import shown
from pypm.config.values import split
from pypm.core.errors import ConfigError

__all__ = ["Program", "resolve_program", "shell_sign"]

INTERPRETERS: Mapping[str, tuple[str, ...]] = {
    ".py": ("python3", "python"),
    ".js": ("node",),
    ".mjs": ("node",),
    ".cjs": ("node",),
    ".ts": ("bun",),
    ".tsx": ("bun",),
    ".sh": ("bash",),
    ".rb": ("ruby",),
    ".pl": ("perl",),
    ".php": ("php",),
}
"""What runs a script, told by its extension; the first that is in PATH."""

_QUOTED = r"""(?s:\\.|'[^']*'|"((?:\\.|[^"\\])*)\")"""
_EXPANSION = r"\$[A-Za-z_]\w*|\$[{(]|`"
_SPECIAL = r"^\s*[A-Za-z_]\w*=|\$[A-Za-z_]\w*|\$[{(]|`|&&|\|\||[|&;<>()*]"


class Program(NamedTuple):
    """An argument vector ready for exec, and the variables that go with it (what is declared wins)."""

    argv: tuple[str, ...]
    env: dict[str, str]
    script: str
    """What the person wrote, for people."""
    name: str
    """The name of an app that has none of its own."""


def resolve_program(settings: Mapping[str, Any], search: Search, place: Place) -> Program:
    """Find everything that the app's script, module or command needs.

    Raises ConfigError for what is missing or contradictory: KeyFaultError where another key is at fault than
    the one that says what runs.
    """
    keys = [key for key in ("script", "command", "module") if key in settings]
    if not keys:
        raise ConfigError('nothing to run: expected "script", "command" or "module"')
    if len(keys) > 1:
        raise ConfigError(f"{' and '.join(keys)} each say what to run; keep one of them")
    written = settings[keys[0]]
    script = written if isinstance(written, str) else _joined(written)
    if settings.get("shell"):
        argv, name = _shell(written, settings), _base_name(script.split()[0])
    elif keys[0] == "module":
        argv, name = _module(written, settings, search), written
    else:
        words = _words(written, keys[0], search, place)
        argv, name = _argv(words, settings, search), _base_name(words[0])
    return Program(argv, _environment(argv, search), script, name)


def _joined(words: tuple[str, ...]) -> str:
    import shlex

    return shlex.join(words)


def _shell(written: object, settings: Mapping[str, Any]) -> tuple[str, ...]:
    import shlex

    others = [key for key in ("module", "interpreter", "interpreter_args") if key in settings]
    if others:
        raise KeyFaultError(others[0], "has no meaning with shell = true")
    if not isinstance(written, str):
        raise ConfigError("with shell = true the command is text, not a list")
    return ("/bin/sh", "-c", " ".join([written, *map(shlex.quote, settings.get("args", ()))]))


def _module(name: str, settings: Mapping[str, Any], search: Search) -> tuple[str, ...]:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(f"{shown(name)} is not the name of a module")
    interpreter = settings.get("interpreter")
    if interpreter == "none":
        raise KeyFaultError("interpreter", '"none" has no meaning with a module')
    if interpreter:
        python = _interpreter(interpreter, search)
    else:
        search.find_venv(search.folders())
        python = search.one_of(INTERPRETERS[".py"])
    return (python, *settings.get("interpreter_args", ()), "-m", name, *settings.get("args", ()))


def _interpreter(word: str, search: Search) -> str:
    try:
        return search.program(word, "interpreter")
    except ConfigError as error:
        raise KeyFaultError("interpreter", error.message) from error


def _words(written: str | tuple[str, ...], key: str, search: Search, place: Place) -> tuple[str, ...]:
    """The first word and its arguments. Text that is a file's path is one word, whatever blanks it has."""
    if not isinstance(written, str):
        return written
    if search.file(written) or (key == "script" and not any(sign.isspace() for sign in written)):
        return (written,)
    sign = shell_sign(written)
    if sign:
        advice = "start it as: -- sh -c '…'" if place.options else "say shell = true"
        raise ConfigError(f'{shown(written)}: only a shell understands "{sign}"; {advice}, or quote it')
    words = tuple(split(written))
    if not words or not words[0].strip():
        raise ConfigError(f"{shown(written)}: the first word, which is the program, is empty")
    return words


def shell_sign(words: str) -> str:
    """The first sign that a shell would not take for what it is; nothing if there is none."""
    inside = " ".join(re.sub(r"\\.", "", match[1]) for match in re.finditer(_QUOTED, words) if match[1])
    found = re.search(_SPECIAL, re.sub(_QUOTED, "", words)) or re.search(_EXPANSION, inside)
    return found[0].strip() if found else ""


def _argv(words: tuple[str, ...], settings: Mapping[str, Any], search: Search) -> tuple[str, ...]:
    first, arguments = words[0], (*words[1:], *settings.get("args", ()))
    interpreter = settings.get("interpreter")
    extension = os.path.splitext(first)[1].lower()
    path = search.file(first) if interpreter or extension in INTERPRETERS or "/" in first else None
    if interpreter is None and path and extension in INTERPRETERS:
        if extension == ".py":
            search.find_venv([os.path.dirname(path), search.cwd])
        runner = search.one_of(INTERPRETERS[extension])
    elif interpreter not in (None, "none"):
        runner = _interpreter(str(interpreter), search)
        path = path or search.program(first, "script")
    else:
        return _direct(first, arguments, settings, search)
    search.check_readable(path)
    return (runner, *settings.get("interpreter_args", ()), path, *arguments)


def _direct(
    first: str, arguments: tuple[str, ...], settings: Mapping[str, Any], search: Search
) -> tuple[str, ...]:
    role = "script" if "script" in settings else "program"
    if settings.get("interpreter_args"):
        raise KeyFaultError("interpreter_args", "have no meaning without an interpreter")
    return (search.program(first, role), *arguments)


def _environment(argv: tuple[str, ...], search: Search) -> dict[str, str]:
    env = {"VIRTUAL_ENV": search.venv} if search.venv else {}
    if search.venv or os.path.basename(argv[0]).startswith(("python", "pypy")):
        env["PYTHONUNBUFFERED"] = "1"
    return env


def _base_name(path: str) -> str:
    name = os.path.basename(path)
    return os.path.splitext(name)[0] or name
