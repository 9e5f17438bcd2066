"""What a shell offers where options stand on the line: the command itself knows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click

from pypm.cli.completing import offer
from pypm.cli.main import group

__all__ = ["of_command"]

_KINDS = {"--only": "apps", "--namespace": "namespaces", "--sort": "fields"}
"""Option -> what its value is, where neither a choice nor a metavar tells."""

_METAVARS = {"FILE": "files", "FOLDER": "folders"}


def of_command(
    verb: str, given: list[str], current: str, kind_at: Callable[[int], str]
) -> Iterator[tuple[str, str]]:
    """Give what may stand in the place of ``current``, after ``given``, of the words behind a verb.

    ``kind_at`` tells of what kind the word at a place is, the options aside.
    """
    command = group.get_command(click.Context(group), verb)
    if command is None:
        return
    options = {
        name: option for option in _options(command) for name in (*option.opts, *option.secondary_opts)
    }
    words, waiting = _sorted_out(given, options)
    name, sign, value = current.partition("=")
    if waiting is not None:
        yield from _values(waiting, current)
    elif sign and name in options:
        yield from ((f"{name}={word}", text) for word, text in _values(options[name], value))
    elif current.startswith("-"):
        yield from _unused(command, given, current)
    else:
        arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
        place = min(len(words), len(arguments) - 1)
        if arguments and (len(words) < len(arguments) or arguments[-1].nargs == -1):
            yield from _values(arguments[place], current, kind_at(len(words)), words)


def _options(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def _sorted_out(given: list[str], options: dict[str, click.Option]) -> tuple[list[str], click.Option | None]:
    """The words that are no options and no values of them, and the option that still waits for its value."""
    words: list[str] = []
    waiting: click.Option | None = None
    for word in given:
        if waiting is not None:
            waiting = None
        elif not word.startswith("-"):
            words.append(word)
        elif (option := options.get(word)) is not None and not option.is_flag and not option.count:
            waiting = option
    return words, waiting


def _values(
    parameter: click.Parameter, current: str, kind: str = "", taken: list[str] | None = None
) -> Iterator[tuple[str, str]]:
    if isinstance(parameter.type, click.Choice):
        names = map(str, parameter.type.choices)
        yield from ((name, "") for name in names if name.startswith(current))
        return
    for name in parameter.opts:
        kind = kind or _KINDS.get(name, "")
    metavar = (parameter.metavar or "").strip("[]….")
    yield from offer(kind or _METAVARS.get(metavar, ""), current, taken or ())


def _unused(command: click.Command, given: list[str], current: str) -> Iterator[tuple[str, str]]:
    for option in _options(command):
        names = (*option.opts, *option.secondary_opts)
        if option.hidden or (not option.multiple and any(name in given for name in names)):
            continue
        for name in names:
            if name.startswith("--") and name.startswith(current):
                yield name, (option.help or "").partition(". ")[0]
    if "--help".startswith(current):
        yield "--help", "Show how it is used."
