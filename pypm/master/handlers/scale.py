"""``scale``: change how many instances an app has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pypm.core.errors import NotFoundError
from pypm.core.targets import nearest
from pypm.core.validity import MOST_INSTANCES

if TYPE_CHECKING:
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """The app's name and the wanted number."""

    app: str
    instances: Annotated[int, msgspec.Meta(ge=1, le=MOST_INSTANCES)]


async def handle(master: Master, params: Params) -> dict[str, Any]:
    """Add or delete instances; the newest go first."""
    if params.app not in master.apps.by_name:
        hint = nearest(params.app, list(master.engine.instances.values()))
        raise NotFoundError(f"no app {params.app!r}", hint=hint)
    return await master.done(master.apps.scale(params.app, params.instances))
