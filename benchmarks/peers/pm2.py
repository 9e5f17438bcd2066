"""PM2, from npm."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from benchmarks.commands import Order
from benchmarks.peers.base import Peer, PeerError

__all__ = ["Pm2"]

VERSION = "7.0.4"
NO_LIMIT = 1_000_000_000


class Pm2(Peer):
    name = "pm2"

    @classmethod
    def install(cls, cache: Path) -> tuple[Path, str]:
        if shutil.which("npm") is None or shutil.which("node") is None:
            raise PeerError("needs node and npm")
        folder = cache / "pm2"
        package = folder / "node_modules/pm2/package.json"
        if not package.exists():
            folder.mkdir(parents=True, exist_ok=True)
            options = ["--prefix", str(folder), "--no-fund", "--no-audit", "--loglevel=error"]
            subprocess.run(["npm", "install", *options, f"pm2@{VERSION}"], check=True, stdout=2)
        return folder, str(json.loads(package.read_text())["version"])

    def boot(self) -> None:
        self._pm2 = str(self.installation.folder / "node_modules/.bin/pm2")
        self.environment |= {
            "PM2_HOME": str(self.home / "pm2"),
            "PM2_DISABLE_VERSION_CHECK": "true",
            "PM2_DISCRETE_MODE": "true",
        }
        self._config = self.home / "ecosystem.json"
        self._config.write_text(json.dumps({"apps": [self._app(key) for key in range(self.workload.count)]}))
        self.command(self._pm2, "ping")

    def recover(self) -> None:
        self.command(self._pm2, "ping")

    def _app(self, key: int) -> dict[str, object]:
        program, *arguments = self.workload.argv(key)
        name = self.workload.name(key)
        app: dict[str, object] = {
            "name": name,
            "script": program,
            "args": arguments,
            "cwd": str(self.home),
            "interpreter": "none",
            "exec_mode": "fork",
            "vizion": False,
            "pmx": False,
            "out_file": str(self.log_folder / f"{name}-out.log"),
            "error_file": str(self.log_folder / f"{name}-error.log"),
            "merge_logs": True,
        }
        return app | ({"max_restarts": NO_LIMIT} if self.workload.at_once else {})

    def start(self) -> Order:
        return self.order(self._pm2, "start", str(self._config))

    def stop(self) -> Order:
        return self.order(self._pm2, "stop", "all")

    def restart(self) -> Order:
        return self.order(self._pm2, "restart", "all")

    def delete(self) -> Order:
        return self.order(self._pm2, "delete", "all")

    def status_command(self) -> list[str]:
        return [self._pm2, "jlist"]

    def table_command(self) -> list[str]:
        return [self._pm2, "list"]

    def logs_command(self) -> list[str]:
        return [self._pm2, "logs", "--raw"]

    def root_pids(self) -> list[int]:
        return self.pids_in(self.home / "pm2/pm2.pid")
