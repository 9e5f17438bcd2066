"""``list``: a row for each instance."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

import msgspec

from pypm.master.rows import Row

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances; all by default."""

    targets: builtins.list[str] | None = None


def handle(master: Master, params: Params) -> builtins.list[Row]:
    """Give their rows, by id."""
    return master.rows(master.select(["all"] if params.targets is None else params.targets))
