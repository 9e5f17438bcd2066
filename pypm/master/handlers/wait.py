"""``wait``: until instances are settled or stopped, or have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pypm.master.waiting import Goal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pypm.core.instance import Instance
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
    decided: dict[int, Instance] = {}
    outcome = await master.waiting.wait(ids, params.goal, params.timeout, params.revision, decided=decided)
    instances = master.engine.instances
    ids = master.surges.own_ids(params.ids)  # others may have their places by now
    there = [instances[each] for each in ids if each in instances]
    if outcome.done and params.goal == "settled":
        # One that is on its way again, after it had failed, is told as what it was.
        there = [_as_decided(master, each, decided) for each in there]
    return {
        "done": outcome.done,
        "timed_out": outcome.timed_out,
        "begun_again": [instances[each].shown_id for each in outcome.begun_again if each in instances],
        "revision": master.engine.revision,
        "rows": master.views.rows(there),
    }


def _as_decided(master: Master, instance: Instance, decided: Mapping[int, Instance]) -> Instance:
    if master.waiting.are_there([instance.id], "settled"):
        return instance
    return decided.get(instance.id, instance)
