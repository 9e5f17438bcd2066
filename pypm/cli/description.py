"""What ``pypm describe`` tells a person about one instance."""

from __future__ import annotations

import shlex
import textwrap
import time
from typing import Any

import msgspec

from pypm.cli.history import history_lines, moment
from pypm.cli.limit_words import as_whom, limits_in_words
from pypm.cli.output import plain
from pypm.cli.probe_view import probe_fields
from pypm.cli.process_tree import tree_lines
from pypm.cli.sandbox_words import sandbox_in_words
from pypm.cli.usage_view import age_in_words, cpu_limit_in_words, levels_in_words, most_in_words, usage_fields
from pypm.config.units import format_duration, format_size
from pypm.core.policy import describe_ruling
from pypm.core.rules import Ruling
from pypm.core.spec import AppSpec, RestartPolicy, Rung

__all__ = ["ladder_in_words", "policy_in_words", "schedule_in_words", "sections", "wrapped"]

_HISTORY = 10
"""Transitions shown, the newest; ``--json`` has all that the master remembers."""

_STREAMS = (("stdout", "out"), ("stderr", "error"))

Lines = list[str]


def sections(detail: dict[str, Any], width: int | None = None) -> str:
    """Give the text for one *detail* of the protocol: sections with a title, aligned fields within.

    Lines that are longer than ``width`` signs go on in the next one, between words.
    """
    spec = msgspec.convert(detail["spec"], AppSpec)
    parts = [
        (f"{plain(detail['name'])} (id {detail['id']})", _fields(_state(detail))),
        ("usage", _fields(usage_fields(detail))),
        ("command", _fields(_command(spec))),
        ("policy", _fields(_policy(spec))),
        ("probes", _fields(probe_fields(detail, spec.health))),
        ("logs", _fields([(name, detail[f"{key}_file"] or "not kept") for name, key in _STREAMS])),
        ("environment it declares", _fields(sorted(spec.env.items()))),
        ("metrics", _fields(_metrics(detail))),
        ("tasks", _fields(_tasks(detail))),
        ("actions, for `pypm trigger`", [plain(name) for name in detail.get("actions", [])]),
        ("last runs, newest first", [_run(run) for run in detail.get("runs", [])]),
        ("history, oldest first", history_lines(detail.get("history", [])[-_HISTORY:])),
        ("processes", tree_lines(detail["pid"])),
    ]
    return "\n\n".join(_section(title, lines, width) for title, lines in parts if lines)


def policy_in_words(policy: RestartPolicy) -> str:
    """Say when a run that ended is followed by another one, how soon, and when that ends."""
    if policy.autorestart == "never":
        return "never restarted by itself"
    when = "always" if policy.autorestart == "always" else "after a failure"
    if policy.stop_exit_codes:
        when += f", but not after exit code {' or '.join(map(str, policy.stop_exit_codes))}"
    return f"restarted {when}; {_pace(policy)}; {_brake(policy)}"


def _pace(policy: RestartPolicy) -> str:
    if policy.delay is not None:
        return f"{format_duration(policy.delay)} after the end" if policy.delay else "at once"
    first = "at once" if policy.backoff is None else f"after {format_duration(policy.backoff)}"
    return (
        f"first {first}, then after growing delays up to {format_duration(policy.max_backoff)}"
        f" until a run has lasted {format_duration(policy.backoff_reset)}"
    )


def _brake(policy: RestartPolicy) -> str:
    if policy.max_restarts is None:
        return "without a limit"
    if policy.max_restarts == 0:
        return "given up at the first failure"
    restarts = "1 restart" if policy.max_restarts == 1 else f"{policy.max_restarts} restarts"
    return f"given up after {restarts} within {format_duration(policy.window)}"


def _state(detail: dict[str, Any]) -> list[tuple[str, str]]:
    is_job = "schedule" in detail["spec"]
    fields = [
        ("status", detail["status"] + (f": {plain(detail['reason'])}" if detail["reason"] else "")),
        ("now", plain(detail["awaited"])),
        ("desired", detail["desired"]),
        ("app", f"{plain(detail['app'])}, namespace {plain(detail['namespace'])}"),
        ("pid", str(detail["pid"]) if detail["pid"] is not None else ""),
        ("run", detail["run_id"] or ""),
        ("up for", _duration(detail["uptime_seconds"])),
        ("next start in", _duration(detail["retry_in_seconds"])),
        ("held until", moment(detail["held_until"])),
        ("last run", moment(detail["last_run"]) if is_job else ""),
        ("next run", _next_run(detail)),
        ("restarts", str(detail["restarts"])),
        ("cpu", "" if detail["cpu_percent"] is None else f"{detail['cpu_percent']:.1f}%"),
        ("memory", "" if detail["memory_bytes"] is None else format_size(detail["memory_bytes"])),
        ("ready", ("yes" if detail["ready"] else "no") if detail["pid"] is not None else ""),
        ("health", "" if detail["health"] == "unknown" else detail["health"]),
        ("trouble", plain(detail["trouble"])),
        ("its logs", plain(detail["log_trouble"])),
        ("heartbeat", _ago(detail["heartbeat_age_seconds"])),
        ("progress", _progress(detail)),
        ("waits for", _waiting(detail)),
        ("signs of work", plain(detail["evidence"])),
        ("says", plain(detail["status_text"])),
        ("created", moment(detail["created_at"])),
    ]
    return [(name, text) for name, text in fields if text]


def _next_run(detail: dict[str, Any]) -> str:
    at = detail["next_run"]
    return "" if at is None else f"{moment(at)} (in {format_duration(at - time.time())})"


def _ago(seconds: float | None) -> str:
    return "" if seconds is None else f"{format_duration(seconds)} ago"


def _progress(detail: dict[str, Any]) -> str:
    iteration = "" if detail["iteration"] is None else f"iteration {detail['iteration']}"
    parts = (_ago(detail["progress_age_seconds"]), iteration, plain(detail["progress_text"]))
    return ", ".join(part for part in parts if part)


def _waiting(detail: dict[str, Any]) -> str:
    if detail["waiting_seconds"] is None:
        return ""
    what = plain(detail["waiting_for"]) or "something"
    return f"{what}, for {format_duration(detail['waiting_seconds'])}"


def _health(spec: AppSpec) -> list[tuple[str, str]]:
    """The clocks that an app has, and what follows."""
    health = spec.health
    clocks = (
        ("heartbeat", health.heartbeat_timeout, health.on_heartbeat),
        ("progress", health.progress_timeout, health.on_stall),
    )
    return [
        (name, f"at least every {format_duration(timeout)}, or else: {ladder_in_words(ladder)}")
        for name, timeout, ladder in clocks
        if timeout
    ]


def ladder_in_words(ladder: tuple[Rung, ...]) -> str:
    """Say what is done about an agent in trouble, step by step."""
    steps = (
        f"{rung.signal or rung.action}{f' after {format_duration(rung.after)}' if rung.after else ''}"
        for rung in ladder
    )
    return ", ".join(steps)


def _command(spec: AppSpec) -> list[tuple[str, str]]:
    fields = [
        ("command", shlex.join(spec.command)),
        ("written as", spec.script),
        ("folder", spec.cwd),
        ("declared in", spec.source or ""),
        ("env files", ", ".join(spec.env_files)),
        ("secrets", ", ".join(f"{name} from {path}" for name, path in sorted(spec.secrets.items()))),
        ("runs as", as_whom(spec)),
        ("limits", limits_in_words(spec)),
        ("sandbox", sandbox_in_words(spec)),
    ]
    return [(name, plain(text)) for name, text in fields if text]


def _rules(policy: RestartPolicy) -> list[tuple[str, str]]:
    """The rules for how runs end, which come before the policy."""
    rulings = (Ruling(rule, number, None) for number, rule in enumerate(policy.rules, 1))
    return [("at its end" if ruling.number == 1 else "", describe_ruling(ruling)) for ruling in rulings]


def _policy(spec: AppSpec) -> list[tuple[str, str]]:
    target = "the whole process group" if spec.treekill else "the main process only"
    fields = [
        *_rules(spec.restart),
        ("restart", policy_in_words(spec.restart) if spec.schedule is None else ""),
        ("stop", f"{spec.kill_signal} to {target}, SIGKILL after {format_duration(spec.kill_timeout)}"),
        ("ready", f"it says so within {format_duration(spec.listen_timeout)}" if spec.wait_ready else ""),
        *_health(spec),
        ("schedule", schedule_in_words(spec)),
        ("memory", levels_in_words(spec)),
        ("cpu", cpu_limit_in_words(spec.limits.cpu)),
        *most_in_words(spec),
        ("age", age_in_words(spec)),
        ("watch", _watch_in_words(spec)),
        ("start", "" if spec.autostart else "only when it is told to"),
    ]
    return [(name, text) for name, text in fields if text]


def _watch_in_words(spec: AppSpec) -> str:
    if spec.watch is None:
        return ""
    told = f"restarted when {' or '.join(spec.watch.paths)} changes"
    return f"{told}, but not {', '.join(spec.watch.ignore)}" if spec.watch.ignore else told


def schedule_in_words(spec: AppSpec) -> str:
    """When a job runs, or when an app is restarted."""
    schedule = spec.schedule
    if schedule is None:
        return f"restarted at {spec.cron_restart}" if spec.cron_restart else ""
    parts = [
        f"runs every {format_duration(schedule.every)}" if schedule.every else f"runs at {schedule.cron}",
        schedule.timezone or "",
        f"put off by up to {format_duration(schedule.jitter)}" if schedule.jitter else "",
        f"overlap: {schedule.overlap}",
        f"{format_duration(schedule.timeout)} at most" if schedule.timeout else "",
        "what was missed is made up for" if schedule.catch_up else "",
    ]
    return ", ".join(part for part in parts if part)


def _metrics(detail: dict[str, Any]) -> list[tuple[str, str]]:
    metrics: dict[str, dict[str, Any]] = detail.get("metrics", {})
    return [(plain(name), f"{metric['value']:g}") for name, metric in sorted(metrics.items())]


def _tasks(detail: dict[str, Any]) -> list[tuple[str, str]]:
    counted = ("running", "done", "failed")
    return [
        (plain(task["name"]), ", ".join(f"{task[key]} {key}" for key in counted if task[key]))
        for task in detail.get("tasks", [])
    ]


def _run(run: dict[str, Any]) -> str:
    lasted = format_duration(run["uptime_seconds"])
    report = f" (report: {plain(run['report'])})" if run.get("report") else ""
    rule = f"; {plain(run['rule'])}" if run.get("rule") else ""
    # One that never began has no id; the others are what `pypm logs --run` takes.
    name = f"  {run['run_id']}" if run["run_id"] else ""
    what = f"ended after {lasted} [{run['cause']}]: {plain(run['reason'])}{rule}{report}"
    return f"{moment(run['at'])}{name}  {what}"


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else format_duration(seconds)


def _fields(pairs: list[tuple[str, str]]) -> Lines:
    width = max((len(name) for name, _ in pairs), default=0)
    return [f"{name:<{width}}  {plain(text)}" for name, text in pairs]


def _section(title: str, lines: Lines, width: int | None) -> str:
    return "\n".join([title, *(wrapped("  " + line, width) for line in lines)])


def wrapped(line: str, width: int | None) -> str:
    """The line, and what it has no room for below its second column, which two blanks set off."""
    if width is None or len(line) <= width:
        return line
    first = len(line) - len(line.lstrip())
    gap = line.find("  ", first)
    column = first + 2 if gap < 0 else gap + len(line[gap:]) - len(line[gap:].lstrip())
    indent = " " * (column if column < width // 2 else first + 2)
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
