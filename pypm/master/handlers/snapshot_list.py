"""``snapshot_list``: which snapshots there are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.errors import PypmError
from pypm.master.snapshots import Snapshots

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing."""


async def handle(master: Master, params: Params) -> list[dict[str, Any]]:  # noqa: ARG001 - a method's signature
    """Give them by name; ``fault`` says why one cannot be used."""
    snapshots = Snapshots(master.home.path)
    return await asyncio.to_thread(lambda: [_entry(snapshots, name) for name in snapshots.names()])


def _entry(snapshots: Snapshots, name: str) -> dict[str, Any]:
    try:
        snapshot = snapshots.read(name)
    except PypmError as error:
        return {"name": name, "saved_at": None, "apps": [], "fault": error.message}
    apps = [app.spec.name for app in snapshot.apps]
    return {"name": name, "saved_at": snapshot.saved_at, "apps": apps, "fault": ""}
