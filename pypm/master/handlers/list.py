"""``list``: a row for each instance."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

import msgspec

from pypm.master.rows import Row, SpecRow

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances, all by default, and whether with what was declared."""

    targets: builtins.list[str] | None = None
    spec: bool = False


def handle(master: Master, params: Params) -> builtins.list[Row] | builtins.list[SpecRow]:
    """Give their rows, by id."""
    chosen = master.select(["all"] if params.targets is None else params.targets)
    return master.views.spec_rows(chosen) if params.spec else master.views.rows(chosen)
