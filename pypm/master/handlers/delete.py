"""``delete``: stop instances and forget them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.events import DeleteRequested
from pypm.core.instance import After
from pypm.core.receipt import Receipt
from pypm.master.apps import change_of
from pypm.master.asker import asked_by

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances."""

    targets: list[str]


async def order(master: Master, params: Params) -> Receipt:
    """Order it for all of them."""
    chosen = master.select(params.targets)
    master.order.end(chosen, DeleteRequested(by=asked_by()))
    return Receipt([change_of(each, "deleted") for each in chosen])


async def answer(master: Master, params: Params, receipt: Receipt) -> dict[str, Any]:  # noqa: ARG001
    """Answer when they are gone, or somebody wants them again before they are."""
    changes, warnings = [], []
    for change in receipt.changes:
        if await _is_gone(master, change["id"], receipt.at):
            changes.append(change)
        else:
            changes.append({**change, "action": "unchanged"})
            warnings.append(f"{change['name']} was wanted again before it was gone, and stays")
    return await master.done(changes, warnings)


async def _is_gone(master: Master, instance_id: int, ordered: float) -> bool:
    revision = 0
    while True:
        now = master.engine.instances.get(instance_id)
        if now is None or now.created > ordered:  # an id is given anew when there is none at all
            return True
        if now.after is not After.DELETE:
            return False
        revision = master.engine.changed_at.get(instance_id, revision)
        await master.waiting.wait([instance_id], "stopped", revision=revision)
