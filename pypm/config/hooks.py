"""The hooks of an app: the forms of the keys, and the program of each found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pypm.config import values
from pypm.config.faults import Place
from pypm.config.program import resolve_program
from pypm.config.search import Search
from pypm.config.units import parse_duration, shown
from pypm.core.errors import ConfigError
from pypm.core.spec import HOOK_TIMEOUT, Hook, Hooks

__all__ = ["HOOKS", "hook", "hook_fields"]

HOOKS = ("post_start", "pre_stop", "on_failure")
FORMS = 'a command (text or a list), or a table such as { command = ["notify", "me"], timeout = "10s" }'
FOR_A_SHELL = 'write ["sh", "-c", "…"]'


class Written(NamedTuple):
    """A hook as the file has it."""

    command: str | tuple[str, ...]
    timeout: float


def hook(value: object) -> Written:
    """A command, or a table with ``command`` and ``timeout``."""
    if not isinstance(value, Mapping):
        return Written(values.command(value), HOOK_TIMEOUT)
    rest = dict(value)
    command, timeout = rest.pop("command", None), rest.pop("timeout", None)
    if rest or command is None:
        what = f"unknown key {shown(next(iter(rest)))}" if rest else "there is no command"
        raise ConfigError(f"{what}: expected {FORMS}")
    seconds = HOOK_TIMEOUT if timeout is None else parse_duration(timeout)
    if not seconds:
        raise ConfigError("a timeout of 0 leaves no time to run it")
    return Written(values.command(command), seconds)


def hook_fields(settings: Mapping[str, Any], search: Search, place: Place) -> dict[str, Hooks]:
    """The field of the spec, where there are hooks: their programs found as the app's own is.

    Faults go to ``place``.
    """
    found = {}
    for name in HOOKS:
        if name not in settings:
            continue
        written: Written = settings[name]
        try:
            program = resolve_program({"command": written.command}, search, place)
        except ConfigError as error:
            place.fault(name, error.message.replace("say shell = true", FOR_A_SHELL))
            continue
        found[name] = Hook(program.argv, written.timeout)
    return {"hooks": Hooks(**found)} if found else {}
