"""One file a method of the socket protocol (docs/protocol.md): its parameters, and what it does."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from pypm.protocol.names import METHODS

__all__ = ["HANDLERS"]

HANDLERS: dict[str, ModuleType] = {name: import_module(f"{__name__}.{name}") for name in METHODS}
"""Each has ``Params`` and ``handle(master, params)``, which returns or awaits the result.

Those that change something have ``order(master, params)`` instead, which does that and gives a receipt,
and may have ``answer(master, params, receipt)``, for what the answer has to wait for
(``pypm.master.receipts``).
"""
