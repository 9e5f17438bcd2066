"""``apply``: declare apps, and make them so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pypm.core.errors import RequestError, UsageError
from pypm.core.events import StartRequested
from pypm.core.instance import Desired
from pypm.core.plan import fault_of_declaration
from pypm.core.receipt import Receipt
from pypm.core.spec import AppSpec, Origin
from pypm.master.apps import Change, change_of
from pypm.master.asker import asked_by
from pypm.system.attributes import attributes_of
from pypm.system.secret_values import exposed_files
from pypm.system.spawn_error import SpawnError

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Resolved app specs, and the shell's environment for those that are new.

    Without ``restart`` a run that a change asks to be renewed goes on until somebody renews it.
    """

    apps: list[AppSpec]
    origin: Origin = Origin()
    restart: bool = True


async def order(master: Master, params: Params) -> Receipt:
    """Declare all of them or none."""
    check_specs(master, params.apps)
    declare = master.apps.declare
    changes = [
        change for spec in params.apps for change in declare(spec, params.origin, restart=params.restart)
    ]
    return Receipt(_start_needed(master, changes), _warnings(params.apps))


def check_specs(master: Master, specs: list[AppSpec]) -> None:
    """Raise what speaks against declaring these apps; changes nothing."""
    if fault := fault_of_declaration(specs, master.apps.specs()):
        raise UsageError(fault)
    for spec in specs:
        if fault := master.executor.limits.refusal(spec) or _refusal(spec):
            raise RequestError(f"{spec.name}: {fault}")


def _refusal(spec: AppSpec) -> str:
    """Why this machine cannot start such a process, for people; empty if it can."""
    try:
        return attributes_of(spec).refusal(spec.command[0], spec.cwd)
    except SpawnError as error:
        return str(error)


def _warnings(specs: list[AppSpec]) -> list[str]:
    """What is not as it should be and yet no fault."""
    return [
        f"{spec.name}: {path} is for others to read too, or to change: chmod 600 {path}"
        for spec in specs
        for path in exposed_files(spec)
    ]


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
