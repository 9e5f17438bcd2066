"""What is done to set something up, as values: they are shown first (``--dry-run``), or taken."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from pypm.core.errors import RequestError

__all__ = ["RemoveFile", "RunProgram", "Step", "WriteFile", "output_of", "shown", "take"]

PATIENCE = 360.0
"""Seconds that a program may take; `systemctl start` itself gives up a start earlier."""


@dataclass(frozen=True)
class WriteFile:
    """Write ``text`` to ``path``; folders that are missing are made."""

    path: str
    text: str


@dataclass(frozen=True)
class RemoveFile:
    """Remove ``path`` if it is there."""

    path: str


@dataclass(frozen=True)
class RunProgram:
    """Run a program, with ``text`` as its input."""

    command: tuple[str, ...]
    text: str | None = None
    otherwise: str | None = None
    """What a person has to do if it fails, which then is no error."""


Step = WriteFile | RemoveFile | RunProgram


def shown(step: Step) -> str:
    """A step as a person would type it."""
    match step:
        case WriteFile(path, text):
            return f"# {path}\n{text}"
        case RemoveFile(path):
            return shlex.join(["rm", "-f", path])
        case RunProgram(command, text):
            return shlex.join(command) + ("" if text is None else f" <<'END'\n{text}END")


def take(steps: Iterable[Step]) -> list[str]:
    """Take all steps in order; give what is left for the person to do.

    Raises RequestError at the first step that fails.
    """
    advice = []
    for step in steps:
        match step:
            case WriteFile(path, text):
                _write(path, text)
            case RemoveFile(path):
                _remove(path)
            case RunProgram(command, text, otherwise):
                try:
                    output_of(command, text)
                except RequestError as error:
                    if otherwise is None:
                        hint = "--dry-run prints all steps, for you to take them yourself"
                        raise RequestError(error.message, hint=hint) from error
                    advice.append(otherwise)
    return advice


def output_of(command: tuple[str, ...], text: str | None = None) -> str:
    """Run a program and give its stdout; raises RequestError, with its stderr, when it fails."""
    words = shlex.join(command)
    if shutil.which(command[0]) is None:
        raise RequestError(f"there is no {command[0]} on this machine, so `{words}` cannot be done")
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            env=_environment(),
            stdin=subprocess.DEVNULL if text is None else None,
        )
    except subprocess.TimeoutExpired:
        raise RequestError(f"`{words}` is not done after {PATIENCE:g} s") from None
    if done.returncode != 0:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise RequestError(f"`{words}` failed: {said}")
    return done.stdout


def _environment() -> dict[str, str]:
    """English, and the way to the user's service manager, which `su` and `sudo -u` do not give."""
    environment = {**os.environ, "LC_ALL": "C"}
    runtime = f"/run/user/{os.geteuid()}"
    if "XDG_RUNTIME_DIR" not in environment and os.path.isdir(runtime):
        environment["XDG_RUNTIME_DIR"] = runtime
    return environment


def _write(path: str, text: str) -> None:
    temporary = f"{path}.new"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.rename(temporary, path)
    except OSError as error:
        raise RequestError(f"cannot write {path}: {error.strerror}") from error


def _remove(path: str) -> None:
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    except OSError as error:
        raise RequestError(f"cannot remove {path}: {error.strerror}") from error
