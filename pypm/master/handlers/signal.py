"""``signal``: send a signal to runs."""

from __future__ import annotations

import signal as signals
from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.actions import Signal
from pypm.core.errors import RequestError, UsageError
from pypm.core.receipt import Receipt
from pypm.master.apps import change_of

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances, which signal (name or number), and whether to the whole process group."""

    targets: list[str]
    signal: str | int
    group: bool = False


async def order(master: Master, params: Params) -> Receipt:
    """Choose those that run; they are signalled when it is on the disk that they may have been."""
    _canonical(params.signal)
    chosen = master.select(params.targets)
    changes = [change_of(each, "signalled" if each.run is not None else "unchanged") for each in chosen]
    resting = [each for each in chosen if each.run is None]
    warnings = [f"{each.name} does not run, and got no signal" for each in resting]
    return Receipt(changes, warnings, carried_out=[each.id for each in resting])


async def answer(master: Master, params: Params, receipt: Receipt) -> dict[str, Any]:
    """Send the signal. A master that was lost meanwhile has sent it or not: it is not sent again then."""
    action = Signal(_canonical(params.signal), params.group)
    to_do = [change["id"] for change in receipt.changes if change["id"] not in receipt.carried_out]
    if to_do and receipt.at < master.started:
        raise RequestError(f"the master was lost while it sent {action.signal}: nobody knows to whom it did")
    if to_do and receipt.key:
        await master.receipts.saved()
    for instance in filter(None, map(master.engine.instances.get, to_do)):
        master.executor.perform(instance, action)
    master.receipts.carried_out(receipt, *to_do)
    if to_do and receipt.key:
        await master.receipts.saved()
    return await master.done(receipt.changes, receipt.warnings)


def _canonical(wanted: str | int) -> str:
    """``SIGHUP`` for ``HUP``, ``SIGHUP``, ``hup``, 1 or ``"1"``. Raises UsageError for what is no signal."""
    text = str(wanted).upper()
    try:
        if text.isdecimal():
            return signals.Signals(int(text)).name
        return signals.Signals[text if text.startswith("SIG") else f"SIG{text}"].name
    except (KeyError, ValueError):
        from difflib import get_close_matches

        names = [each.name for each in signals.Signals]
        close = get_close_matches(text if text.startswith("SIG") else f"SIG{text}", names, n=2)
        hint = f"did you mean {' or '.join(close)}?" if close else None
        raise UsageError(f"no such signal: {wanted}", hint=hint) from None
