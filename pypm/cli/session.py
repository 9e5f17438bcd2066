"""The master a command speaks with, and what the command's shell gives to agents. Quick to import."""

from __future__ import annotations

import os

from pypm.client.connection import Connection
from pypm.client.home import home_folder
from pypm.client.launch import connect, connect_or_launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["existing_master", "master", "origin"]


def master() -> Connection:
    """Connect to the master of this home; start one, quietly, when there is none."""
    return connect_or_launch(home_folder())[0]


def existing_master() -> Connection:
    """Connect to the master of this home; raises :class:`NoMasterError` when there is none."""
    return connect(home_folder())


def origin() -> dict[str, Any]:
    """Give what agents inherit from this shell: its environment but for pypm's own names, and its umask."""
    umask = os.umask(0o077)
    os.umask(umask)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYPM_") and name != "NOTIFY_SOCKET"
    }
    return {"env": environment, "umask": umask}
