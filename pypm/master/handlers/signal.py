"""``signal``: send a signal to runs."""

from __future__ import annotations

import signal as signals
from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.actions import Signal
from pypm.core.errors import UsageError
from pypm.master.apps import change_of

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances, which signal (name or number), and whether to the whole process group."""

    targets: list[str]
    signal: str | int
    group: bool = False


async def handle(master: Master, params: Params) -> dict[str, Any]:
    """Send it to those that run."""
    action = Signal(_canonical(params.signal), params.group)
    changes = []
    for instance in master.select(params.targets):
        if instance.run is None:
            changes.append(change_of(instance, "unchanged"))
            continue
        master.executor.perform(instance, action)
        changes.append(change_of(instance, "signalled"))
    return await master.done(changes)


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
