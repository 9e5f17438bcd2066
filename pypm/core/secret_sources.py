"""Where the values of secrets come from: files, and what commands print."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["COMMAND", "command_source", "fault_of_secrets", "secret_commands", "secret_files"]

COMMAND = "cmd:"
"""Begins a source that is a command; any other one is the absolute path of a file."""


def secret_files(secrets: Mapping[str, str]) -> dict[str, str]:
    """Those of ``AppSpec.secrets`` that are in files, with their paths."""
    return {name: source for name, source in secrets.items() if not source.startswith(COMMAND)}


def secret_commands(secrets: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Those of ``AppSpec.secrets`` that commands print, with their argument vectors."""
    found = {name: source for name, source in secrets.items() if source.startswith(COMMAND)}
    if not found:
        return {}
    import shlex

    return {name: tuple(shlex.split(source.removeprefix(COMMAND))) for name, source in found.items()}


def command_source(words: tuple[str, ...]) -> str:
    """The source that stands for a command."""
    import shlex

    return COMMAND + shlex.join(words)


def fault_of_secrets(secrets: Mapping[str, str]) -> str:
    """Say what is wrong with a source; empty if nothing is."""
    try:
        empty = [name for name, words in secret_commands(secrets).items() if not words or not words[0]]
    except ValueError:
        return "the command of one of its secrets has a quote that is not closed"
    if empty:
        return f"the command of its secret {empty[0]} is empty"
    if any(not path.startswith("/") for path in secret_files(secrets).values()):
        return "the path of one of its secrets is not absolute"
    return ""
