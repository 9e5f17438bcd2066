"""``PYPM_HOME/config.toml``: what holds for a whole home, not for one app."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from pypm.config.faults import nearest
from pypm.config.log_bounds import bytes_of_logs
from pypm.config.units import shown
from pypm.core.errors import ConfigError

__all__ = ["HomeSettings", "read_home_settings", "settings_of"]

LOGS = ("total_size",)


class HomeSettings(msgspec.Struct, frozen=True):
    """What a home's settings say, with every default."""

    logs_total_size: int = 10 * 1024**3
    """Bytes that the logs of a home may have together; 0: any number."""


def read_home_settings(path: str) -> HomeSettings:
    """The settings in a file; the defaults where there is no such file.

    Raises ``ConfigError``, which names the file and the place in it.
    """
    if not os.path.exists(path):  # as nearly always: what parses it is not loaded into each master for that
        return HomeSettings()
    import tomllib

    try:
        with open(path, "rb") as file:
            raw = tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return HomeSettings()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return settings_of(raw, path)


def settings_of(raw: Mapping[str, object], path: str) -> HomeSettings:
    """The settings that a file's tables say; raises ``ConfigError``, which names ``path`` and the place."""
    logs = table(raw, path)
    if "total_size" not in logs:
        return HomeSettings()
    try:
        return HomeSettings(logs_total_size=bytes_of_logs(logs["total_size"]))
    except ConfigError as error:
        raise ConfigError(f"{path}: logs.total_size: {error.message}") from error


def table(raw: Mapping[str, object], path: str) -> Mapping[str, object]:
    """The table ``logs``; raises ``ConfigError`` for what is none, and for unknown keys in and beside it."""
    for key in raw:
        if key != "logs":
            raise ConfigError(f"{path}: {key}: unknown key{nearest(key, ('logs',))}")
    logs = raw.get("logs", {})
    if not isinstance(logs, Mapping):
        raise ConfigError(f"{path}: logs: {shown(logs)}: expected a table, [logs]")
    for key in logs:
        if key not in LOGS:
            raise ConfigError(f"{path}: logs.{key}: unknown key{nearest(key, LOGS)}")
    return logs
