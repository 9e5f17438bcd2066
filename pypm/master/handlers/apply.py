"""``apply``: declare apps, and make them so."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from pypm.core.errors import UsageError
from pypm.core.receipt import Receipt
from pypm.core.spec import AppSpec, Origin
from pypm.core.validity import fault_of

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
    return Receipt([change for spec in params.apps for change in master.apps.declare(spec, params.origin)])
