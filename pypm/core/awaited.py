"""What an instance waits for before it is up, or down: one line for people."""

from __future__ import annotations

from pypm.core.instance import Instance, Status
from pypm.core.policy import describe_duration

__all__ = ["awaited"]


def awaited(instance: Instance, now: float) -> str:
    """What is waited for now, and what follows how soon; empty where it is in no such phase."""
    if instance.status is Status.HELD:
        return ""  # its reason says it
    if instance.waits_for:
        return f"waits for {instance.waits_for}"
    if instance.status is Status.STARTING:
        return _start(instance, now)
    return _stop(instance, now) if instance.status is Status.STOPPING else ""


def _start(instance: Instance, now: float) -> str:
    if instance.run is None or instance.deadline is None or instance.run.vitals.trouble:
        return ""
    return f"{_said(instance)}not ready yet, {_left(instance, now)} left"


def _stop(instance: Instance, now: float) -> str:
    run = instance.run
    if instance.preparing:
        return "its pre_stop hook runs"
    if run is None or instance.deadline is None:
        return ""
    if run.reading:
        return "its last lines are read"
    if instance.killed:
        return "SIGKILL sent"
    whom = "its children: " if run.leaving is not None else ""
    if instance.asked:
        return (
            f"{_said(instance)}shutdown message sent, {instance.spec.kill_signal} in {_left(instance, now)}"
        )
    return f"{whom}{_said(instance)}{instance.spec.kill_signal} sent, SIGKILL in {_left(instance, now)}"


def _said(instance: Instance) -> str:
    """What the agent has said that it does meanwhile, having extended its deadline."""
    assert instance.run is not None
    vitals = instance.run.vitals
    if vitals.extended_until is None:
        return ""
    return f"{vitals.waiting_for or 'something'} (extended): "


def _left(instance: Instance, now: float) -> str:
    assert instance.deadline is not None
    seconds = max(0, round(instance.deadline - now))
    return describe_duration(float(seconds)) if seconds else "0s"
