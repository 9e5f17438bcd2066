"""``reload_logs``: open all log files anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing: it is about all files."""


def handle(master: Master, _params: Params) -> dict[str, Any]:
    """Let go of all files; the next byte of each opens the one that has its name then."""
    return {"files": master.reload_logs()}
