"""``restart``: new runs, many in parallel but not all at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pypm.core.errors import RequestError
from pypm.core.events import RestartRequested, StartRequested
from pypm.core.instance import Instance, Status
from pypm.core.receipt import Receipt
from pypm.core.spec import Origin
from pypm.master.apps import change_of
from pypm.master.asker import asked_by

if TYPE_CHECKING:
    from pypm.master.main import Master


_ARMED = "{0} is a job, and waits for its next run; `pypm run-now {0}` runs it"


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances, how many at a time, and the shell's environment if it is to be taken anew."""

    targets: list[str]
    parallel: Annotated[int, msgspec.Meta(ge=1)] = 32
    origin: Origin | None = None


async def order(master: Master, params: Params) -> Receipt:
    """Choose them; each is ordered when it is its turn."""
    chosen, first = renewed(master, params.targets, params.origin)
    done = [each.id for each in first]
    changes = [change_of(each, "started") for each in first]
    changes += [change_of(each, "started" if _is_resting_job(each) else "restarted") for each in chosen]
    return Receipt(changes, [_ARMED.format(each.name) for each in chosen if _is_resting_job(each)], done)


def renewed(
    master: Master, targets: list[str], origin: Origin | None
) -> tuple[list[Instance], list[Instance]]:
    """Who is to have a new run, dependencies first, and what of those was down and is started now.

    ``origin``: what their apps have from the shell from now on. Raises NotFoundError.
    """
    chosen = master.order.started_first(with_a_place(master.select(targets)))
    if origin is not None:
        for name in {instance.app for instance in chosen}:
            master.apps.set_origin(name, origin)
    first = master.order.needed(chosen)
    for instance in first:
        master.engine.handle(instance.id, StartRequested(by=asked_by()))
    return chosen, first


def with_a_place(chosen: list[Instance]) -> list[Instance]:
    """Those of them whose places no others have, and that are not to take one yet.

    Raises RequestError where there is none: somebody has named what a reload is about to remove or to add.
    """
    kept = [each for each in chosen if not each.replaced and each.replaces is None]
    if chosen and not kept:
        raise RequestError(f"{chosen[0].name} is being reloaded", hint="by its name it is the one that stays")
    return kept


def _is_resting_job(instance: Instance) -> bool:
    """Whether a restart only lets it wait for its next run."""
    return instance.spec.schedule is not None and instance.run is None


async def answer(master: Master, params: Params, receipt: Receipt) -> dict[str, Any]:
    """Answer when each of them has been stopped and spawned anew, or has failed to be."""
    slots = asyncio.Semaphore(params.parallel)
    await asyncio.gather(*(_restart(master, change["id"], slots, receipt) for change in receipt.changes))
    return await master.done(receipt.changes, receipt.warnings)


async def _restart(master: Master, instance_id: int, slots: asyncio.Semaphore, receipt: Receipt) -> None:
    async with slots:
        if instance_id not in receipt.carried_out:
            master.engine.handle(instance_id, RestartRequested(by=asked_by()))
            master.receipts.carried_out(receipt, instance_id)
        revision = 0
        while _is_under_way(master, instance_id):
            revision = master.engine.changed_at.get(instance_id, revision)
            await master.waiting.wait([instance_id], "settled", revision=revision)


def _is_under_way(master: Master, instance_id: int) -> bool:
    """The old run is not gone yet, or the new one has not been spawned; one that waits for others is not."""
    instance = master.engine.instances.get(instance_id)
    if instance is None:
        return False
    is_ordered = instance.status is Status.STARTING and instance.run is None
    return instance.status is Status.STOPPING or (is_ordered and not instance.waits_for)
