"""s6 (s6-svscan, s6-supervise, s6-svc, s6-log), from Debian."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from benchmarks.commands import Order
from benchmarks.peers.base import LOG_BYTES, LOG_FILES, ForegroundPeer, PeerError, for_each, write_script
from benchmarks.peers.debian_packages import unpack_packages

__all__ = ["S6"]

PACKAGES = ["s6", "libs6-2.11", "libskarnet2.13", "libexecline2.9"]
MOST_SERVICES = 2000
OVERLAY = "mount -t overlay overlay -o lowerdir={programs}:/usr/bin /usr/bin && exec {scan}"
"""s6-svscan knows s6-supervise as /usr/bin/s6-supervise only; it is there in a mount namespace of its own."""


class S6(ForegroundPeer):
    """Two s6-supervise and a s6-log for each app. A command about all apps is a shell loop."""

    name = "s6"

    @classmethod
    def install(cls, cache: Path) -> tuple[Path, str]:
        return unpack_packages(cache, PACKAGES)

    def boot(self) -> None:
        folder = self.installation.folder
        self._programs = folder / "usr/bin"
        libraries = next((folder / "usr/lib").glob("*-linux-gnu"))
        self.environment["PATH"] = f"{self._programs}:{self.environment['PATH']}"
        self.environment["LD_LIBRARY_PATH"] = str(libraries)
        services = self.home / "services"
        self._folders = [services / name for name in self.workload.names()]
        for key, service in enumerate(self._folders):
            self._declare(key, service)
        scan = OVERLAY.format(programs=self._programs, scan=f"s6-svscan -c {MOST_SERVICES} {services}")
        self._run = ["unshare", "--mount", "--map-root-user", "/bin/sh", "-c", scan]
        self.recover()
        try:
            self.wait_until(
                lambda: all(map(self._is_up, self._folders)), "s6-supervise for every service", 60
            )
        except PeerError as error:
            said = (self.home / "svscan.log").read_text()[-200:]
            raise PeerError(f"{error}: {said}") from error

    def recover(self) -> None:
        with (self.home / "svscan.log").open("wb") as output:
            self._process = subprocess.Popen(self._run, env=self.environment, stdout=output, stderr=output)

    def _declare(self, key: int, folder: Path) -> None:
        write_script(folder / "run", f"#!/bin/sh\nexec {shlex.join(self.workload.argv(key))}\n")
        (folder / "down").touch()
        logs = self.log_folder / folder.name
        write_script(folder / "log/run", f"#!/bin/sh\nexec s6-log n{LOG_FILES} s{LOG_BYTES} {logs}\n")

    def _is_up(self, folder: Path) -> bool:
        logs = self.log_folder / folder.name
        return (folder / "supervise/status").exists() and (logs / "lock").exists()

    def _all(self, *command: str) -> list[str]:
        return for_each([str(self._programs / command[0]), *command[1:]], self._folders)

    def start(self) -> Order:
        return self.order(*self._all("s6-svc", "-u"))

    def stop(self) -> Order:
        return self.order(*self._all("s6-svc", "-d"))

    def restart(self) -> Order:
        return self.order(*self._all("s6-svc", "-r"))

    def status_command(self) -> list[str]:
        return self._all("s6-svstat")

    def missing_from(self, output: str) -> list[str]:
        # s6-svstat prints a line a service, without its name.
        return self.workload.names()[output.count("up (pid ") :]

    def log_files(self) -> list[Path]:
        return [path for path in super().log_files() if path.name == "current" or path.name.startswith("@")]
