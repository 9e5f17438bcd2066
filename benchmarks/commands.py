"""Commands of a person, run and timed: into a pipe or into a pseudo-terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["CommandOrder", "Finished", "Order", "run_command", "run_in_terminal"]

ROWS, COLUMNS = 50, 160


@dataclass(frozen=True)
class Finished:
    """A command that has ended: wall time from before its fork to its end, exit status, what it printed."""

    seconds: float
    status: int
    output: str


class Order(Protocol):
    """Something that a manager was told to do, and that will be reported as done."""

    begun: int
    """Nanoseconds of the monotonic clock just before it was told."""

    def wait(self, timeout: float) -> int:
        """Nanoseconds at which it was reported as done; raises ``TimeoutError``."""
        ...


def run_command(argv: Sequence[str], environment: Mapping[str, str], timeout: float = 60) -> Finished:
    """Runs a command with its stdout and stderr in one pipe and waits for its end."""
    begun = time.monotonic()
    done = subprocess.run(
        argv,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        check=False,
    )
    return Finished(time.monotonic() - begun, done.returncode, done.stdout.decode(errors="replace"))


def run_in_terminal(argv: Sequence[str], environment: Mapping[str, str]) -> Finished:
    """Runs a command on a pseudo-terminal of its own, as a person would, and waits for its end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    begun = time.monotonic()
    process = subprocess.Popen(argv, env=dict(environment), stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    printed = bytearray()
    # Linux says EIO at the end of a terminal whose other side is closed.
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 1 << 16):
            printed += chunk
    os.close(ours)
    status = process.wait()
    return Finished(time.monotonic() - begun, status, printed.decode(errors="replace"))


class CommandOrder:
    """An order given by a command of its own, which is done when the command ends."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._command = " ".join(argv)
        self._done: int | None = None
        with log.open("ab") as output:
            self.begun = time.monotonic_ns()
            self._process = subprocess.Popen(
                argv, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        # A thread, because its end may come while the caller waits for something else.
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        self._process.wait()
        self._done = time.monotonic_ns()

    def wait(self, timeout: float) -> int:
        self._thread.join(timeout)
        if self._done is None:
            self._process.kill()
            raise TimeoutError(f"{self._command} did not end within {timeout:g} s, see {self._log}")
        return self._done

    @property
    def status(self) -> int | None:
        """The exit status, once it has ended."""
        return self._process.returncode

    def printed(self) -> str:
        """The last lines of what this home's commands have printed, for an error message."""
        return " | ".join(self._log.read_text(errors="replace").splitlines()[-3:])
