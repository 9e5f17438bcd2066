"""``run_now``: one run of a job at once, armed or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pypm.core.errors import RequestError
from pypm.core.events import RunRequested
from pypm.core.instance import Instance
from pypm.core.receipt import Receipt
from pypm.master.apps import change_of
from pypm.master.asker import asked_by

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which jobs."""

    targets: list[str]


async def order(master: Master, params: Params) -> Receipt:
    """Run what does not run; what runs is left alone. Raises RequestError for what is no job."""
    chosen = master.select(params.targets)
    for instance in chosen:
        if instance.spec.schedule is None:
            hint = f"`pypm start {instance.name}`, or `pypm restart {instance.name}`"
            raise RequestError(f"{instance.name} has no schedule: it is kept running", hint=hint)
    changes, warnings = [], []
    for instance in chosen:
        changes.append(change_of(instance, "unchanged" if _runs(instance) else "started"))
        if _runs(instance):
            warnings.append(f"{instance.name} runs already")
        master.engine.handle(instance.id, RunRequested(by=asked_by()))
    return Receipt(changes, warnings=warnings)


def _runs(instance: Instance) -> bool:
    return instance.run is not None or instance.status == "starting"
