"""``ping``: who answers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from pypm import __version__
from pypm.protocol.names import PROTOCOL_VERSION
from pypm.system.clock import boot_time

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing."""


def handle(master: Master, params: Params) -> dict[str, Any]:  # noqa: ARG001 - a method's signature
    """Tell about the master and the guardian, which is its parent."""
    return {
        "master_pid": os.getpid(),
        "guardian_pid": os.getppid(),
        "version": __version__,
        "protocol": PROTOCOL_VERSION,
        "uptime_seconds": round(boot_time() - master.started, 3),
        "home": master.home.path,
    }
