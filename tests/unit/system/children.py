"""Small real processes for the tests of the kernel's side; none outlives its test."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from pypm.system.spawn import spawn
from pypm.testing import wait_until

SHELL = "/bin/sh"


def start(
    command: Sequence[str],
    *,
    cwd: str = "/",
    env: Mapping[str, str] | None = None,
    umask: int = 0o022,
    output: int | None = None,
    open_files: int | None = None,
    passed: Mapping[int, int] | None = None,
    pid_variable: str | None = None,
) -> int:
    """Spawn a process whose output goes nowhere, or to ``output``; give its pid."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        out = null if output is None else output
        child = spawn(
            command,
            cwd=cwd,
            env=env or {},
            stdin=null,
            stdout=out,
            stderr=null,
            umask=umask,
            open_files=open_files,
            passed=passed,
            pid_variable=pid_variable,
        )
        return child.pid
    finally:
        os.close(null)


def ask(command: Sequence[str], **options: object) -> str:
    """Spawn a process, wait for its end, and give what it printed."""
    reader, writer = os.pipe()
    try:
        pid = start(command, output=writer, **options)  # type: ignore[arg-type]
    finally:
        os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return text


def ask_python(program: str, **options: object) -> str:
    """The same for a program of Python, which starts quickly and sees its process as it was made."""
    return ask([sys.executable, "-ISc", program], **options)


@contextmanager
def running(command: Sequence[str]) -> Iterator[int]:
    """A process that is killed, with its group, and reaped at the end."""
    pid = start(command, env={"PATH": os.defpath})
    try:
        yield pid
    finally:
        end(pid)


def end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def state_of(pid: int) -> str:
    """``R``, ``S``, ``Z`` …; empty if the process is no more."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_for_zombie(pid: int) -> None:
    wait_until(lambda: state_of(pid) == "Z", what=f"the end of {pid}")


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(each) for each in file.read().split()]
