"""``wait``: until instances are settled or stopped, or have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pypm.master.waiting import Goal

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True, rename={"goal": "for"}):
    """Which instances, what for, how many seconds at most, and from which revision on changes are told."""

    ids: list[int]
    goal: Goal
    timeout: float | None = None
    revision: int | None = None


async def handle(master: Master, params: Params) -> dict[str, Any]:
    """Give the rows as they are then."""
    ids = master.surges.own_ids(params.ids)
    outcome = await master.waiting.wait(ids, params.goal, params.timeout, params.revision)
    instances = master.engine.instances
    ids = master.surges.own_ids(params.ids)  # others may have their places by now
    return {
        "done": outcome.done,
        "timed_out": outcome.timed_out,
        "begun_again": [instances[each].shown_id for each in outcome.begun_again if each in instances],
        "revision": master.engine.revision,
        "rows": master.views.rows([instances[each] for each in ids if each in instances]),
    }
