"""``cleardump``: remove a snapshot."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.errors import NotFoundError
from pypm.master.snapshots import DEFAULT_NAME, Snapshots

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which snapshot; the default one when none is named, if it is there."""

    name: str | None = None


async def handle(master: Master, params: Params) -> dict[str, Any]:
    """Tell whether one was removed; a named one has to be there."""
    snapshots = Snapshots(master.home.path)
    name = DEFAULT_NAME if params.name is None else params.name
    try:
        await asyncio.to_thread(snapshots.remove, name)
    except NotFoundError:
        if params.name is not None:
            raise
        return {"name": name, "removed": False}
    return {"name": name, "removed": True}
