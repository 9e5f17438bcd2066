"""What pypm tells a run about the one before it, through the environment."""

from __future__ import annotations

import os
from typing import NamedTuple

__all__ = ["LastExit", "RestartInfo", "read_restart_info"]


class LastExit(NamedTuple):
    """How the run before ended: an exit code or the name of a signal; neither where nobody saw its end."""

    code: int | None
    signal: str | None


class RestartInfo(NamedTuple):
    """What is known of the runs before this one."""

    is_restart: bool
    """This instance has had a run before, also if that was stopped and started by a person."""
    restarts: int
    """How often pypm has restarted the instance since it was added or its counters were reset."""
    cause: str
    """Why the run before ended, in one word (docs/agent-protocol.md lists them); empty: there was none."""
    reason: str
    """Why it ended, for people."""
    last_exit: LastExit | None
    """How it ended."""
    previous_run_id: str | None


def read_restart_info(environment: os._Environ[str] | dict[str, str]) -> RestartInfo:
    """Read what pypm has set; outside of pypm it says that this is no restart."""
    previous = environment.get("PYPM_LAST_RUN_ID") or None
    cause = environment.get("PYPM_LAST_CAUSE", "")
    reason = environment.get("PYPM_LAST_REASON", "")
    is_restart = bool(previous or cause or reason)
    code = _number(environment.get("PYPM_LAST_EXIT_CODE"))
    signal_name = environment.get("PYPM_LAST_SIGNAL") or None
    return RestartInfo(
        is_restart,
        _number(environment.get("PYPM_RESTARTS")) or 0,
        cause,
        reason,
        LastExit(code, signal_name) if is_restart else None,
        previous,
    )


def _number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None
