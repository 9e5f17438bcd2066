"""``cleardump``: remove a snapshot."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.errors import NotFoundError
from pypm.core.receipt import Receipt
from pypm.master.snapshots import DEFAULT_NAME, Snapshots

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which snapshot; the default one when none is named, if it is there."""

    name: str | None = None


async def order(master: Master, params: Params) -> Receipt:
    """Look whether there is such a snapshot; a named one has to be there."""
    name = DEFAULT_NAME if params.name is None else params.name
    try:
        await asyncio.to_thread(Snapshots(master.home.path).check, name)
    except NotFoundError:
        if params.name is not None:
            raise
        return Receipt([{"name": name, "removed": False}])
    return Receipt([{"name": name, "removed": True}])


async def answer(master: Master, params: Params, receipt: Receipt) -> dict[str, Any]:  # noqa: ARG001
    """Remove it, unless a master that was lost meanwhile has done that; tell whether there was one."""
    [change] = receipt.changes
    if change["removed"]:
        await master.receipts.saved()
        with contextlib.suppress(NotFoundError):
            await asyncio.to_thread(Snapshots(master.home.path).remove, change["name"])
    return change
