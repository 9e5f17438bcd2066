"""``reload``: new runs, a few at a time, each up and ready before the next one; it stops when one fails."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pypm.core.events import RestartRequested
from pypm.core.instance import Desired, Instance
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
    return "started" if instance.run is None or instance.desired is Desired.DOWN else "reloaded"


async def answer(master: Master, params: Params, receipt: Receipt) -> dict[str, Any]:
    """Answer when all are renewed, or one has failed and what was under way has ended."""
    roll = Roll(master, params.max_unavailable, receipt)
    slots = asyncio.Semaphore(params.parallel)
    # Copies: the receipt stays as it was ordered, as the next master may have to go on from it.
    changes = [dict(each) for each in receipt.changes]
    to_do = [change for change in changes if change["action"] in ("reloaded", "started")]
    ids = {change["id"]: change for change in to_do}
    instances = [each for each in map(master.engine.instances.get, ids) if each is not None]
    await asyncio.gather(
        *(roll.app([ids[each.id] for each in group], slots) for _, group in groupby(instances, _app_of))
    )
    result = await master.done(changes, receipt.warnings)
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
            await asyncio.gather(*(self._turn(change, turns, surge=not most) for change in changes))

    async def _turn(self, change: Change, turns: asyncio.Semaphore, *, surge: bool) -> None:
        async with turns:
            is_begun = change["id"] in self._receipt.carried_out
            if not is_begun and (self.failures or self._was_ended(change)):
                change["action"] = "unchanged"
                return
            # What is down leaves no gap: it is started in its own place.
            if surge and change["action"] == "reloaded":
                found = await self._surge(change, is_begun=is_begun)
            else:
                found = await self._in_place(change, is_begun=is_begun)
            if found.kind == "left":
                change["action"] = "unchanged"
            elif found.kind == "failed":
                change["action"] = "failed"
                shown = self._master.surges.shown([change])[0]["id"]
                self.failures.append({"id": shown, "name": change["name"], "reason": found.reason})

    def _was_ended(self, change: Change) -> bool:
        """Whether it was up, and somebody has stopped or deleted it before it was its turn."""
        holder = self._holder(change)
        is_down = holder is None or holder.desired is Desired.DOWN
        return is_down and change["action"] == "reloaded"

    async def _in_place(self, change: Change, *, is_begun: bool) -> Renewal:
        """Stop it and start it anew; wait until that is over."""
        engine, since, revision = self._master.engine, self._receipt.at, 0
        if not is_begun:
            since = boot_time()
            by = asked_by()
            engine.handle(change["id"], RestartRequested(by=by, reason=f"reloaded by {by}"))
            self._master.receipts.carried_out(self._receipt, change["id"])
        while True:
            found = renewal_of(engine.instances.get(change["id"]), since, boot_time())
            if found.kind != "under way":
                return found
            revision = engine.changed_at.get(change["id"], revision)
            await self._master.waiting.wait([change["id"]], "settled", revision=revision)

    async def _surge(self, change: Change, *, is_begun: bool) -> Renewal:
        """Start another one beside it that takes its place; wait until it has, and the old one is gone."""
        surges = self._master.surges
        if is_begun and (found := self._found_again(change)) is not None:
            if found.kind == "done":
                await self._master.waiting.wait([change["id"]], "stopped")
                holder = self._holder(change)
                change["id"] = change["id"] if holder is None else holder.id
            return found
        instance = self._holder(change)
        while not is_begun and instance is not None and (begun := surges.successor_of(instance)) is not None:
            await surges.outcome(begun)  # of another reload: it was started before this one was ordered
            instance = self._holder(change)
        if instance is None or instance.desired is Desired.DOWN:
            return Renewal("left")
        successor = surges.begin(instance)
        self._master.receipts.carried_out(self._receipt, int(change["id"]))
        if reason := await surges.outcome(successor):
            return Renewal("failed", reason)
        change["id"] = successor
        await self._master.waiting.wait([instance.id], "stopped")
        return Renewal("done")

    def _found_again(self, change: Change) -> Renewal | None:
        """How it went under an earlier master; None: it goes on."""
        holder = self._holder(change)
        if holder is None:
            return Renewal("left")
        if self._master.surges.successor_of(holder) is not None:
            return None
        if holder.id == change["id"]:
            return Renewal("failed", "a master was lost meanwhile; see `pypm events`")
        return Renewal("done")

    def _holder(self, change: Change) -> Instance | None:
        """Who has the place of the instance now: itself, or who has replaced it."""
        instances = self._master.engine.instances
        ordered = instances.get(change["id"])
        if ordered is not None and not ordered.replaced:
            return ordered
        same = (each for each in instances.values() if each.name == change["name"])
        return next((each for each in same if not each.replaced and each.replaces is None), None)
