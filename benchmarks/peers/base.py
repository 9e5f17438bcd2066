"""What every process manager has to be able to do here."""

from __future__ import annotations

import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.commands import CommandOrder, Order
from benchmarks.processes import descendants, executable_of, kill_all

__all__ = ["LOG_BYTES", "LOG_FILES", "ForegroundPeer", "Installation", "Peer", "PeerError", "Workload"]

LOG_BYTES = 50 * 1024 * 1024
"""Size at which every manager rotates a log."""
LOG_FILES = 100
"""Rotated files that every manager keeps, so that nothing is dropped on purpose."""

COMMAND_SECONDS = 60.0


class PeerError(Exception):
    """A manager is not to be had here, or did not do what it was told; the message is for people."""


@dataclass(frozen=True)
class Installation:
    """Where a manager's programs are (``folder``), what version they say, what environment they need."""

    folder: Path
    version: str
    environment: Mapping[str, str]
    bare_program: Path
    """The baseline's program, which only the baseline uses."""


@dataclass(frozen=True)
class Workload:
    """The apps of one session: ``count`` of them, each the same agent under a key of its own."""

    agent: Path
    stamps: Path
    count: int
    mode: tuple[str, ...] = ("idle",)
    at_once: bool = False
    """Restart at once, always: no delay, or the smallest one permitted, and no limit."""
    log_options: str = ""
    """Further lines for the table ``logs`` of pypm's apps."""

    def name(self, key: int) -> str:
        return f"w{key:03d}"

    def names(self) -> list[str]:
        return [self.name(key) for key in range(self.count)]

    def argv(self, key: int) -> list[str]:
        return [str(self.agent), str(self.stamps), str(key), *self.mode]


class Peer(ABC):
    """One manager in a home of its own, with one workload.

    ``boot`` brings it up with nothing running; ``start``, ``stop`` and ``restart`` are about all apps.
    """

    name: ClassVar[str]
    settle_seconds: ClassVar[float] = 0.0
    """How long a run must have lasted so that its death counts as a lone one, not as a crash loop."""

    def __init__(self, installation: Installation, home: Path, workload: Workload) -> None:
        self.installation = installation
        self.home = home
        self.workload = workload
        self.environment = dict(installation.environment)
        self.log_folder = home / "logs"
        self.log_folder.mkdir(parents=True)

    @classmethod
    @abstractmethod
    def install(cls, cache: Path) -> tuple[Path, str]:
        """Finds the manager or gets it into ``cache``; gives its folder and version, or ``PeerError``."""

    @abstractmethod
    def boot(self) -> None:
        """Declares the apps where that is a step of its own, and brings the manager up."""

    @abstractmethod
    def recover(self) -> None:
        """Brings the manager up again, as a person would who finds it killed, whole or its main process."""

    @abstractmethod
    def start(self) -> Order: ...

    @abstractmethod
    def stop(self) -> Order: ...

    @abstractmethod
    def restart(self) -> Order: ...

    def delete(self) -> Order:
        """End all agents and forget them; where the manager has no command for that, stop them."""
        return self.stop()

    @abstractmethod
    def root_pids(self) -> list[int]:
        """The manager's own first processes; what came from them and is no agent counts as the manager."""

    def main_pid(self) -> int:
        """The one process that supervises, or that looks after those that do."""
        return self.root_pids()[-1]

    def status_command(self) -> list[str] | None:
        """The status command for programs, or the only one."""
        return None

    def table_command(self) -> list[str] | None:
        """The status command for people, where it is another one."""
        return None

    def logs_command(self) -> list[str] | None:
        """The command that follows the logs of all apps, where there is one."""
        return None

    def missing_from(self, output: str) -> list[str]:
        """The apps that the output of a status command does not show."""
        return [name for name in self.workload.names() if name not in output]

    def log_files(self) -> list[Path]:
        """The files that hold the agents' stdout, in no order."""
        files = self.log_folder.rglob("*")
        return [path for path in files if path.is_file() and path.suffix != ".index"]

    def manager_pids(self) -> list[int]:
        """All processes of the manager without the agents."""
        agents = set(self.workload_pids())
        return [pid for pid in descendants(self.root_pids()) if pid not in agents]

    def workload_pids(self) -> list[int]:
        """The agents that run now."""
        agent = str(self.workload.agent)
        return [pid for pid in descendants(self.root_pids()) if executable_of(pid) == agent]

    def shutdown(self) -> None:
        """Ends the manager and everything that came from it, the parents first; never fails."""
        kill_all(descendants(self.root_pids()))

    def order(self, *argv: str) -> CommandOrder:
        """Runs a command of the manager and does not wait for it."""
        return CommandOrder(argv, self.environment, self.home / "orders.log")

    def command(self, *argv: str) -> None:
        """Runs a command of the manager and waits; ``PeerError`` if it fails."""
        order = self.order(*argv)
        try:
            order.wait(COMMAND_SECONDS)
        except TimeoutError as error:
            raise PeerError(str(error)) from error
        if order.status != 0:
            raise PeerError(f"{' '.join(argv)} exited with {order.status}: {order.printed()}")

    def await_root(self) -> None:
        """Waits until a first process of the manager lives."""
        self.wait_until(lambda: any(map(executable_of, self.root_pids())), f"the start of {self.name}")

    def pids_in(self, *files: Path) -> list[int]:
        """The pids written in pid files that exist."""
        return [int(file.read_text()) for file in files if file.exists() and file.read_text().strip()]

    @staticmethod
    def wait_until(condition: Callable[[], bool], what: str, timeout: float = 20.0) -> None:
        """Waits for a condition; ``PeerError`` when it does not come."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise PeerError(f"{what} did not happen within {timeout:g} s")
            time.sleep(0.01)


class ForegroundPeer(Peer):
    """A manager whose root process is a child of ours."""

    _process: subprocess.Popen[bytes] | None = None

    def root_pids(self) -> list[int]:
        return [self._process.pid] if self._process else []

    def shutdown(self) -> None:
        super().shutdown()
        if self._process:
            self._process.communicate()


def write_script(path: Path, text: str) -> None:
    """Writes an executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def for_each(command: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """The command that a person would type to run ``command FOLDER`` for many folders."""
    words = " ".join(map(str, folders))
    return ["/bin/sh", "-c", f'for folder in {words}; do {" ".join(command)} "$folder"; done']
