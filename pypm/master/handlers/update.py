"""``update``: let a master of the installed version take over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.errors import RequestError

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing."""


async def handle(master: Master, params: Params) -> dict[str, Any]:  # noqa: ARG001 - a method's signature
    """Answered only when it fails: when it succeeds, the connection ends with this master."""
    if master.update is not None and not master.update.done():
        raise RequestError("an update is under way already")
    master.update = master.loop.create_future()
    master.link.request_update()
    await master.update
    return {}
