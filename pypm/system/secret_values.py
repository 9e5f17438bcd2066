"""Values that are read when a process is started, and kept nowhere."""

from __future__ import annotations

from pypm.system.spawn_error import SpawnError

__all__ = ["read_secret"]

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
    if len(content) > MOST:
        raise SpawnError(f"secrets.{name}: {path} is larger than 64 KiB")
    try:
        value = content.decode()
    except UnicodeDecodeError:
        raise SpawnError(f"secrets.{name}: {path} is not valid UTF-8 text") from None
    if "\0" in value:
        raise SpawnError(f"secrets.{name}: {path} contains a NUL character")
    return value.removesuffix("\n").removesuffix("\r")
