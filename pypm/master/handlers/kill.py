"""``kill``: stop every agent, then end the master."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.events import StopRequested

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing."""


async def handle(master: Master, params: Params) -> dict[str, Any]:  # noqa: ARG001 - a method's signature
    """Answer when the last agent is gone; the apps stay declared, and down until somebody starts them."""
    master.begin_to_end()
    await master.stop_all(StopRequested(by="pypm kill"))
    answer = await master.done([])
    master.end()
    return {"warnings": answer["warnings"]}
