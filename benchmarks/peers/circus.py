"""circus (circusd and circusctl), from PyPI."""

from __future__ import annotations

import shlex
from pathlib import Path

from benchmarks.commands import Order
from benchmarks.peers.base import LOG_BYTES, LOG_FILES, Peer
from benchmarks.peers.python_packages import install_package

__all__ = ["Circus"]

VERSION = "0.19.0"

HEAD = """\
[circus]
endpoint = ipc://{home}/c.sock
pubsub_endpoint = ipc://{home}/p.sock
check_delay = {check_delay}
"""

WATCHER = """\
[watcher:{name}]
cmd = {command}
numprocesses = 1
stdout_stream.class = FileStream
stdout_stream.filename = {log_folder}/{name}.log
stdout_stream.max_bytes = {log_bytes}
stdout_stream.backup_count = {log_files}
"""


class Circus(Peer):
    """One watcher an app. circus has no watcher that is declared and down, so ``start`` is reloadconfig."""

    name = "circus"

    @classmethod
    def install(cls, cache: Path) -> tuple[Path, str]:
        return install_package(cache, "circus", VERSION), VERSION

    def boot(self) -> None:
        self._config = self.home / "circus.ini"
        check_delay = 0.05 if self.workload.at_once else 5
        self._head = HEAD.format(home=self.home, check_delay=check_delay)
        self._config.write_text(self._head)
        self.recover()
        self.wait_until((self.home / "c.sock").exists, "circusd's socket")

    def recover(self) -> None:
        pid_file = self.home / "circus.pid"
        daemon = [str(self.installation.folder / "circusd"), "--daemon", "--pidfile", str(pid_file)]
        self.command(*daemon, "--log-output", str(self.home / "circusd.log"), str(self._config))
        self.await_root()

    def _watcher(self, key: int) -> str:
        return WATCHER.format(
            name=self.workload.name(key),
            command=shlex.join(self.workload.argv(key)),
            log_folder=self.log_folder,
            log_bytes=LOG_BYTES,
            log_files=LOG_FILES,
        )

    def _control(self, *words: str) -> list[str]:
        program = str(self.installation.folder / "circusctl")
        return [program, "--endpoint", f"ipc://{self.home}/c.sock", "--timeout", "60", *words]

    def start(self) -> Order:
        self._config.write_text(self._head + "".join(map(self._watcher, range(self.workload.count))))
        return self.order(*self._control("reloadconfig"))

    def stop(self) -> Order:
        return self.order(*self._control("stop"))

    def restart(self) -> Order:
        return self.order(*self._control("restart"))

    def status_command(self) -> list[str]:
        return self._control("status")

    def root_pids(self) -> list[int]:
        return self.pids_in(self.home / "circus.pid")
