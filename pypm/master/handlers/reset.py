"""``reset``: restart counters, the sliding window and the backoff go to zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pypm.core.events import ResetRequested
from pypm.core.receipt import Receipt
from pypm.master.apps import change_of

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances."""

    targets: list[str]


async def order(master: Master, params: Params) -> Receipt:
    """Reset them."""
    chosen = master.select(params.targets)
    for instance in chosen:
        master.engine.handle(instance.id, ResetRequested())
    return Receipt([change_of(instance, "reset") for instance in chosen])
