"""pypm: the console script beside the Python that runs this, or ``python -m pypm``."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.commands import CommandOrder, Order, run_command
from benchmarks.peers.base import LOG_BYTES, LOG_FILES, Peer, PeerError
from benchmarks.workspace import clean_environment

__all__ = ["Pypm"]

APP = """\
[[apps]]
name = "{name}"
command = {command}
cwd = "{home}"
{restart}
[apps.logs]
max_size = {log_bytes}
retain = {log_files}
{log_options}
"""
AT_ONCE = 'restart_delay = 0\nmax_restarts = "unlimited"'
KILL_SECONDS = 20.0
CALL_SECONDS = 30.0
POLL_SECONDS = 0.0005


class Pypm(Peer):
    name = "pypm"

    @classmethod
    def install(cls, cache: Path) -> tuple[Path, str]:
        folder = Path(sys.executable).parent
        asked = subprocess.run(
            [*_program(folder), "version", "--json"],
            env=clean_environment(cache) | {"PYPM_HOME": str(cache / "no-home")},
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            return folder, str(json.loads(asked.stdout)["version"])
        except (ValueError, KeyError) as error:
            raise PeerError(f"pypm does not run: {(asked.stderr or asked.stdout).strip()[-200:]}") from error

    def boot(self) -> None:
        self._pypm = _program(self.installation.folder)
        self._pypm_home = self.home / "pypm"
        self.environment["PYPM_HOME"] = str(self._pypm_home)
        self.log_folder = self._pypm_home / "logs"
        self._file = self.home / "ecosystem.toml"
        self._file.write_text(self.ecosystem())
        self.recover()

    def recover(self) -> None:
        self.command(*self._pypm, "list", "--json")
        self._roots = self._ask_for_pids()

    def words(self, *words: str) -> list[str]:
        """A command line of pypm."""
        return [*self._pypm, *words]

    def call(self, method: str) -> Any:
        """Asks the master on its socket, without a command; ``ConnectionError`` when it dies meanwhile."""
        with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as answers:
            client.settimeout(CALL_SECONDS)
            client.connect(str(self._pypm_home / "pypm.sock"))
            client.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}).encode() + b"\n")
            line = answers.readline()
        if not line:
            raise ConnectionResetError("the master has closed the connection")
        return json.loads(line)["result"]

    def kill_master(self) -> float:
        """Kills the master; gives the seconds until another one has answered a ping."""
        old = self.main_pid()
        begun = time.monotonic()
        os.kill(old, signal.SIGKILL)
        while True:
            with contextlib.suppress(ConnectionError):
                pids = self.call("ping")
                if pids["master_pid"] != old:
                    break
            time.sleep(POLL_SECONDS)
        passed = time.monotonic() - begun
        self._roots = [pids["guardian_pid"], pids["master_pid"]]
        return passed

    def ecosystem(self) -> str:
        """The ecosystem file that declares the workload."""
        return "".join(map(self._app, range(self.workload.count)))

    def _app(self, key: int) -> str:
        return APP.format(
            name=self.workload.name(key),
            command=json.dumps(self.workload.argv(key)),
            home=self.home,
            restart=AT_ONCE if self.workload.at_once else "",
            log_bytes=LOG_BYTES,
            log_files=LOG_FILES,
            log_options=self.workload.log_options,
        )

    def _ask_for_pids(self) -> list[int]:
        answer = run_command([*self._pypm, "ping", "--json"], self.environment)
        try:
            pids = json.loads(answer.output)
            return [pid for pid in (pids.get("guardian_pid"), pids["master_pid"]) if pid]
        except (ValueError, KeyError) as error:
            raise PeerError(f"pypm ping --json: {answer.output[-200:]}") from error

    def start(self) -> Order:
        return self.order(*self._pypm, "start", str(self._file), "--no-wait")

    def stop(self) -> Order:
        return self.order(*self._pypm, "stop", "all")

    def restart(self) -> Order:
        return self.order(*self._pypm, "restart", "all")

    def delete(self) -> Order:
        return self.order(*self._pypm, "delete", "all")

    def status_command(self) -> list[str]:
        return [*self._pypm, "list", "--json"]

    def table_command(self) -> list[str]:
        return [*self._pypm, "list"]

    def logs_command(self) -> list[str]:
        return [*self._pypm, "logs"]

    def log_files(self) -> list[Path]:
        return [path for path in super().log_files() if path.suffix != ".index"]

    def root_pids(self) -> list[int]:
        return getattr(self, "_roots", [])

    def shutdown(self) -> None:
        # In order first: a guardian would otherwise bring back a master that was killed before it.
        try:
            CommandOrder([*self._pypm, "kill"], self.environment, self.home / "orders.log").wait(KILL_SECONDS)
        except TimeoutError as error:
            super().shutdown()
            raise PeerError(str(error)) from error
        super().shutdown()


def _program(folder: Path) -> list[str]:
    script = folder / "pypm"
    return [str(script)] if os.access(script, os.X_OK) else [sys.executable, "-m", "pypm"]
