"""``describe``: all that is known of some instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pypm.master.rows import Detail

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances."""

    targets: list[str]


def handle(master: Master, params: Params) -> list[Detail]:
    """Give their details."""
    return master.views.details(master.select(params.targets))
