"""What the table of instances shows: rows of the protocol, filtered, sorted, grouped. No screen, no clock."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pypm.config.units import format_duration
from pypm.tui.text import one_line

__all__ = ["SORTS", "Board", "Heading", "Line", "Samples", "View", "note_of", "severity", "summary"]

Row = dict[str, Any]

KEPT = 240
"""Values of CPU and memory of each instance: four minutes, at one a second."""

SORTS = ("id", "name", "status", "health", "cpu", "memory", "progress", "restarts", "uptime")
"""What the table can be sorted by."""

LARGEST_FIRST = frozenset(("cpu", "memory", "progress", "restarts"))
"""Sorts of which the largest value comes first, as that is what one looks for."""

_SEVERITY = ("errored", "held", "backoff", "stopping", "starting", "online", "exited", "stopped")
_ILL = ("stalled", "unhealthy")
_HEALTHS = (*_ILL, "unknown", "healthy")


@dataclass
class Samples:
    """The last values of one instance, the newest last; None: it did not run."""

    cpu: deque[float | None] = field(default_factory=lambda: deque(maxlen=KEPT))
    memory: deque[float | None] = field(default_factory=lambda: deque(maxlen=KEPT))


class Heading(NamedTuple):
    """A line above the instances of a namespace."""

    namespace: str
    text: str


Line = Heading | int
"""A line of the table: a heading, or the id of an instance."""


@dataclass(frozen=True)
class View:
    """What of the instances is shown, and in which order."""

    wanted: str = ""
    sort: str = "id"
    reverse: bool = False
    grouped: bool = False


class Board:
    """All instances as the master told of them last, and what they were before."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.samples: dict[int, Samples] = {}

    def take(self, rows: Iterable[Row]) -> None:
        """Replace what is known by what the master says now."""
        self.rows = {row["id"]: row for row in rows}
        self.samples = {number: self.samples.get(number) or Samples() for number in self.rows}
        for number, samples in self.samples.items():
            row = self.rows[number]
            samples.cpu.append(row.get("cpu_percent"))
            samples.memory.append(row.get("memory_bytes"))

    def arrange(self, view: View) -> list[Line]:
        """The lines of the table, from the top."""
        words = view.wanted.lower().split()
        rows = [row for row in self.rows.values() if not words or _matches(row, words)]
        rows = _sorted(rows, view)
        if not view.grouped:
            return [row["id"] for row in rows]
        groups: dict[str, list[Row]] = {}
        for row in rows:
            groups.setdefault(str(row["namespace"]), []).append(row)
        lines: list[Line] = []
        for namespace in sorted(groups):
            lines.append(Heading(namespace, f"{one_line(namespace)}: {counts(groups[namespace])}"))
            lines += [row["id"] for row in groups[namespace]]
        return lines


def _matches(row: Row, words: Sequence[str]) -> bool:
    """Whether each word is in what the row says; a word with ``-`` before it is in nothing."""
    text = _searched(row)
    return all(word[1:] not in text if word[:1] == "-" and word[1:] else word in text for word in words)


def _searched(row: Row) -> str:
    ready = "ready" if row.get("ready") else "waiting"
    parts = (row["name"], row["namespace"], row["status"], row.get("health"), ready, note_of(row))
    return "\n".join(map(str, parts)).lower()


def _sorted(rows: list[Row], view: View) -> list[Row]:
    """Rows in their order; those of which it is not known come last, and equal ones by their ids."""
    rows.sort(key=lambda row: int(row["id"]))
    keyed = [(_key(row, view.sort), row) for row in rows]
    known = [pair for pair in keyed if pair[0] is not None]
    known.sort(key=lambda pair: pair[0], reverse=view.reverse != (view.sort in LARGEST_FIRST))
    return [row for _, row in known] + [row for key, row in keyed if key is None]


def _key(row: Row, sort: str) -> Any:
    """What a row is sorted by; None: it is not known."""
    if sort == "name":
        # `worker:10` comes after `worker:9`.
        return (str(row["app"]).lower(), row["instance"])
    if sort == "status":
        return severity(row)
    if sort == "health":
        return _HEALTHS.index(row["health"]) if row.get("health") in _HEALTHS else len(_HEALTHS)
    return row.get(_FIELDS[sort])


_FIELDS = {
    "id": "id",
    "cpu": "cpu_percent",
    "memory": "memory_bytes",
    "progress": "progress_age_seconds",
    "restarts": "restarts",
    "uptime": "uptime_seconds",
}


def severity(row: Row) -> int:
    """How much an instance wants to be looked at: the smaller, the more."""
    if row.get("health") in _ILL:
        return 0
    status = row["status"]
    return 1 + (_SEVERITY.index(status) if status in _SEVERITY else len(_SEVERITY))


def counts(rows: Iterable[Row]) -> str:
    """How many are in which status, what is wrong first: ``1 errored, 1 stalled, 8 online``."""
    numbers: Counter[str] = Counter()
    for row in rows:
        numbers[row["status"]] += 1
        if row.get("health") in _ILL:
            numbers[row["health"]] += 1
    order = ("errored", *_ILL, *_SEVERITY[1:])
    known = [word for word in order if numbers[word]]
    return ", ".join(f"{numbers[word]} {word}" for word in [*known, *sorted(numbers.keys() - set(order))])


def summary(rows: Sequence[Row]) -> tuple[str, float, float]:
    """All instances in words, their CPU together in percent of one core, and their memory in bytes."""
    what = "instance" if len(rows) == 1 else "instances"
    words = f"{len(rows)} {what}: {counts(rows)}" if rows else "no apps yet"
    cpu = sum(row.get("cpu_percent") or 0.0 for row in rows)
    return words, cpu, sum(row.get("memory_bytes") or 0 for row in rows)


def note_of(row: Row) -> str:
    """What is to be known of a row beside its numbers, in one line."""
    awaited = row.get("awaited") or ""
    waiting = row.get("waiting_for") and f"waits for {row['waiting_for']}"
    first = awaited if row["status"] == "stopping" or awaited.startswith("waits for") else ""
    trouble = row.get("trouble") or ""
    told = first or trouble or row.get("reason") or awaited or waiting or row.get("status_text") or ""
    text = one_line("; ".join(str(part) for part in (row.get("log_trouble"), told) if part))
    retry = row.get("retry_in_seconds")
    return text if retry is None else f"{text}, again in {format_duration(retry)}".lstrip(", ")
