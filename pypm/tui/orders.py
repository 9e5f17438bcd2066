"""Orders that the screen gives: what is asked before, what the master is told, what came of it. No screen."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pypm.core.errors import UsageError
from pypm.tui.rows import Row
from pypm.tui.text import one_line

__all__ = [
    "Order",
    "delete",
    "flush",
    "outcome",
    "present_of",
    "scaled",
    "signalled",
    "simple",
    "unmistakable",
]

NAMED = 3
"""Names in a question; of more there is the number."""
HARMLESS = frozenset({"SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT", "SIGURG", "SIGCHLD"})
"""Signals that nobody sends to end something."""

_ASKED = {
    "stop": "Stop {names}?",
    "restart": "Restart {names}?",
    "reload": "Reload {names}?",
    "delete": "Delete {names}? Its app is forgotten, its logs stay.",
    "flush": "Empty the logs of {names}? What is in them is lost.",
}
_DONE = {
    "started": "started",
    "stopped": "stopping",
    "restarted": "restarted",
    "reloaded": "reloaded",
    "failed": "failed",
    "signalled": "signalled",
    "added": "added",
    "deleted": "deleted",
    "scaled": "scaled",
    "unchanged": "unchanged",
}


@dataclass(frozen=True)
class Order:
    """A method of the protocol with its parameters."""

    method: str
    params: dict[str, Any] = field(default_factory=dict)
    question: str = ""
    """What a person has to say yes to first; empty: nothing."""


def simple(method: str, rows: Sequence[Row]) -> Order:
    """``start``, ``stop``, ``restart``, ``reload`` of some instances: asked about where it hurts."""
    asked = method == "stop" or (method in ("restart", "reload") and len(rows) > 1)
    question = _ASKED[method].format(names=names(rows)) if asked else ""
    return Order(method, {"targets": targets(rows)}, question)


def delete(rows: Sequence[Row]) -> Order:
    """``delete`` of some instances."""
    return Order("delete", {"targets": targets(rows)}, _ASKED["delete"].format(names=names(rows)))


def flush(rows: Sequence[Row]) -> Order:
    """``flush`` of the logs of some instances."""
    return Order("flush", {"targets": targets(rows)}, _ASKED["flush"].format(names=names(rows)))


def signalled(word: str, rows: Sequence[Row]) -> Order:
    """``signal`` with what a person has typed: ``HUP``, ``sighup`` or ``1``.

    Raises UsageError where there is no such signal.
    """
    known = {each.name: each for each in signal.Signals}
    wanted = word.strip().upper()
    name = wanted if wanted.startswith("SIG") else f"SIG{wanted}"
    found = known.get(name) or next((each for each in known.values() if wanted == str(each.value)), None)
    if found is None:
        raise UsageError(f"there is no signal {one_line(word)!r}", hint="such as HUP, USR1, TERM or 15")
    hurts = found.name not in HARMLESS or len(rows) > 1
    question = f"Send {found.name} to {names(rows)}?" if hurts else ""
    return Order("signal", {"targets": targets(rows), "signal": found.value}, question)


def scaled(word: str, row: Row, rows: Sequence[Row]) -> Order:
    """``scale`` of the app of a row with what a person has typed: ``4``, ``+2`` or ``-1``.

    ``rows`` are all there are. Raises UsageError for what is no number of instances.
    """
    app, text = str(row["app"]), word.strip()
    present = present_of(app, rows)
    if not re.fullmatch(r"[+-]?[0-9]{1,6}", text):
        raise UsageError(f"{one_line(word)!r} is not a number of instances", hint="such as 4, +2 or -1")
    wanted = present + int(text) if text[0] in "+-" else int(text)
    if wanted < 1:
        raise UsageError(f"{one_line(app)} has {present}, and one has to stay", hint="`D` deletes an app")
    fewer = f"Stop and delete {present - wanted} of the {present} instances of {one_line(app)}?"
    return Order("scale", {"app": app, "instances": wanted}, fewer if wanted < present else "")


def present_of(app: str, rows: Iterable[Row]) -> int:
    """How many instances an app has; a reload has two rows for one."""
    return len({each["instance"] for each in rows if each["app"] == app})


def targets(rows: Sequence[Row]) -> list[str]:
    """Instances as the protocol takes them: by their ids, which no pattern can be mistaken for."""
    return [str(row["id"]) for row in rows]


def unmistakable(order: Order, rows: Iterable[Row]) -> Order:
    """The order with ids that are no app's name, where one of ``rows``, which are all there are, has such."""
    named = {row["app"] for row in rows}.intersection(order.params.get("targets", ()))
    if not named:
        return order
    ids = [f":{each}" if each in named else each for each in order.params["targets"]]
    return replace(order, params={**order.params, "targets": ids})


def names(rows: Sequence[Row]) -> str:
    """Instances in words."""
    if len(rows) > NAMED:
        return f"{len(rows)} instances"
    words = [one_line(str(row["name"])) for row in rows]
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def outcome(order: Order, answer: Any) -> str:
    """What the master has answered, in words."""
    if order.method == "flush":
        return f"{len(answer['files'])} log files were emptied"
    if order.method == "kill":
        return "all agents are stopped, and the master ends"
    entries = answer["instances"]
    counted = Counter(entry["action"] for entry in entries)
    parts = []
    for action, count in counted.items():
        word = _DONE.get(action, action)
        those = [one_line(entry["name"]) for entry in entries if entry["action"] == action]
        parts.append(f"{word}: {those[0]}" if count == 1 else f"{word}: {count} instances")
    failures = [f"{each['name']}: {each['reason']}" for each in answer.get("failures", ())]
    said = [*parts, *map(one_line, [*failures, *answer["warnings"]])]
    return "; ".join(said) or "there was nothing to do"
