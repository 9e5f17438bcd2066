"""Which home this client speaks about, and where its master's socket is."""

from __future__ import annotations

import os

from pypm.protocol.paths import SOCKET_NAME, socket_folder

__all__ = ["home_folder", "socket_path"]


def home_folder() -> str:
    """Give ``PYPM_HOME``, or ``~/.pypm``, as an absolute path; nothing is created."""
    return os.path.abspath(os.path.expanduser(os.environ.get("PYPM_HOME") or "~/.pypm"))


def socket_path(home: str) -> str:
    """Give the path of the master's socket for ``home`` (an absolute path)."""
    return os.path.join(socket_folder(home), SOCKET_NAME)
