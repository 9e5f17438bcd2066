"""Values that are read when a process is started, and kept nowhere."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pypm.core.secret_sources import secret_commands, secret_files
from pypm.core.spec import AppSpec
from pypm.system.environment_of import environment_of
from pypm.system.spawn_error import SpawnError

__all__ = ["MOST", "exposed_files", "printed_for", "read_secret", "secret_value"]

MOST = 64 * 1024
"""Bytes of a value; the kernel takes no variable that is twice as long."""


def read_secret(name: str, path: str) -> str:
    """The content of a file as the value of the variable ``name``, without the line break at its end.

    Raises SpawnError if it cannot be read, is longer than 64 KiB, or cannot be a variable. No error says
    anything of the content.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MOST + 1)
    except OSError as error:
        raise SpawnError(f"secrets.{name}: {path}: {error.strerror}") from error
    return secret_value(name, path, content)


def secret_value(name: str, source: str, content: bytes) -> str:
    """What a file holds or a command has printed as the value of the variable ``name``.

    Raises SpawnError as ``read_secret`` does.
    """
    if len(content) > MOST:
        raise SpawnError(f"secrets.{name}: {source} is larger than 64 KiB")
    try:
        value = content.decode()
    except UnicodeDecodeError:
        raise SpawnError(f"secrets.{name}: {source} is not valid UTF-8 text") from None
    if "\0" in value:
        raise SpawnError(f"secrets.{name}: {source} contains a NUL character")
    return value.removesuffix("\n").removesuffix("\r")


def printed_for(pid: int | None, secrets: Mapping[str, str]) -> dict[str, str]:
    """The secrets that commands have printed for a run: nobody but its process has them.

    Nothing where there is no run, or where the program has written over its environment to set its title.
    """
    names = secret_commands(secrets)
    if not names or pid is None:
        return {}
    env = environment_of(pid)
    return {name: env[name] for name in names if name in env}


def exposed_files(spec: AppSpec) -> list[str]:
    """The files with an app's environment and secrets that others than their owner can read or change."""
    return [path for path in (*spec.env_files, *secret_files(spec.secrets).values()) if _is_open(path)]


def _is_open(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & 0o077)
    except OSError:
        return False  # the start fails of it, and says so
