"""runit (runsvdir, runsv, sv, svlogd), from Debian."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from benchmarks.commands import Order
from benchmarks.peers.base import LOG_BYTES, LOG_FILES, ForegroundPeer, write_script
from benchmarks.peers.debian_packages import unpack_packages

__all__ = ["Runit"]


class Runit(ForegroundPeer):
    """A runsv and a svlogd for each app, all brought up by boot; the agents wait for ``sv start``."""

    name = "runit"
    settle_seconds = 1.1

    @classmethod
    def install(cls, cache: Path) -> tuple[Path, str]:
        return unpack_packages(cache, ["runit"])

    def boot(self) -> None:
        programs = self.installation.folder / "usr/bin"
        self.environment["PATH"] = f"{programs}:{self.environment['PATH']}"
        self._sv = str(programs / "sv")
        services = self.home / "services"
        self._folders = [services / name for name in self.workload.names()]
        for key, folder in enumerate(self._folders):
            self._declare(key, folder)
        self._run = [str(programs / "runsvdir"), str(services)]
        self.recover()
        self.wait_until(lambda: all(map(self._is_up, self._folders)), "runsv for every service", 60)

    def recover(self) -> None:
        nowhere = subprocess.DEVNULL
        self._process = subprocess.Popen(self._run, env=self.environment, stdout=nowhere, stderr=nowhere)

    def _declare(self, key: int, folder: Path) -> None:
        write_script(folder / "run", f"#!/bin/sh\nexec {shlex.join(self.workload.argv(key))}\n")
        (folder / "down").touch()
        logs = self.log_folder / folder.name
        logs.mkdir()
        (logs / "config").write_text(f"s{LOG_BYTES}\nn{LOG_FILES}\n")
        write_script(folder / "log/run", f"#!/bin/sh\nexec svlogd {logs}\n")

    def _is_up(self, folder: Path) -> bool:
        return (folder / "supervise/ok").exists() and (self.log_folder / folder.name / "lock").exists()

    def start(self) -> Order:
        return self.order(self._sv, "start", *map(str, self._folders))

    def stop(self) -> Order:
        return self.order(self._sv, "stop", *map(str, self._folders))

    def restart(self) -> Order:
        return self.order(self._sv, "restart", *map(str, self._folders))

    def status_command(self) -> list[str]:
        return [self._sv, "status", *map(str, self._folders)]

    def log_files(self) -> list[Path]:
        return [path for path in super().log_files() if path.name == "current" or path.name.startswith("@")]
