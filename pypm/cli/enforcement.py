"""The table of ``pypm doctor`` about limits: what is enforced how."""

from __future__ import annotations

from typing import Any

from pypm.cli.output import plain

__all__ = ["limit_lines"]


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
