"""What the panes of details, events, metrics and runs say: lines of text with their styles. No screen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pypm.config.units import format_duration, format_size
from pypm.tui.plots import Values, plot, sparkline
from pypm.tui.rows import Samples
from pypm.tui.text import one_line

__all__ = ["MetricSamples", "Shown", "event_lines", "fact_lines", "metric_lines", "run_lines"]

Shown = list[tuple[str, str]]
"""Texts and the names of their styles."""

Detail = dict[str, Any]
MEGABYTE = 1024.0 * 1024.0
HIGHEST = 12
"""Lines of a plot, where there is room."""
KEPT = 240


class MetricSamples:
    """What an instance has told of its own metrics while one looked at it."""

    def __init__(self) -> None:
        self._values: dict[str, list[float | None]] = {}
        self._number: int | None = None

    def take(self, detail: Detail) -> dict[str, list[float | None]]:
        """Add the latest values; another instance begins anew."""
        if detail["id"] != self._number:
            self._values, self._number = {}, detail["id"]
        for name, metric in sorted((detail.get("metrics") or {}).items()):
            values = self._values.setdefault(name, [])
            values.append(metric["value"])
            del values[:-KEPT]
        return self._values


def fact_lines(text: str) -> Shown:
    """A text of the command line; a line that begins at the margin is a title."""
    return [(line, "head" if line[:1].strip() else "plain") for line in map(one_line, text.split("\n"))]


def event_lines(events: Sequence[Detail], say: Callable[[Detail], str]) -> Shown:
    """Events, newest first."""
    if not events:
        return [("no events of this instance are known", "note")]
    return [(one_line(say(event)), _event_style(str(event["event"]))) for event in events]


def _event_style(event: str) -> str:
    if event in ("run.ended", "instance.errored") or event.endswith(("failed", "unhealthy", "stalled")):
        return "error"
    return "head" if event.startswith("operator.") else "plain"


def metric_lines(
    samples: Samples, detail: Detail, own: dict[str, list[float | None]], width: int, height: int
) -> Shown:
    """Plots of CPU and memory over time, and the metrics that the agent tells of itself."""
    cpu, memory, seconds = _past(samples, detail)
    room = max(min((height - 7 - len(own)) // 2, HIGHEST), 3)
    since = f"the last {format_duration(float(seconds))}" if seconds else "from now on"
    percent, size = _percent, format_size
    lines: Shown = [*_tree(detail), (f"cpu, {since}: {_latest(cpu, percent)}", "head")]
    lines += [(line, "plot") for line in plot(cpu, width, room, label=percent, least=1.0)]
    lines += [("", "plain"), (f"memory, {since}: {_latest(memory, size)}", "head")]
    lines += [(line, "plot") for line in plot(memory, width, room, label=size, least=MEGABYTE)]
    if own:
        lines += [("", "plain"), ("what it tells of itself", "head")]
        longest = max(map(len, own))
        lines += [(_own_line(name, values, longest, width), "plain") for name, values in own.items()]
    return lines


def _own_line(name: str, values: list[float | None], longest: int, width: int) -> str:
    latest = values[-1]
    line = sparkline(values, min(len(values), max(width - longest - 16, 0)), from_zero=False)
    return f"{one_line(name):<{longest}}  {'-' if latest is None else f'{latest:g}':>10}  {line}"


def _past(samples: Samples, detail: Detail) -> tuple[Values, Values, float]:
    """CPU, memory, and of how many seconds: what the master has kept, else what the screen has seen."""
    kept = detail.get("usage") or {}
    seconds = kept.get("interval", 0.0) * len(kept.get("memory", ()))
    if seconds > len(samples.cpu):  # one a second
        return kept["cpu"], kept["memory"], seconds
    return list(samples.cpu), list(samples.memory), float(len(samples.cpu))


def _tree(detail: Detail) -> Shown:
    """What the tree has now, and what is foreseen of its memory."""
    usage = detail.get("usage") or {}
    parts = (("process", "processes"), ("thread", "threads"), ("descriptor", "descriptors"))
    counted = [f"{usage[key]} {one if usage[key] == 1 else key}" for one, key in parts if usage.get(key)]
    if (left := usage.get("reaches_limit_in_seconds")) is not None:
        counted.append(f"its memory is at its limit in {format_duration(left)}")
    return [(", ".join(counted), "note"), ("", "plain")] if counted else []


def _percent(value: float) -> str:
    return f"{value:.1f}%" if 0 < value < 9.95 else f"{value:.0f}%"


def _latest(values: Values, say: Callable[[float], str]) -> str:
    known = [value for value in values if value is not None]
    if not known or values[-1] is None:
        return "it does not run" if not known else f"peak {say(max(known))}; it does not run"
    return f"{say(known[-1])}, peak {say(max(known))}"


def run_lines(detail: Detail) -> Shown:
    """The present run and those that have ended, newest first."""
    return list(_runs(detail)) or [("it has never run", "note")]


def _runs(detail: Detail) -> Iterator[tuple[str, str]]:
    restarts = detail["restarts"]
    yield f"restarted {'once' if restarts == 1 else f'{restarts} times'} since it was added or reset", "note"
    if detail.get("pid") is not None:
        up = format_duration(detail.get("uptime_seconds") or 0.0)
        yield f"now, for {up}: pid {detail['pid']}, run {detail.get('run_id') or '-'}", "head"
    for run in detail.get("runs") or ():
        lasted = format_duration(run["uptime_seconds"])
        report = f" (report: {run['report']})" if run.get("report") else ""
        rule = f"; {run['rule']}" if run.get("rule") else ""
        text = f"{moment(run['at'])}  {run['cause']:<10} after {lasted:<8} {run['reason']}{rule}{report}"
        failed = run["cause"] not in ("operator", "config", "schedule", "watch") and run.get("code") != 0
        yield one_line(text), "error" if failed else "plain"


def moment(at: float | None) -> str:
    """The local date and time of a Unix time."""
    return "-" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
