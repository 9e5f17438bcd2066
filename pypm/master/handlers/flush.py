"""``flush``: empty the log files of instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances."""

    targets: list[str]


def handle(master: Master, params: Params) -> dict[str, Any]:
    """Truncate the current files; rotated ones stay."""
    files = [
        path for instance in master.select(params.targets) for path in master.outputs.of(instance).flush()
    ]
    return {"files": list(dict.fromkeys(files))}
