"""``check``: whether apps could be declared here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.spec import AppSpec
from pypm.master.handlers.apply import check_specs

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Resolved app specs."""

    apps: list[AppSpec]


async def handle(master: Master, params: Params) -> dict[str, Any]:
    """Answer nothing, or with what ``apply`` would say against them."""
    check_specs(master, params.apps)
    return {}
