"""Files and command lines to app specs: ecosystem.toml, the formats of PM2, units, errors with a place."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # `pypm list` has no time to import typing
    from typing import Any

    from pypm.config.command import from_command
    from pypm.config.ecosystem import load
    from pypm.config.files import find_default, is_config_file

__all__ = ["find_default", "from_command", "is_config_file", "load"]

_HOMES = {
    "find_default": "pypm.config.files",
    "from_command": "pypm.config.command",
    "is_config_file": "pypm.config.files",
    "load": "pypm.config.ecosystem",
}


def __getattr__(name: str) -> Any:
    # Whoever only formats a duration (`pypm list`) shall not pay for what reads files.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
