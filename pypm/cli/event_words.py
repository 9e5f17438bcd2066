"""Events in the words of a person: one line each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pypm.cli.output import plain
from pypm.config.units import format_duration

__all__ = ["event_line"]

BESIDE = frozenset(
    ("time", "event", "name", "id", "reason", "run_id", "uid", "user", "command", "by", "guardian_pid")
)
"""What a line tells in another way, or leaves to ``--json``."""


def event_line(event: dict[str, Any]) -> str:
    """``2026-11-22 20:11:05  worker  run.ended  exit code 3, after 5s; again in 100ms``."""
    words = _end(event) if event["event"] == "run.ended" else _others(event)
    parts = (_local(event["time"]), plain(str(event.get("name") or "-")), event["event"], words)
    return "  ".join(part for part in map(plain, parts) if part)


def _end(event: dict[str, Any]) -> str:
    uptime = event.get("uptime_seconds")
    lasted = "" if not isinstance(uptime, int | float) else f", after {format_duration(uptime)}"
    retry = event.get("retry_in_seconds")
    status = str(event.get("status", ""))
    then = {"starting": "started again", "stopping": ""}.get(status, status)
    if isinstance(retry, int | float):
        then = f"again in {format_duration(retry)}"
    text = f"{event.get('reason', '')} [{event.get('cause', '')}]{lasted}"
    return f"{text}; {then}" if then else text


def _others(event: dict[str, Any]) -> str:
    facts = [f"{key} {_value(key, value)}" for key, value in event.items() if key not in BESIDE and value]
    if event["event"].startswith("operator."):
        facts = [fact for fact in facts if not fact.startswith("pid ")]
    by = f"by {event['by']}" if event.get("by") else ""
    return ", ".join(part for part in (str(event.get("reason") or ""), by, *facts) if part)


def _value(key: str, value: Any) -> str:
    if key.endswith("_seconds") and isinstance(value, int | float):
        return format_duration(value)
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _local(time: str) -> str:
    """A time of an event in the local zone."""
    try:
        return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return time
