"""``snapshot_save``: keep what is declared and wanted now under a name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.errors import RequestError
from pypm.core.snapshot import Snapshot
from pypm.master.snapshots import DEFAULT_NAME, Snapshots
from pypm.system.clock import wall_time

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Under which name, and whether also a list without apps."""

    name: str = DEFAULT_NAME
    force: bool = False


async def handle(master: Master, params: Params) -> dict[str, Any]:
    """Answer when it is on the disk. Where there is no app an older snapshot is not replaced by nothing."""
    apps = master.apps.saved()
    if not apps and not params.force:
        raise RequestError("there is no app to save", hint="--force saves an empty list")
    snapshots = Snapshots(master.home.path)
    path = await asyncio.to_thread(snapshots.save, params.name, Snapshot(wall_time(), apps))
    count = sum(len(app.up) + len(app.down) for app in apps)
    return {"name": params.name, "path": path, "apps": [app.spec.name for app in apps], "instances": count}
