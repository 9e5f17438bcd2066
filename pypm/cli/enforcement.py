"""The table of ``pypm doctor`` about limits: what is enforced how, and what is refused for want of that."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from pypm.cli.output import plain
from pypm.cli.session import existing_master
from pypm.core.errors import PypmError
from pypm.core.spec import AppSpec

__all__ = ["limit_lines", "limits_from_here", "refusals"]

PATIENCE = 20.0
"""Seconds that the look at the machine may take."""


def limits_from_here(home: str) -> list[dict[str, Any]]:
    """The table for a master that would be started from here; empty where that cannot be found out."""
    import subprocess

    command = [sys.executable, "-P", "-m", "pypm.master.enforcement", home]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    limits: list[dict[str, Any]] = json.loads(done.stdout)
    return limits


def refusals(specs: Iterable[AppSpec], home: str) -> list[dict[str, str]]:
    """What of these apps this machine would refuse at their start: ``app``, ``key`` and ``text`` of each."""
    needs = [(spec.name, key, what) for spec in specs for key, what in _needs(spec)]
    if not needs:
        return []
    table = {each["what"]: each for each in _limits(home)}
    return [
        {"app": name, "key": key, "text": _in_words(table[what])}
        for name, key, what in needs
        if what in table and table[what]["by"] == "nobody"
    ]


def _needs(spec: AppSpec) -> list[tuple[str, str]]:
    """The keys of an app that not every machine can carry out, each with the row of the table about it."""
    found = []
    own, shared = spec.limits, spec.namespace_limits
    if own.cpu_max is not None and own.enforce == "required":
        found.append(("limits.cpu_max", "cpu_max"))
    if shared is not None and shared.cpu_max is not None and shared.enforce == "required":
        found.append((f"namespaces.{spec.namespace}.limits.cpu_max", "cpu_max"))
    if spec.sandbox is not None:
        found.append(("sandbox", "sandbox"))
    return found


def _limits(home: str) -> list[dict[str, Any]]:
    """The table of the master, if one runs: it is its place on the machine that decides."""
    try:
        with existing_master() as connection:
            limits: list[dict[str, Any]] = connection.call("doctor").get("limits", [])
            return limits
    except PypmError:
        return limits_from_here(home)


def _in_words(limit: dict[str, Any]) -> str:
    return "; ".join(part for part in (f"here it would be {limit['text']}", limit["remedy"]) if part)


def limit_lines(limits: list[dict[str, Any]]) -> list[str]:
    """A heading, and a line for each of the protocol's *limits*, with what gives more below it."""
    if not limits:
        return []
    width = max(len(each["what"]) for each in limits)
    by = max(len(each["by"]) for each in limits)
    lines = [f"{'limit':{width}}  {'by':{by}}  how"]
    remedies: dict[str, list[str]] = {}
    for each in limits:
        lines.append(f"{each['what']:{width}}  {each['by']:{by}}  {plain(each['text'])}")
        if each["remedy"]:
            remedies.setdefault(each["remedy"], []).append(each["what"])
    return lines + [f"→ {', '.join(what)}: {plain(remedy)}" for remedy, what in remedies.items()]
