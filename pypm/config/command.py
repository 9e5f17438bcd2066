"""The words of ``pypm start`` to the spec of one app."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from pypm.config.faults import Faults, Place
from pypm.config.keys import read_app
from pypm.config.resolve import Base, merge, resolve
from pypm.core.errors import ConfigError
from pypm.core.spec import AppSpec

__all__ = ["from_command"]


def from_command(words: Sequence[str], options: Mapping[str, object], *, cwd: str) -> AppSpec:
    """The app that a command line declares.

    ``words``: a script or program and its arguments, or one text such as ``"cmd with args"`` (then further
    words are added to it); empty if ``options`` say what to run. ``options``: keys of the ecosystem file and
    their values, checked as there; ``None`` is an option that was not given. ``cwd``: the absolute path of
    the folder in which the command was typed.

    Raises ConfigError with all that is wrong, a line a fault.
    """
    faults = Faults(None)
    place = Place(faults, "", options=True)
    settings = read_app(_combine(words, options, place), place)
    spec = resolve(merge({}, settings, None), Base(os.path.abspath(cwd)), place)
    faults.check()
    if spec is None:  # never: resolve notes a fault whenever it gives nothing
        raise ConfigError("nothing to run")
    return spec


def _combine(words: Sequence[str], options: Mapping[str, object], place: Place) -> dict[str, object]:
    """The words as the keys that they stand for, beside the options."""
    raw = {key: value for key, value in options.items() if value is not None}
    arguments = list(words)
    if arguments and not raw.keys() & {"script", "exec", "command", "cmd", "module"}:
        raw["script"] = arguments.pop(0)
        place.written["script"] = ""  # it has no option: its faults are told without one
        if not str(raw["script"]).strip():
            raise ConfigError("the command is empty")
    if arguments and "args" in raw:
        place.fault("args", "arguments are given twice: here and as words")
    elif arguments:
        raw["args"] = arguments
        place.written["args"] = ""
    return raw
