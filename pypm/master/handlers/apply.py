"""``apply``: declare apps, and make them so."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from pypm.core.errors import UsageError
from pypm.core.events import StartRequested
from pypm.core.instance import Desired
from pypm.core.order import find_cycle
from pypm.core.receipt import Receipt
from pypm.core.spec import AppSpec, Origin
from pypm.core.validity import fault_of
from pypm.master.apps import Change, change_of
from pypm.master.asker import asked_by

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Resolved app specs, and the shell's environment for those that are new."""

    apps: list[AppSpec]
    origin: Origin = Origin()


async def order(master: Master, params: Params) -> Receipt:
    """Declare all of them or none."""
    twice = [name for name, count in Counter(spec.name for spec in params.apps).items() if count > 1]
    if twice:
        raise UsageError(f"declared twice: {', '.join(twice)}")
    for spec in params.apps:
        if fault := fault_of(spec):
            raise UsageError(f"{spec.name}: {fault}")
    _check_dependencies(master, params.apps)
    changes = [change for spec in params.apps for change in master.apps.declare(spec, params.origin)]
    return Receipt(_start_needed(master, changes))


def _check_dependencies(master: Master, specs: list[AppSpec]) -> None:
    """Raise UsageError where apps depend on what there is not, or on themselves."""
    graph = {name: app.spec.depends_on for name, app in master.apps.by_name.items()}
    graph |= {spec.name: spec.depends_on for spec in specs}
    for spec in specs:
        for name in spec.depends_on:
            if name not in graph:
                raise UsageError(f"{spec.name} depends on {name}, and there is no such app")
    if cycle := find_cycle(graph):
        raise UsageError(f"apps depend on each other in a circle: {' -> '.join(cycle)}")


def _start_needed(master: Master, changes: list[Change]) -> list[Change]:
    """Start also what the apps that are up now depend on and what is down; tell it with the changes."""
    ids = {change["id"] for change in changes if change["action"] != "deleted"}
    instances = [each for each in map(master.engine.instances.get, ids) if each is not None]
    needed = master.order.needed([each for each in instances if each.desired is Desired.UP])
    for instance in needed:
        master.engine.handle(instance.id, StartRequested(by=asked_by()))
    started = {each.id: change_of(each, "started") for each in needed}
    kept = [started.pop(change["id"], change) for change in changes]
    return [*started.values(), *kept]
