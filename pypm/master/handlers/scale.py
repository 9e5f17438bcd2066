"""``scale``: change how many instances an app has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from pypm.core.errors import NotFoundError
from pypm.core.receipt import Receipt
from pypm.core.spec import MOST_INSTANCES
from pypm.core.targets import nearest

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """The app's name and the wanted number."""

    app: str
    instances: Annotated[int, msgspec.Meta(ge=1, le=MOST_INSTANCES)]


async def order(master: Master, params: Params) -> Receipt:
    """Add or delete instances; the newest go first."""
    if params.app not in master.apps.by_name:
        hint = nearest(params.app, list(master.engine.instances.values()))
        raise NotFoundError(f"no app {params.app!r}", hint=hint)
    return Receipt(master.apps.scale(params.app, params.instances))
