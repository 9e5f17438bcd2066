"""``flush``: empty the log files of instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances, and whether their rotated files are deleted as well."""

    targets: list[str]
    rotated: bool = False


async def handle(master: Master, params: Params) -> dict[str, Any]:
    """Truncate the current files."""
    files = [
        path for instance in master.select(params.targets) for path in master.outputs.of(instance).flush()
    ]
    files = list(dict.fromkeys(files))
    deleted = await master.log_keeper.delete_rotated(files) if params.rotated else []
    return {"files": files, "deleted": deleted}
