"""``start``: bring up instances that are down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pypm.core.events import StartRequested
from pypm.core.instance import Status
from pypm.core.receipt import Receipt
from pypm.master.apps import change_of
from pypm.master.asker import asked_by
from pypm.master.handlers.restart import with_a_place

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances."""

    targets: list[str]


async def order(master: Master, params: Params) -> Receipt:
    """Start what is not up, and what of its dependencies is down; what is up stays as it is."""
    chosen = with_a_place(master.select(params.targets))
    changes = []
    for instance in [*master.order.needed(chosen), *chosen]:
        is_up = instance.status in (Status.STARTING, Status.ONLINE) or instance.is_armed
        changes.append(change_of(instance, "unchanged" if is_up else "started"))
        master.engine.handle(instance.id, StartRequested(by=asked_by()))
    return Receipt(changes)
