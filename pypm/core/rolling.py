"""A rolling reload: how far the renewal of an instance has come, from values only."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pypm.core.causes import Cause
from pypm.core.instance import Desired, Instance, Status, settled_at, start_is_left
from pypm.core.policy import ended_well

__all__ = ["Renewal", "at_once", "renewal_of"]

ASKED_FOR: frozenset[Cause] = frozenset(("operator", "config", "watch", "schedule", "max-runtime"))
"""Causes of ends that were wanted: they say nothing about the run that ended."""


class Renewal(NamedTuple):
    """How far it has come. ``left``: somebody has stopped or deleted the instance meanwhile."""

    kind: Literal["under way", "done", "failed", "left"]
    reason: str = ""


def renewal_of(instance: Instance | None, since: float, now: float) -> Renewal:
    """How far the new run of an instance has come that was ordered at ``since`` (boot clock, seconds).

    It is done when its start counts as decided (``settled_at``), and has failed with the first run since
    then that ended badly, also where the policy has started another one at once.
    """
    if instance is None or (instance.desired is Desired.DOWN and instance.status is not Status.STARTING):
        return Renewal("left")
    end = instance.last
    if end is not None and end.at >= since and end.cause not in ASKED_FOR:
        failed = not ended_well(end, instance.spec) and instance.status is not Status.EXITED
        if failed:
            return Renewal("failed", end.reason)
    if start_is_left(instance):
        return Renewal("failed", instance.reason)
    if instance.status in (Status.STARTING, Status.STOPPING):
        return Renewal("under way")
    if instance.status is Status.ONLINE:
        settled = settled_at(instance)
        is_settled = settled is not None and settled <= now
        return Renewal("done" if is_settled else "under way")
    if instance.status is Status.EXITED:
        return Renewal("done")
    return Renewal("failed", instance.reason)


def at_once(max_unavailable: int) -> int:
    """How many instances of an app are renewed at a time: one where none may be missing."""
    return max(1, max_unavailable)
