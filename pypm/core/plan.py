"""What a new declaration of an app means for the instances that exist."""

from __future__ import annotations

import msgspec

from pypm.core.spec import AppSpec

__all__ = ["changed_keys", "needs_restart"]

_LIVE = frozenset(
    {
        "allow_control",
        "cron_restart",
        "namespace",
        "instances",
        "autostart",
        "depends_on",
        "hooks",
        "restart",
        "min_uptime",
        "kill_signal",
        "kill_timeout",
        "treekill",
        "listen_timeout",
        "max_memory",
        "health",
        "logs",
        "schedule",
        "watch",
        "source",
    }
)
"""Fields that hold at once for a run that exists; a change of any other one needs a new run."""


def changed_keys(old: AppSpec, new: AppSpec) -> list[str]:
    """The fields in which two declarations differ."""
    names = (field.name for field in msgspec.structs.fields(AppSpec))
    return [name for name in names if getattr(old, name) != getattr(new, name)]


def needs_restart(old: AppSpec, new: AppSpec) -> list[str]:
    """The changed fields that hold only from the next run on."""
    return [name for name in changed_keys(old, new) if name not in _LIVE]
