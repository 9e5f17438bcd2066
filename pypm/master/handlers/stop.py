"""``stop``: bring instances down, and keep them down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pypm.core.events import StopRequested
from pypm.core.instance import Desired, Instance, Status
from pypm.core.receipt import Receipt
from pypm.master.apps import change_of
from pypm.master.asker import asked_by

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances."""

    targets: list[str]


async def order(master: Master, params: Params) -> Receipt:
    """Order it, dependents first; ``wait`` tells when they are down."""
    chosen = master.select(params.targets)
    changes = [change_of(each, "unchanged" if _is_down(each) else "stopped") for each in chosen]
    master.order.end(chosen, StopRequested(by=asked_by()))
    return Receipt(changes)


def _is_down(instance: Instance) -> bool:
    """Whether nothing is to be stopped; a job that is wanted down may have been told to run once."""
    return instance.desired is Desired.DOWN and instance.status not in (Status.STARTING, Status.ONLINE)
