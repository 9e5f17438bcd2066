"""``env``: the environment that the next run of an instance would get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pypm.core.errors import RequestError
from pypm.system.environment import build_environment
from pypm.system.secret_values import printed_for
from pypm.system.spawn import SpawnError

if TYPE_CHECKING:
    from pypm.core.instance import Instance
    from pypm.master.main import Master


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances."""

    targets: list[str]


def handle(master: Master, params: Params) -> list[dict[str, Any]]:
    """Give their environments, without what is made for each run anew: its id, its token, printed secrets.

    Of the latter those of the present run are there.
    """
    return [_environment(master, instance) for instance in master.select(params.targets)]


def _environment(master: Master, instance: Instance) -> dict[str, Any]:
    origin = master.apps.by_name[instance.app].origin
    own = master.executor.own_variables(instance)
    try:
        printed = printed_for(None if instance.run is None else instance.run.pid, instance.spec.secrets)
        env = build_environment(instance.spec, instance.index, origin.env, own, printed)
    except SpawnError as error:
        raise RequestError(f"{instance.name}: {error}") from error
    return {
        "id": instance.shown_id,
        "name": instance.name,
        "env": env,
        "secrets": sorted(instance.spec.secrets),
    }
