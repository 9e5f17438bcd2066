"""``PYPM_HOME``: where everything of one master is."""

from __future__ import annotations

import os

from pypm.protocol.paths import socket_folder
from pypm.system.files import make_private_folder

__all__ = ["Home"]


class Home:
    """The paths below one ``PYPM_HOME``; nothing is touched before ``prepare``."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self.state_folder = os.path.join(self.path, "state")
        self.state_file = os.path.join(self.state_folder, "state.json")
        self.logs_folder = os.path.join(self.path, "logs")
        self.events_file = os.path.join(self.path, "events.jsonl")
        self.master_log = os.path.join(self.path, "master.log")
        self.lock_file = os.path.join(self.path, "master.lock")
        self.succession_file = os.path.join(self.path, "succession.lock")
        self.socket_folder = socket_folder(self.path)
        self.socket = os.path.join(self.socket_folder, "pypm.sock")
        self.agents_socket = os.path.join(self.socket_folder, "agents.sock")
        self.notify_socket = os.path.join(self.socket_folder, "notify.sock")

    @classmethod
    def from_environment(cls) -> Home:
        """The home that ``PYPM_HOME`` names, or ``~/.pypm``."""
        return cls(os.environ.get("PYPM_HOME") or os.path.expanduser("~/.pypm"))

    def prepare(self) -> None:
        """Make the folders, owner-only; raises PypmError where that cannot be."""
        for folder in (self.path, self.state_folder, self.logs_folder, self.socket_folder):
            make_private_folder(folder)
