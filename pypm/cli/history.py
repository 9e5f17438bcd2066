"""The history of an instance in the words of a person: what happened, and where that has led."""

from __future__ import annotations

import time
from typing import Any

from pypm.cli.output import plain

__all__ = ["EVENTS", "history_lines", "moment"]

EVENTS = {
    "StartRequested": "told to start",
    "StopRequested": "told to stop",
    "RestartRequested": "told to restart",
    "Renumbered": "has taken the place of another one",
    "DeleteRequested": "told to go for good",
    "ResetRequested": "its counters were reset",
    "SpecChanged": "declared anew",
    "HeldBack": "something has to happen first",
    "LetGo": "what it waited for has happened",
    "DependencyFailed": "what it depends on will not come by itself",
    "HookEnded": "its pre_stop hook is over",
    "Recovered": "taken over by a new master",
    "Spawned": "its process was started",
    "SpawnFailed": "its process could not be started",
    "Ready": "it says that it is ready",
    "Beat": "it says that it lives",
    "Progressed": "it says that it has worked",
    "Extended": "it says that it waits for something",
    "ExtensionReset": "it says that it waits no longer",
    "WatchdogSet": "it promised a heartbeat",
    "WatchdogTriggered": "it asked to be restarted",
    "Reloading": "it says that it reads its configuration",
    "Evidence": "its tree was looked at for signs of work",
    "Captured": "a report of what it looks like was made",
    "NotAsked": "the shutdown message could not be sent",
    "StatusReported": "it says what it does",
    "StoppingReported": "it says that it ends",
    "MainPidReported": "it named another main process",
    "LimitPassed": "it, or its namespace, used too much",
    "MemoryOver": "it used too much memory",
    "MemoryUsed": "its memory was measured",
    "CpuUsed": "its CPU time was measured",
    "Occupied": "its tasks have begun or are done",
    "Exited": "its process ended",
    "RunRequested": "told to run now",
    "ScheduleDue": "a moment of its schedule has come",
    "ScheduleMoved": "a moment of its schedule is over",
    "TreeGone": "nothing of its run is left",
    "Probed": "a probe was answered",
    "LogRead": "its last lines were looked through for its rules",
    "DeadlinePassed": "its time was over",
}
"""What each event of the protocol's ``history`` means."""

_OVER = {
    "backoff": "it has waited long enough",
    "held": "it has waited long enough",
    "starting": "it was not ready in time",
    "online": "a sign of its work was due",
    "stopping": "it did not end in time",
}
"""What the end of its time means, by the status that it had."""


def history_lines(history: list[dict[str, Any]]) -> list[str]:
    """Give a line for each transition of a *detail* of the protocol; a reason is told when it is new."""
    lines, before = [], ""
    for entry in history:
        reason = plain(entry.get("reason") or "")
        words = _words(entry)
        if reason and reason != before and reason not in words:
            words += f" ({reason})"
        before = reason
        lines.append(f"{moment(entry['at'])}  {_way(entry)}: {words}")
    return lines


def moment(at: float | None) -> str:
    """Give the local date and time of a Unix time; empty for ``None``."""
    return "" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _way(entry: dict[str, Any]) -> str:
    return entry["to"] if entry["from"] == entry["to"] else f"{entry['from']} → {entry['to']}"


def _words(entry: dict[str, Any]) -> str:
    event: str = entry["event"]
    if event == "DeadlinePassed" and entry["from"] in _OVER:
        return _OVER[entry["from"]]
    # A newer master may know of more: its name for that is better than nothing.
    return EVENTS.get(event, event)
