"""``send``: write a line to the stdin of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.errors import RequestError, UsageError
from pypm.core.receipt import Receipt
from pypm.master.apps import change_of

if TYPE_CHECKING:
    from pypm.master.main import Master

MOST = 4096
"""Bytes that a pipe takes whole or not at all."""


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances, and the line, without its end."""

    targets: list[str]
    line: str


async def order(master: Master, params: Params) -> Receipt:
    """Choose them; it is written when it is on the disk that it may have been."""
    if len(params.line.encode()) >= MOST:
        raise UsageError(f"a line of {MOST} bytes or more cannot be sent")
    chosen = master.select(params.targets)
    for instance in chosen:
        master.executor.inputs.check(instance)
    return Receipt([change_of(each, "sent") for each in chosen])


async def answer(master: Master, params: Params, receipt: Receipt) -> dict[str, Any]:
    """Write the line. A master that was lost meanwhile has written it or not: it is not written again."""
    to_do = [change["id"] for change in receipt.changes if change["id"] not in receipt.carried_out]
    if to_do and receipt.at < master.started:
        raise RequestError("the master was lost while it sent the line: nobody knows to whom it did")
    if to_do and receipt.key:
        await master.receipts.saved()
    for instance in filter(None, map(master.engine.instances.get, to_do)):
        master.executor.inputs.write(instance, params.line.encode() + b"\n")
    master.receipts.carried_out(receipt, *to_do)
    if to_do and receipt.key:
        await master.receipts.saved()
    return await master.done(receipt.changes)
