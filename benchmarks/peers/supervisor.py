"""supervisor (supervisord and supervisorctl), from PyPI."""

from __future__ import annotations

import shlex
from pathlib import Path

from benchmarks.commands import Order
from benchmarks.peers.base import LOG_BYTES, LOG_FILES, Peer
from benchmarks.peers.python_packages import install_package

__all__ = ["Supervisor"]

VERSION = "4.3.0"
NO_LIMIT = 1_000_000_000
SHIPPED_DESCRIPTORS = 1024
DESCRIPTORS_EACH = 5

HEAD = """\
[unix_http_server]
file = {home}/supervisor.sock
[supervisord]
logfile = {home}/supervisord.log
pidfile = {home}/supervisord.pid
childlogdir = {home}
minfds = {descriptors}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl = unix://{home}/supervisor.sock
"""

PROGRAM = """\
[program:{name}]
command = {command}
autostart = false
autorestart = true
startsecs = {startsecs}
startretries = {startretries}
redirect_stderr = true
stdout_logfile = {log_folder}/{name}.log
stdout_logfile_maxbytes = {log_bytes}
stdout_logfile_backups = {log_files}
"""


class Supervisor(Peer):
    name = "supervisor"

    @classmethod
    def install(cls, cache: Path) -> tuple[Path, str]:
        return install_package(cache, "supervisor", VERSION), VERSION

    def boot(self) -> None:
        self._config = self.home / "supervisord.conf"
        # Not more than it needs: every child closes that many descriptors one by one.
        descriptors = max(SHIPPED_DESCRIPTORS, DESCRIPTORS_EACH * self.workload.count)
        programs = [self._program(key) for key in range(self.workload.count)]
        self._config.write_text(HEAD.format(home=self.home, descriptors=descriptors) + "".join(programs))
        self.recover()
        self.wait_until((self.home / "supervisor.sock").exists, "supervisord's socket")

    def recover(self) -> None:
        self.command(str(self.installation.folder / "supervisord"), "-c", str(self._config))
        self.await_root()

    def _program(self, key: int) -> str:
        return PROGRAM.format(
            name=self.workload.name(key),
            command=shlex.join(self.workload.argv(key)),
            startsecs=0 if self.workload.at_once else 1,
            startretries=NO_LIMIT if self.workload.at_once else 3,
            log_folder=self.log_folder,
            log_bytes=LOG_BYTES,
            log_files=LOG_FILES,
        )

    def _control(self, *words: str) -> list[str]:
        return [str(self.installation.folder / "supervisorctl"), "-c", str(self._config), *words]

    def start(self) -> Order:
        return self.order(*self._control("start", "all"))

    def stop(self) -> Order:
        return self.order(*self._control("stop", "all"))

    def restart(self) -> Order:
        return self.order(*self._control("restart", "all"))

    def status_command(self) -> list[str]:
        return self._control("status")

    def root_pids(self) -> list[int]:
        return self.pids_in(self.home / "supervisord.pid")
