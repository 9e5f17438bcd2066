"""What is about to change, for people and as JSON: a line an app, and below it each key, old -> new."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import msgspec

from pypm.cli.output import plain
from pypm.cli.secrets import masked
from pypm.config.units import format_duration, format_size
from pypm.core.differences import Difference
from pypm.core.plan import AppPlan, Plan

__all__ = ["plan_json", "plan_lines"]

SIGNS = {"add": "+", "remove": "-", "rename": ">", "restart": "~", "change": "~", "scale": "~", "start": "^"}
COLOURS = {"+": "32", "-": "31", ">": "33", "~": "33", "^": "32"}
"""Of the signs, as a terminal takes them."""
SUMMARY = {
    "add": "to add",
    "rename": "to rename",
    "restart": "to restart",
    "change": "to change live",
    "scale": "to scale",
    "start": "to start",
    "remove": "to remove",
}
LONGEST = 70
"""Signs of a value that are shown."""


def plan_lines(plan: Plan, *, only_known: bool = False) -> list[str]:
    """The plan in words; with ``only_known`` what is new or only started is left out, as is what stays."""
    wanted = ("remove", "rename", "restart", "change", "scale") if only_known else tuple(SIGNS)
    apps = [app for app in plan.apps if app.action in wanted]
    column = max((len(plain(app.app)) for app in apps), default=0)
    # What start tells goes to stderr, beside its result.
    is_coloured = _takes_colours(sys.stderr if only_known else sys.stdout)
    lines = [line for app in apps for line in _app_lines(app, column, is_coloured)]
    if only_known:
        return lines
    counts = {step: sum(app.action == step for app in apps) for step in SUMMARY}
    parts = [f"{count} {SUMMARY[step]}" for step, count in counts.items() if count]
    kept = len(plan.apps) - len(apps)
    parts += [f"{kept} unchanged"] if kept else []
    return [*lines, f"plan: {', '.join(parts) or 'nothing is declared'}"]


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON: values as in the socket protocol, secrets masked."""
    return {"apps": [_app_json(app) for app in plan.apps], "left": list(plan.left)}


def _app_json(app: AppPlan) -> dict[str, Any]:
    changes = []
    for each in app.differences:
        old, new = (_safe(each.path, msgspec.to_builtins(value)) for value in (each.old, each.new))
        changes.append({"key": each.key, "old": old, "new": new, "restart": each.restart})
    return {
        "app": app.app,
        "action": app.action,
        "instances": {"old": app.before, "new": app.after},
        "changes": changes,
        "renamed_from": app.renamed_from or None,
    }


def _app_lines(app: AppPlan, column: int, is_coloured: bool) -> Iterator[str]:
    sign = SIGNS[app.action]
    shown = f"\033[{COLOURS[sign]}m{sign}\033[0m" if is_coloured else sign
    yield f"  {shown} {plain(app.app):<{column}}  {_what(app)}"
    width = max((len(plain(each.key)) for each in app.differences), default=0)
    for each in app.differences:
        old, new = (_shown(each, value) for value in (each.old, each.new))
        how = "  (restart)" if each.restart and app.action == "restart" else ""
        yield f"      {plain(each.key):<{width}}  {old} -> {new}{how}"


def _what(app: AppPlan) -> str:
    count = f"{app.after} instance{'s' if app.after != 1 else ''}"
    scaled = f", {app.before} -> {count}" if app.before != app.after else ""
    match app.action:
        case "add":
            return f"add, {count}"
        case "remove":
            return "remove: stop it and forget it; its logs stay"
        case "rename":
            return f"rename of {plain(app.renamed_from)}: that is stopped, then this one started{scaled}"
        case "restart":
            return f"restart{scaled}"
        case "change":
            rest = any(each.restart for each in app.differences)
            return f"change, {'from its next run on' if rest else 'as it runs'}{scaled}"
        case "scale":
            return f"scale{scaled.replace(', ', ' ')}"
        case _:
            return app.action


def _takes_colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _safe(path: str, value: Any) -> Any:
    """The value without what is not for every eye: likely secrets, and passwords within addresses."""
    if isinstance(value, Mapping):
        return {key: _safe(f"{path}.{key}", each) for key, each in value.items()}
    if isinstance(value, list):
        return [_safe(path, each) for each in value]
    if not isinstance(value, str):
        return value
    name = path.removeprefix("env.") if path.startswith("env.") else ""
    if ".headers." in path:
        name = path.rpartition(".headers.")[2]
    return masked({name: value})[name]


def _shown(difference: Difference, value: Any) -> str:
    """A value in the words of the file; ``-`` for none."""
    if value is None or value in ((), {}, ""):
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and difference.unit == "":
        return format_duration(value)
    if isinstance(value, int | float):
        return _size(value) if difference.unit == "bytes" else f"{value:g}"
    safe = _safe(difference.path, msgspec.to_builtins(value))
    if difference.path == "command":
        safe = shlex.join(safe)
    text = plain(safe if isinstance(safe, str) else msgspec.json.encode(safe).decode())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _size(value: float) -> str:
    return "unlimited" if value < 0 else format_size(value)
