"""The answer of ``pypm why`` for a person, on one screen."""

from __future__ import annotations

import time

from pypm.cli.description import wrapped
from pypm.cli.failures import without_escapes
from pypm.cli.history import moment
from pypm.cli.output import plain
from pypm.cli.why_facts import Facts, in_seconds
from pypm.config.units import format_duration

__all__ = ["answer"]

RUNS = 8
"""Of the last runs."""
STREAMS = {"error": "stderr", "out": "stdout"}


def answer(facts: Facts, width: int | None = None) -> str:
    """The text for one instance; lines that are longer than ``width`` signs go on between words."""
    fields = [
        ("because", facts["reason"] or _quiet_reason(facts)),
        ("decided by", facts["rule"]),
        ("trouble", facts["trouble"]),
        ("the last run", _last_run(facts)),
        ("report", facts["report"]),
        ("now", _present_run(facts)),
        ("phase", facts["awaited"]),
        ("waits for", _waiting(facts)),
        ("heartbeat", _ago(facts["heartbeat_age_seconds"])),
        ("progress", _progress(facts)),
        ("memory", facts["memory"]),
        ("its logs", facts["log_trouble"]),
        ("signs of work", facts["evidence"]),
        ("says", facts["status_text"]),
        ("next", _next(facts)),
    ]
    column = max(len(name) for name, text in fields if text)
    told = (f"  {name:<{column}}  {plain(str(text))}" for name, text in fields if text)
    lines = [_head(facts), *(wrapped(line, width) for line in told)]
    return "\n".join([*lines, *_words(facts), *(wrapped(line, width) for line in _runs(facts))])


def _head(facts: Facts) -> str:
    ago = max(0.0, time.time() - facts["since"])
    is_ill = facts["health"] in ("unhealthy", "stalled")
    health = f" and {facts['health']}" if is_ill else ""
    head = f"{plain(facts['name'])} is {facts['status']}{health}"
    return f"{head}, since {moment(facts['since'])} ({format_duration(ago)} ago)"


def _quiet_reason(facts: Facts) -> str:
    """Where nothing has to be said, what is wanted is the reason."""
    if facts["status"] == "online":
        return "it was started" + ("" if facts["ready"] else ", and is not ready")
    return "it was never started" if not facts["runs"] and facts["status"] == "stopped" else ""


def _last_run(facts: Facts) -> str:
    if not facts["runs"]:
        return ""
    run = facts["runs"][0]
    return f"{run['reason']} [{run['cause']}], after {format_duration(run['uptime_seconds'])}"


def _present_run(facts: Facts) -> str:
    if facts["pid"] is None:
        return ""
    up = format_duration(max(0.0, time.time() - facts["started_at"]))
    count = facts["restarts"]
    restarts = f", restarted {'once' if count == 1 else f'{count} times'}" if count else ""
    return f"pid {facts['pid']}, up for {up}{restarts}"


def _waiting(facts: Facts) -> str:
    if facts["waiting_seconds"] is None:
        return ""
    return f"{facts['waiting_for'] or 'something'}, for {format_duration(facts['waiting_seconds'])}"


def _ago(seconds: float | None) -> str:
    return "" if seconds is None else f"{format_duration(seconds)} ago"


def _progress(facts: Facts) -> str:
    iteration = "" if facts["iteration"] is None else f"iteration {facts['iteration']}"
    parts = (_ago(facts["progress_age_seconds"]), iteration, facts["progress_text"])
    return ", ".join(part for part in parts if part)


def _next(facts: Facts) -> str:
    following = facts["next"]
    left = in_seconds(following["at"])
    if following["at"] is None:
        return str(following["what"])
    when = "now" if left is None else f"in {format_duration(left)}"
    return f"{following['what']} ({when}, at {moment(following['at'])})"


def _words(facts: Facts) -> list[str]:
    words = facts["last_words"]
    if words is None:
        return []
    head = f"  the last lines of its {STREAMS[words['stream']]} (run {words['run_id']}):"
    return ["", head, *(f"  | {plain(without_escapes(line).expandtabs())}" for line in words["lines"])]


def _runs(facts: Facts) -> list[str]:
    if not facts["runs"]:
        return []
    lines = [_run(run) for run in facts["runs"][:RUNS]]
    return ["", "  the last runs, newest first:", *(f"  {line}" for line in lines)]


def _run(run: Facts) -> str:
    lasted = format_duration(run["uptime_seconds"])
    rule = f" → {run['rule']}" if run["rule"] else ""
    return plain(f"{moment(run['at'])}  {run['cause']:<9}  {lasted:>8}  {run['reason']}{rule}")
