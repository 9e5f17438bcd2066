"""``delete``: stop instances and forget them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.events import DeleteRequested
from pypm.core.instance import After, Instance
from pypm.master.apps import change_of

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances."""

    targets: list[str]


async def handle(master: Master, params: Params) -> dict[str, Any]:
    """Answer when they are gone, or somebody wants them again before they are."""
    chosen = master.select(params.targets)
    for instance in chosen:
        master.engine.handle(instance.id, DeleteRequested())
    kept = [instance for instance in chosen if not await _is_gone(master, instance)]
    actions = [change_of(each, "unchanged" if each in kept else "deleted") for each in chosen]
    answer = await master.done(actions)
    warnings = [f"{each.name} was wanted again before it was gone, and stays" for each in kept]
    return {**answer, "warnings": warnings + answer["warnings"]}


async def _is_gone(master: Master, instance: Instance) -> bool:
    revision = 0
    while True:
        now = master.engine.instances.get(instance.id)
        if now is None or now.created != instance.created:  # an id is given anew when there is none at all
            return True
        if now.after is not After.DELETE:
            return False
        revision = master.engine.changed_at.get(instance.id, revision)
        await master.waiting.wait([instance.id], "stopped", revision=revision)
