"""The environment of a run: what the app declares over the shell's, plus a few names of pypm's own."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pypm.core.secret_sources import secret_files
from pypm.core.spec import AppSpec
from pypm.system.identity import find_identity
from pypm.system.secret_values import read_secret
from pypm.system.spawn_error import SpawnError

if TYPE_CHECKING:
    from dotenv.parser import Original

__all__ = ["build_environment", "read_env_file"]

MAX_ENV_FILE = 1024 * 1024
ANOTHERS = frozenset(
    (
        *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"),
        *("NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE"),
    )
)
"""What systemd and node tell a child of theirs, and no other process."""


def build_environment(
    spec: AppSpec,
    index: int,
    inherited: Mapping[str, str],
    own: Mapping[str, str],
    printed: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the whole environment of a run.

    In rising order: the shell's environment as filtered, HOME and the like of another user, the app's files,
    what the app declares, its secrets, the instance's index, and ``own``, the names that begin with
    ``PYPM_``. ``printed`` are the secrets that commands have printed: they are run elsewhere.
    Raises SpawnError if a file cannot be read, or there is no such user.
    """
    env = _filtered(spec.filter_env, inherited)
    identity = find_identity(spec.user, spec.group)
    if identity is not None:
        env.update(identity.variables)
    for path in spec.env_files:
        env.update(read_env_file(path))
    env.update(spec.env)
    env.update({name: read_secret(name, path) for name, path in secret_files(spec.secrets).items()})
    env.update(printed or {})
    if "VIRTUAL_ENV" in spec.env and "PATH" not in spec.env:
        # As activating it does; the rest of PATH is the shell's, so it is not part of what is declared.
        env["PATH"] = f"{env['VIRTUAL_ENV']}/bin:{env.get('PATH', os.defpath)}"
    env[spec.instance_var] = str(index)
    if spec.increment_var is not None:
        env[spec.increment_var] = str(
            _incremented(env.get(spec.increment_var, "0"), index, spec.increment_var)
        )
    env.update(own)
    return env


def _filtered(dropped: tuple[str, ...] | Literal[True], inherited: Mapping[str, str]) -> dict[str, str]:
    """The shell's environment without what the app drops, or what another pypm, systemd or node has set."""
    if dropped is True:
        return {}
    return {
        name: value
        for name, value in inherited.items()
        if not name.startswith("PYPM_")
        and name not in ANOTHERS
        and not (dropped and any(part in name for part in dropped))
    }


def _incremented(base: str, index: int, name: str) -> int:
    try:
        return int(base) + index
    except ValueError:
        raise SpawnError(f"increment_var: {name} is {base!r}, which is no whole number") from None


def read_env_file(path: str) -> dict[str, str]:
    """Read a file of ``NAME=value`` lines as python-dotenv does, without expanding ``$NAME``.

    Raises SpawnError if it cannot be read, is larger than 1 MiB, or has a line that is no assignment.
    """
    from dotenv.parser import parse_stream

    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MAX_ENV_FILE + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise SpawnError(f"env_file {path}: {error}") from error
    if len(text) > MAX_ENV_FILE:
        raise SpawnError(f"env_file {path}: it is larger than 1 MiB")
    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            raise SpawnError(f"env_file {path}, line {_line_of(binding.original)}: no assignment")
        if binding.key is not None:
            values[binding.key] = binding.value or ""
    return values


def _line_of(original: Original) -> int:
    """The line of a faulty binding itself: to the parser the empty lines before it belong to it."""
    blank = original.string[: len(original.string) - len(original.string.lstrip())]
    return original.line + blank.count("\n")
