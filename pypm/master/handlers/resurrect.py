"""``resurrect``: bring back the apps of a snapshot."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from pypm.core.errors import RequestError
from pypm.core.order import find_cycle
from pypm.core.plan import changed_keys
from pypm.core.receipt import Receipt
from pypm.core.snapshot import SavedApp
from pypm.core.validity import fault_of
from pypm.master.snapshots import DEFAULT_NAME, Snapshots

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which snapshot."""

    name: str = DEFAULT_NAME


async def order(master: Master, params: Params) -> Receipt:
    """Declare what is gone, start what is down and was up; what runs stays as it is."""
    snapshots = Snapshots(master.home.path)
    snapshot = await asyncio.to_thread(snapshots.read, params.name)
    for app in snapshot.apps:
        if fault := fault_of(app.spec):
            raise RequestError(f"the snapshot {params.name!r} cannot be used: {app.spec.name}: {fault}")
    graph = {app.spec.name: app.spec.depends_on for app in snapshot.apps}
    graph |= {name: app.spec.depends_on for name, app in master.apps.by_name.items()}
    if cycle := find_cycle(graph):
        raise RequestError(f"apps would depend on each other in a circle: {' -> '.join(cycle)}")
    warnings = [text for app in snapshot.apps if (text := _difference(master, app))]
    return Receipt([change for app in snapshot.apps for change in master.apps.resurrect(app)], warnings)


def _difference(master: Master, saved: SavedApp) -> str:
    present = master.apps.by_name.get(saved.spec.name)
    keys = [] if present is None else changed_keys(saved.spec, present.spec)
    if not keys:
        return ""
    return f"{saved.spec.name} is there with another {', '.join(keys)} than the snapshot has, and keeps it"
