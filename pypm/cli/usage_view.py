"""What an instance uses and has used in the last hour, in words and as lines of blocks."""

from __future__ import annotations

from typing import Any

from pypm.config.units import format_duration, format_size
from pypm.core.spec import AppSpec, CpuLimit

__all__ = [
    "age_in_words",
    "cpu_limit_in_words",
    "levels_in_words",
    "memory_in_words",
    "most_in_words",
    "usage_fields",
]

Detail = dict[str, Any]

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 60
"""Blocks of a line: each is the largest of the figures that it stands for."""
LEAST_CPU, LEAST_MEMORY = 10.0, 16 * 2**20
"""What the highest block stands for at least: what does next to nothing has no peaks."""


def usage_fields(detail: Detail) -> list[tuple[str, str]]:
    """Names and texts for ``pypm describe``; none where nothing is known."""
    usage = detail.get("usage") or {}
    fields = [
        ("cpu", _past(usage, "cpu", LEAST_CPU, lambda value: f"{value:.1f}%")),
        ("memory", _past(usage, "memory", LEAST_MEMORY, format_size)),
        ("going on", _trend(usage)),
        ("shared once", _size(usage, "proportional_bytes") if (usage.get("processes") or 0) > 1 else ""),
        ("processes", _processes(usage)),
        ("open files", "" if usage.get("descriptors") is None else str(usage["descriptors"])),
        ("disk", _disk(usage)),
    ]
    return [(name, text) for name, text in fields if text]


def memory_in_words(detail: Detail) -> str:
    """How near an instance is to its limit on memory, where that is worth a word; else empty."""
    limit, used = detail["spec"].get("max_memory"), detail.get("memory_bytes")
    usage = detail.get("usage") or {}
    if not limit or used is None:
        return ""
    left = usage.get("reaches_limit_in_seconds")
    if used < 0.8 * limit and left is None:
        return ""
    return f"{format_size(used)} of {format_size(limit)}" + ("" if left is None else f", {_foretold(left)}")


def cpu_limit_in_words(limit: CpuLimit | None) -> str:
    """What follows when a tree uses too much of the processor."""
    if limit is None:
        return ""
    what = "restarted" if limit.action == "restart" else "told"
    return f"{what} when above {limit.percent:g}% of a core for {format_duration(limit.seconds)}"


def most_in_words(spec: AppSpec) -> list[tuple[str, str]]:
    """The bounds beyond which a tree gets nothing more."""
    limits = spec.limits
    where = ", where the machine can do that" if limits.enforce == "best_effort" else ""
    return [
        ("cpu max", "" if limits.cpu_max is None else f"{limits.cpu_max * 100:g}% of a core{where}"),
        ("tasks", "" if limits.tasks is None else f"at most {limits.tasks} processes and threads"),
    ]


def levels_in_words(spec: AppSpec) -> str:
    """What follows from how much memory a tree uses."""
    limits = spec.limits
    signal = f" ({limits.memory_high_signal})" if limits.memory_high_signal else ""
    words = [
        f"told at {format_size(limits.memory_warn)}" if limits.memory_warn else "",
        f"asked to give back at {format_size(limits.memory_high)}{signal}" if limits.memory_high else "",
        f"restarted above {format_size(spec.max_memory)}" if spec.max_memory else "",
    ]
    return ", ".join(word for word in words if word)


def age_in_words(spec: AppSpec) -> str:
    """How old a run becomes."""
    limits = spec.limits
    if limits.max_runtime is None:
        return ""
    later = f" and up to {format_duration(limits.runtime_jitter)} more" if limits.runtime_jitter else ""
    grace = format_duration(limits.recycle_grace)
    return f"renewed after {format_duration(limits.max_runtime)}{later}, at most {grace} later if it is busy"


def _past(usage: Detail, name: str, least: float, say: Any) -> str:
    values = usage.get(name) or []
    known = [value for value in values if value is not None]
    if not known:
        return ""
    minutes = format_duration(len(values) * usage["interval"])
    return f"{_line(values, least)}  peak {say(max(known))} in the last {minutes}"


def _line(values: list[float | None], least: float) -> str:
    """At most ``WIDTH`` blocks; a blank where nothing of it ran."""
    count = min(WIDTH, len(values))
    parts = [values[n * len(values) // count : (n + 1) * len(values) // count] for n in range(count)]
    peaks = [max((value for value in part if value is not None), default=None) for part in parts]
    top = max([least, *(peak for peak in peaks if peak is not None)])
    return "".join(" " if peak is None else BLOCKS[min(7, int(peak / top * 8))] for peak in peaks)


def _trend(usage: Detail) -> str:
    slope, left = usage.get("memory_slope"), usage.get("reaches_limit_in_seconds")
    if slope is None:
        return ""
    way = "grows" if slope > 0 else "falls"
    told = f"memory {way} by {format_size(abs(slope) * 60)} a minute"
    return told if left is None else f"{told}, and {_foretold(left)}"


def _foretold(seconds: float) -> str:
    return f"reaches its limit in {format_duration(seconds)}"


def _processes(usage: Detail) -> str:
    if usage.get("processes") is None:
        return ""
    threads = usage["threads"]
    return f"{usage['processes']}, with {threads} thread{'' if threads == 1 else 's'}"


def _size(usage: Detail, name: str) -> str:
    return "" if usage.get(name) is None else format_size(usage[name])


def _disk(usage: Detail) -> str:
    read, written = _size(usage, "read_bytes"), _size(usage, "written_bytes")
    return f"{read} read, {written} written" if read and written else ""
