"""``reload``: new runs, a few at a time, each up and ready before the next one; it stops when one fails."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pypm.core.events import RestartRequested
from pypm.core.instance import Instance
from pypm.core.receipt import Receipt
from pypm.core.rolling import Renewal, at_once, renewal_of
from pypm.core.spec import Origin
from pypm.master.apps import Change, change_of
from pypm.master.asker import asked_by
from pypm.master.handlers.restart import renewed
from pypm.system.clock import boot_time

if TYPE_CHECKING:
    from pypm.master.main import Master

_JOB = "{0} is a job, which is not reloaded; its next run has what is new"


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances, how many of an app may be missing (as it declares), and how many apps at a time."""

    targets: list[str]
    max_unavailable: Annotated[int, msgspec.Meta(ge=0)] | None = None
    parallel: Annotated[int, msgspec.Meta(ge=1)] = 2
    origin: Origin | None = None


async def order(master: Master, params: Params) -> Receipt:
    """Choose them; each is ordered when it is its turn."""
    chosen, first = renewed(master, params.targets, params.origin)
    jobs = [each for each in chosen if each.spec.schedule is not None]
    changes = [change_of(each, "started") for each in first]
    changes += [change_of(each, "unchanged" if each in jobs else _action(each)) for each in chosen]
    done = [each.id for each in (*first, *jobs)]
    return Receipt(changes, [_JOB.format(each.name) for each in jobs], done)


def _action(instance: Instance) -> str:
    return "started" if instance.run is None else "reloaded"


async def answer(master: Master, params: Params, receipt: Receipt) -> dict[str, Any]:
    """Answer when all are renewed, or one has failed and what was under way has ended."""
    roll = Roll(master, params.max_unavailable, receipt)
    slots = asyncio.Semaphore(params.parallel)
    to_do = [change for change in receipt.changes if change["action"] in ("reloaded", "started")]
    ids = {change["id"]: change for change in to_do}
    instances = [each for each in map(master.engine.instances.get, ids) if each is not None]
    await asyncio.gather(
        *(roll.app([ids[each.id] for each in group], slots) for _, group in groupby(instances, _app_of))
    )
    result = await master.done(receipt.changes, receipt.warnings)
    return {**result, "failures": roll.failures}


def _app_of(instance: Instance) -> str:
    return instance.app


class Roll:
    """One reload: begins no further renewal once one has failed."""

    def __init__(self, master: Master, max_unavailable: int | None, receipt: Receipt) -> None:
        self.failures: list[dict[str, Any]] = []
        self._master = master
        self._max_unavailable = max_unavailable
        self._receipt = receipt

    async def app(self, changes: list[Change], slots: asyncio.Semaphore) -> None:
        """Renew the instances of one app, as many at a time as may be missing."""
        async with slots:
            instance = self._master.engine.instances.get(changes[0]["id"])
            declared = 0 if instance is None else instance.spec.max_unavailable
            most = declared if self._max_unavailable is None else self._max_unavailable
            turns = asyncio.Semaphore(at_once(most))
            await asyncio.gather(*(self._renew(change, turns) for change in changes))

    async def _renew(self, change: Change, turns: asyncio.Semaphore) -> None:
        async with turns:
            since = self._receipt.at
            if change["id"] not in self._receipt.carried_out:
                if self.failures:
                    change["action"] = "unchanged"
                    return
                since = boot_time()
                by = asked_by()
                self._master.engine.handle(change["id"], RestartRequested(by=by, reason=f"reloaded by {by}"))
                self._master.receipts.carried_out(self._receipt, change["id"])
            found = await self._renewed(change["id"], since)
            if found.kind == "failed":
                change["action"] = "failed"
                self.failures.append({"id": change["id"], "name": change["name"], "reason": found.reason})

    async def _renewed(self, instance_id: int, since: float) -> Renewal:
        """Wait until the renewal is over."""
        engine, revision = self._master.engine, 0
        while True:
            found = renewal_of(engine.instances.get(instance_id), since, boot_time())
            if found.kind != "under way":
                return found
            revision = engine.changed_at.get(instance_id, revision)
            await self._master.waiting.wait([instance_id], "settled", revision=revision)
