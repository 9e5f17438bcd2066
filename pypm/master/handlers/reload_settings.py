"""``reload_settings``: take up what the home's settings say now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing."""


def handle(master: Master, params: Params) -> dict[str, Any]:  # noqa: ARG001 - a handler's signature
    """Give what holds from now on. Raises ConfigError where the file is wrong: what held before holds on."""
    settings = master.log_keeper.settings_changed()
    return {"logs.total_size": settings.logs_total_size}
