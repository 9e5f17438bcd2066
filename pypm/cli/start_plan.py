"""Which words of ``pypm start`` mean what: apps that the master knows, files that declare apps, programs."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from pypm.cli.targets import is_file
from pypm.client.connection import Connection
from pypm.config import find_default, from_command, is_config_file, load
from pypm.config.search import in_path
from pypm.core.errors import NotFoundError, RequestError, UsageError
from pypm.core.spec import AppSpec
from pypm.core.targets import match, nearest

__all__ = ["Plan", "Row", "StartWords", "order", "resolve"]


class Row(msgspec.Struct, frozen=True):
    """What a word is compared with: the names of an instance."""

    id: int
    name: str
    app: str
    namespace: str


class StartWords(msgspec.Struct, frozen=True):
    """What a person wrote after ``pypm start``."""

    words: tuple[str, ...] = ()
    rest: tuple[str, ...] | None = None
    """The words after ``--``; ``None``: there was no ``--``."""
    options: dict[str, Any] = {}
    """Keys of an app, as an ecosystem file has them, that were given as options."""
    env_name: str | None = None
    only: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True):
    """What is to be declared and what of the known is to be started."""

    specs: tuple[AppSpec, ...] = ()
    targets: tuple[str, ...] = ()

    def rows(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Give those of ``rows`` that the targets mean."""
        ids = {row.id for row in match(self.targets, _names(rows))}
        return [row for row in rows if row["id"] in ids]


def resolve(given: StartWords, rows: list[dict[str, Any]], folder: str) -> Plan:
    """Find out what the words mean where the master knows ``rows``; relative paths begin at ``folder``.

    A known app or instance comes first, then a file, then an id, namespace or pattern, then a program on
    the search path, then a command line in one word. Raises :class:`PypmError` when a word fits nothing or
    what it names is wrong.
    """
    if given.rest is not None:
        return _program(given, folder)
    names = _names(rows)
    if not given.words:
        return _default(given, names, folder)
    specs: list[AppSpec] = []
    targets: list[str] = []
    for word in given.words:
        is_stdin = word == "-"
        found = _declared(word, given, names) if is_stdin else _resolve_word(word, given, names, folder)
        specs += found.specs
        targets += found.targets
    _refuse_doubles(specs)
    return Plan(tuple(specs), tuple(targets))


def order(connection: Connection, plan: Plan) -> dict[str, Any]:
    """Have the master do what ``plan`` says; give the *change* of the protocol."""
    from pypm.cli.session import origin

    change: dict[str, Any] = {"instances": [], "warnings": []}
    answers = []
    if plan.specs:
        apps = msgspec.to_builtins(plan.specs)
        answers.append(connection.call_patiently("apply", apps=apps, origin=origin()))
    if plan.targets:
        answers.append(connection.call_patiently("start", targets=list(plan.targets)))
    for answer in answers:
        change["instances"] += answer["instances"]
        change["warnings"] += answer["warnings"]
    return change


def _resolve_word(word: str, given: StartWords, names: list[Row], folder: str) -> Plan:
    if word == "all" or any(word in (row.app, row.name) for row in names):
        return _known(word, given)
    path = os.path.normpath(os.path.join(folder, os.path.expanduser(word)))
    if is_config_file(path):
        return _declared(path, given, names)
    if is_file(word) or os.path.splitext(word)[1]:
        if os.path.exists(path):
            _refuse_no_file(path)
            return _program(given, folder, word)
        if os.path.islink(path):
            raise RequestError(f"{path} is a link that leads nowhere", hint=f"see: ls -l {path}")
        if not any(sign in word for sign in "*?[ ") and not _is_regex(word):
            raise RequestError(f"no such file: {path}", hint=_nearest_file(path))
    if _matches(word, names):
        return _known(word, given)
    if os.path.isfile(path) or " " in word.strip() or _is_program(word):
        return _program(given, folder, word)
    if word.strip():
        _refuse_no_file(path)
    raise NotFoundError(f"no app, file or program {word!r}", hint=nearest(word, names))


def _refuse_no_file(path: str) -> None:
    """Raise RequestError for what is there and can be neither a program nor an ecosystem file."""
    if os.path.isdir(path):
        hint = "name a file in it, or `cd` there and `pypm start` its ecosystem file"
        raise RequestError(f"{path} is a folder", hint=hint)
    if os.path.exists(path) and not os.path.isfile(path):
        raise RequestError(f"{path} is no regular file", hint="copy what it gives into a file")


def _default(given: StartWords, rows: list[Row], folder: str) -> Plan:
    path = find_default(folder)
    if path is None:
        raise UsageError(
            "nothing to start: there is no ecosystem file in this folder",
            hint="pypm start FILE, pypm start SCRIPT, or pypm start --name NAME -- COMMAND …",
        )
    return _declared(path, given, rows)


def _declared(path: str, given: StartWords, rows: list[Row]) -> Plan:
    if given.options:
        flag = "--" + next(iter(given.options)).replace("_", "-")
        raise UsageError(f"{flag} is for a program; {path} declares its apps itself")
    known = {row.app for row in rows}
    return Plan(specs=tuple(load(path, env_name=given.env_name, only=given.only or None, known=known)))


def _program(given: StartWords, folder: str, word: str | None = None) -> Plan:
    if given.env_name is not None or given.only:
        flag = "--env" if given.env_name is not None else "--only"
        raise UsageError(
            f"{flag} is for an ecosystem file", hint="a program inherits this shell's environment"
        )
    words = given.words if word is None else (word,)
    if len(given.words) > 1 and (given.rest is not None or "name" in given.options):
        raise UsageError(
            f"one program at a time can have a name and arguments, and these are {len(given.words)} words",
            hint="arguments go behind --, as in: pypm start agent.py -- --port 8000",
        )
    command = (*words, *(given.rest or ()))
    if not command:
        raise UsageError("there is no command after --")
    return Plan(specs=(from_command(command, given.options, cwd=folder),))


def _known(word: str, given: StartWords) -> Plan:
    if given.options or given.env_name is not None or given.only:
        raise UsageError(
            f"{word} is known already and is started as it was declared",
            hint=f"to declare it anew: pypm start SCRIPT --name {word} …, or pypm start FILE --only {word}",
        )
    return Plan(targets=(word,))


def _names(rows: list[dict[str, Any]]) -> list[Row]:
    return msgspec.convert(rows, list[Row])


def _is_regex(word: str) -> bool:
    return len(word) > 2 and word.startswith("/") and word.endswith("/")


def _matches(word: str, names: list[Row]) -> bool:
    try:
        return bool(match([word], names))
    except NotFoundError:
        return False


def _is_program(word: str) -> bool:
    return in_path(word, os.environ.get("PATH", os.defpath), os.getcwd()) is not None


def _nearest_file(path: str) -> str | None:
    from difflib import get_close_matches

    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return f"there is no folder {folder}"
    close = get_close_matches(os.path.basename(path), os.listdir(folder), n=3)
    return f"did you mean {' or '.join(close)}?" if close else None


def _refuse_doubles(specs: list[AppSpec]) -> None:
    seen: set[str] = set()
    for spec in specs:
        if spec.name in seen:
            raise UsageError(
                f"two of these apps have the name {spec.name!r}", hint="give one of them a --name"
            )
        seen.add(spec.name)
