"""The real thing: a master, the command line and agents in a home, for integration and faults."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pypm.client.connection import Connection
from pypm.client.launch import connect
from pypm.core.errors import NoMasterError, PypmError
from pypm.testing import wait_until

COMMAND = (sys.executable, "-m", "pypm")
LONG = 60.0
"""Seconds after which a command that has not ended is a failure; nothing takes so long."""


class RealPypm:
    """A home, a folder to work in, and what a person does there."""

    def __init__(self, home: Path, folder: Path | None = None) -> None:
        self.home = home
        self.folder = folder or home / "work"
        self.folder.mkdir(exist_ok=True)

    # --- the command line ---

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run ``pypm WORDS`` in the working folder; ``options`` are those of ``subprocess.run``."""
        given = {"cwd": self.folder, "capture_output": True, "text": True, "timeout": LONG, **options}
        return subprocess.run([*COMMAND, *words], check=False, stdin=subprocess.DEVNULL, **given)

    def ok(self, *words: str, **options: Any) -> str:
        """Run a command that has to succeed; give its stdout."""
        done = self.run(*words, **options)
        assert done.returncode == 0, f"pypm {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return str(done.stdout)

    def fails(self, status: int, *words: str, **options: Any) -> str:
        """Run a command that has to exit with ``status`` and print nothing on stdout; give its stderr."""
        done = self.run(*words, **options)
        assert (done.returncode, done.stdout) == (status, ""), f"pypm {' '.join(words)}: {done}"
        assert "Traceback" not in done.stderr
        return str(done.stderr)

    def json(self, *words: str, **options: Any) -> Any:
        """Run ``pypm WORDS --json``, which has to succeed; give the value that stdout is."""
        return json.loads(self.ok(words[0], "--json", *words[1:], **options))

    def popen(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        """Begin ``pypm WORDS``; both outputs are pipes unless ``options`` say otherwise."""
        pipes = {"cwd": self.folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([*COMMAND, *words], stdin=subprocess.DEVNULL, **pipes)

    # --- files ---

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        """Write a file in the working folder."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def ecosystem(self, *apps: dict[str, Any], name: str = "ecosystem.toml") -> str:
        """Write an ecosystem file; a start counts as a success after 10 ms unless an app says otherwise."""
        tables = "".join(app_table(app) for app in apps)
        return str(self.write(name, f'[defaults]\nmin_uptime = "10ms"\n\n{tables}'))

    def start(self, *apps: dict[str, Any], status: int = 0) -> None:
        """Start apps by way of an ecosystem file, and wait as the command does."""
        done = self.run("start", self.ecosystem(*apps))
        assert done.returncode == status, done.stdout + done.stderr

    def begin(self, *apps: dict[str, Any]) -> None:
        """Start apps by way of an ecosystem file, without waiting for them."""
        self.ok("start", self.ecosystem(*apps), "--no-wait")

    def log(self, name: str, stream: str = "out") -> bytes:
        """The current log file of an instance; empty if there is none."""
        try:
            return (self.home / "logs" / f"{name.replace(':', '-')}-{stream}.log").read_bytes()
        except FileNotFoundError:  # nothing is written yet, or it has just been rotated
            return b""

    def master_log(self) -> str:
        return (self.home / "master.log").read_text()

    def state(self) -> dict[str, Any]:
        return json.loads((self.home / "state" / "state.json").read_bytes())

    # --- the socket: for waiting, quicker than a command ---

    def call(self, method: str, **params: Any) -> Any:
        with connect(str(self.home)) as connection:
            return connection.call(method, **params)

    def connect(self) -> Connection:
        return connect(str(self.home))

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.call("list")
        return rows

    def row(self, name: str) -> dict[str, Any]:
        return next(row for row in self.rows() if row["name"] == name)

    def pid(self, name: str) -> int:
        pid = self.row(name)["pid"]
        assert isinstance(pid, int), f"{name} does not run"
        return pid

    def master_pid(self) -> int:
        return int(self.call("ping")["master_pid"])

    def wait_status(self, name: str, *statuses: str, timeout: float = 20.0) -> dict[str, Any]:
        """Wait until an instance has one of ``statuses``; give its row."""
        found: dict[str, Any] = {}

        def is_there() -> bool:
            found.update(self.row(name))
            return found["status"] in statuses

        try:
            wait_until(is_there, timeout, f"{name}: {' or '.join(statuses)}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {found}") from None
        return found

    def wait_row(
        self, name: str, condition: Callable[[dict[str, Any]], bool], timeout: float = 20.0
    ) -> dict[str, Any]:
        """Wait until ``condition`` is true of an instance's row; give the row."""
        found: dict[str, Any] = {}

        def holds() -> bool:
            found.update(self.row(name))
            return condition(found)

        try:
            wait_until(holds, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {found}") from None
        return found

    def guardian_pid(self) -> int:
        return int(self.call("ping")["guardian_pid"])

    def all_is_saved(self) -> None:
        """Wait until what rows tell of is on the disk: then an order is answered, also an empty one."""
        self.call("reset", targets=[])

    def kill_master(self, *, at_once: bool = False) -> int:
        """End the master with SIGKILL; give its pid. Whoever calls next waits for its successor.

        ``at_once``: though something that it has told may not be saved yet.
        """
        if not at_once:
            self.all_is_saved()
        pid = self.master_pid()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not lives(pid), what="the end of the master")
        return pid

    @contextmanager
    def without_master(self) -> Iterator[None]:
        """Let what follows happen while there is no master, and the guardian has not begun to replace it."""
        guardian = self.guardian_pid()
        self.all_is_saved()
        os.kill(guardian, signal.SIGSTOP)
        try:
            self.kill_master(at_once=True)
            yield
        finally:
            os.kill(guardian, signal.SIGCONT)

    def kill_both(self) -> tuple[int, int]:
        """End guardian and master with SIGKILL, so that neither sees the other's end; give their pids."""
        self.all_is_saved()
        answer = self.call("ping")
        pids = (int(answer["guardian_pid"]), int(answer["master_pid"]))
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        wait_until(lambda: not any(map(lives, pids)), what="the end of guardian and master")
        return pids

    def terminate_master(self) -> None:
        """End the master with SIGTERM, and wait for its end and its guardian's."""
        os.kill(self.master_pid(), signal.SIGTERM)
        wait_until(lambda: self.lock_holder() is None, 20.0, "the end of the master")

    def end(self) -> None:
        """End the agents, the master and the guardian by ``kill``."""
        wait_until(self._is_ended, 30.0, "the end of the guardian")

    def _is_ended(self) -> bool:
        try:
            with self.connect() as connection:
                connection.timeout = 20.0
                connection.call("kill")
        except NoMasterError:
            return self.lock_holder() is None
        except PypmError:
            pass  # it was about to end, or another one takes its place
        return False

    def lock_holder(self) -> int | None:
        """The pid of the living guardian, as its lock file has it."""
        try:
            pid = int((self.home / "master.lock").read_text())
        except (OSError, ValueError):
            return None
        return pid if lives(pid) and b"pypm" in command_line(pid) else None


_ports = itertools.count(20_000 + os.getpid() * 97 % 12_000)


def free_port() -> int:
    """A port of 127.0.0.1 at which nobody listens.

    It is none of those that the kernel gives to whoever asks for any: somebody else would have it meanwhile.
    """
    for port in _ports:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError


def lives(pid: int) -> bool:
    """Whether there is such a process that is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat[stat.rindex(b")") + 2 :][:1] not in (b"Z", b"X")


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def with_command(program: str, *arguments: str) -> list[int]:
    """The pids of living agents of this test's home that run ``program`` with these arguments.

    The program's path does not matter. Those of other homes are none of ours: tests may run side by side.
    """
    wanted = [each.encode() for each in arguments]
    found = []
    for name in os.listdir("/proc"):
        first, *rest = command_line(int(name)).split(b"\0") if name.isdecimal() else [b""]
        if os.path.basename(first) == program.encode() and rest[:-1] == wanted and is_of_home(int(name)):
            found.append(int(name))
    return found


def is_of_home(pid: int) -> bool:
    """Whether a process was started in the home of this test, or by what was."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return b"PYPM_HOME=" + os.environb[b"PYPM_HOME"] in variables


def app_table(app: dict[str, Any]) -> str:
    """One ``[[apps]]`` table."""
    lines = [f"{key} = {toml(value)}" for key, value in app.items() if not isinstance(value, dict)]
    tables = [
        f"[apps.{key}]\n" + "\n".join(f"{name} = {toml(each)}" for name, each in value.items())
        for key, value in app.items()
        if isinstance(value, dict)
    ]
    return "\n".join(["[[apps]]", *lines, *tables, "", ""])


def toml(value: Any) -> str:
    """A value as TOML has it; JSON's strings, numbers and booleans are the same there."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def sleeper(name: str, **keys: Any) -> dict[str, Any]:
    """An app that does nothing, for ever, and ends at once when it is told to."""
    return {"name": name, "command": ["sleep", "1000"], **keys}


def shell(name: str, script: str, **keys: Any) -> dict[str, Any]:
    """An app that is a line of shell."""
    return {"name": name, "command": ["/bin/sh", "-c", script], **keys}


def python(name: str, script: str, **keys: Any) -> dict[str, Any]:
    """An app that is a piece of Python, with the interpreter of the tests."""
    return {"name": name, "command": [sys.executable, "-u", "-c", script], **keys}


@pytest.fixture
def pypm(home: Path) -> Iterator[RealPypm]:
    """A home in which nothing runs yet; what runs there at the end is ended."""
    real = RealPypm(home)
    yield real
    real.end()
