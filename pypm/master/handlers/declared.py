"""``declared``: what apps there are, as they were declared, and how many of their instances rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing."""


async def handle(master: Master, params: Params) -> list[dict[str, Any]]:  # noqa: ARG001 - a method's signature
    """Give them in the order in which they were declared."""
    specs = master.apps.specs()
    down = master.apps.down()
    return [{"spec": msgspec.to_builtins(spec), "down": down[name]} for name, spec in specs.items()]
