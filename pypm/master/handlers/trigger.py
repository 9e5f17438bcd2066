"""``trigger``: let agents carry out actions that they have registered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import msgspec

from pypm.core.errors import RequestError, UsageError
from pypm.core.instance import Instance
from pypm.master.actions import ActionResult
from pypm.master.telemetry import NAME_LENGTH, Offer

if TYPE_CHECKING:
    from pypm.master.main import Master

MOST_PARAM = 32 * 1024
"""Bytes of what comes along."""


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Which instances, the name of the action, a text for it, and seconds."""

    targets: list[str]
    action: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_LENGTH)]
    param: str | None = None
    timeout: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 10.0


async def handle(master: Master, params: Params) -> list[ActionResult]:
    """Ask all of them at once, and give what became of it in each; refused where none of them has it."""
    if len((params.param or "").encode()) > MOST_PARAM:
        raise UsageError(f"the parameter of an action has {MOST_PARAM} bytes at most")
    chosen = master.select(params.targets)
    found = await asyncio.gather(*(_find(master, each, params.action) for each in chosen))
    refusals = [each for each in found if isinstance(each, RequestError)]
    if len(refusals) == len(found) and refusals:
        raise refusals[0]
    pairs = zip(chosen, found, strict=True)
    return await asyncio.gather(*(_ask(master, params, each, offer) for each, offer in pairs))


async def _find(master: Master, instance: Instance, name: str) -> Offer | RequestError:
    try:
        return await master.actions.find(instance, name)
    except RequestError as error:
        return error


async def _ask(
    master: Master, params: Params, instance: Instance, found: Offer | RequestError
) -> ActionResult:
    if isinstance(found, RequestError):
        return ActionResult(instance.id, instance.name, False, error=found.message)
    return await master.actions.ask(instance, found, params.action, params.param, params.timeout)
