"""``delete``: stop instances and forget them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.events import DeleteRequested
from pypm.master.apps import change_of

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances."""

    targets: list[str]


async def handle(master: Master, params: Params) -> dict[str, Any]:
    """Answer when they are gone."""
    chosen = master.select(params.targets)
    for instance in chosen:
        master.engine.handle(instance.id, DeleteRequested())
    await master.waiting.wait([instance.id for instance in chosen], "stopped")
    return await master.done([change_of(instance, "deleted") for instance in chosen])
