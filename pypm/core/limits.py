"""What an app may use, and what follows when a run of it comes near to that or goes beyond. Pure.

Memory has levels: at ``memory_warn`` people are told, at ``memory_high`` the agent is asked to give some
back, beyond ``max_memory`` the run is ended and followed by another one; one that uses more and more while it
ends is killed. A level is left when memory is clearly below it, so that what swings around it is told once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Action, AskToShed, Signal, Tell
from pypm.core.instance import After, Instance, MemoryLevel, Run, Status
from pypm.core.policy import describe_duration
from pypm.core.spec import AppSpec
from pypm.core.stopping import KILL_AGAIN, begin_stop

__all__ = [
    "Trend",
    "cpu_used",
    "is_news",
    "least_level",
    "level_of",
    "memory_over",
    "memory_over_while_stopping",
    "memory_used",
    "next_look",
    "occupied",
    "recycle_due",
    "recycled",
    "trend",
]

Result = tuple[Instance, list[Action]]

WARN_SHARE, HIGH_SHARE = 0.8, 0.9
"""Of the limit on memory: where the levels are that an app names no figures for."""
LEFT = 0.95
"""The part of a level's figure below which it is left."""
RUNS_ON = 1.2
"""The part of its limit beyond which a run that is being stopped is killed, if it has grown meanwhile."""
GROWN = 1.05
"""By so much it has to have grown since it was told to end."""

SHORTEST_LOOK = 0.04
"""Seconds between two looks at a run that is about to pass its limit."""
ASSUMED_GROWTH = 256 * 2**20
"""Bytes a second with which anything may begin to grow at any time."""
SHORTEST_SURPRISE = 0.2
"""Seconds between two looks at a run that does not grow, at least."""
SLACK = 0.25
"""The part of the limit by which such a one may be beyond it when it is seen."""

TREND_POINTS = 6
TREND_TIME = 50.0
"""Figures, and seconds that they have to span, before they make a trend."""
TREND_FIT = 0.7
"""How much of the figures' variance a line has to explain."""
FARTHEST = 24 * 3600.0
"""Seconds from now beyond which nothing is foretold."""

LEVELS: tuple[MemoryLevel, ...] = ("", "warn", "high")


# --- memory ---


def _figures(spec: AppSpec) -> tuple[int, int]:
    """Bytes at which the levels ``warn`` and ``high`` begin; 0: the app has no such level."""
    limit, limits = spec.max_memory, spec.limits
    warn = int((limit or 0) * WARN_SHARE) if limits.memory_warn is None else limits.memory_warn
    high = int((limit or 0) * HIGH_SHARE) if limits.memory_high is None else limits.memory_high
    return warn, high


def least_level(spec: AppSpec) -> int | None:
    """The fewest bytes at which anything follows from what a run uses; None: nothing ever does."""
    return min((figure for figure in (*_figures(spec), spec.max_memory) if figure), default=None)


def level_of(spec: AppSpec, memory: int, before: MemoryLevel = "") -> MemoryLevel:
    """The level of memory of a run that was at the level ``before``."""
    found: MemoryLevel = ""
    for level, figure in zip(LEVELS[1:], _figures(spec), strict=True):
        was_there = LEVELS.index(before) >= LEVELS.index(level)
        if figure and memory >= figure * (LEFT if was_there else 1.0):
            found = level
    return found


def is_news(instance: Instance, memory: int) -> bool:
    """Whether something follows from this much memory of its run, the limit apart."""
    run = instance.run
    return run is not None and level_of(instance.spec, memory, run.memory_level) != run.memory_level


def memory_used(instance: Instance, event: ev.Event, now: float) -> Result:
    """The run's memory is at another level: tell people of it, and ask the agent where that helps."""
    assert isinstance(event, ev.MemoryUsed)
    run = instance.run
    assert run is not None
    level, before = level_of(instance.spec, event.memory_bytes, run.memory_level), run.memory_level
    if level == before:
        return instance, []
    changed = replace(instance, run=replace(run, memory_level=level))
    rises = LEVELS.index(level) > LEVELS.index(before)
    said = f"memory {_of_limit(event.memory_bytes, instance.spec)}"
    if not rises:
        return changed, [] if level else [Tell("memory.normal", said)]
    told = _warned(instance.spec, event.memory_bytes, before)
    if level == "high":
        told += [Tell("memory.high", said), *_shed(instance.spec, event.memory_bytes)]
    return changed, told


def _warned(spec: AppSpec, memory: int, before: MemoryLevel) -> list[Action]:
    """Tell that there is little left, if it was not told: growth may have passed several levels at once."""
    warn, _ = _figures(spec)
    is_news = not before and 0 < warn <= memory
    return [Tell("memory.warn", f"memory {_of_limit(memory, spec)}")] if is_news else []


def _shed(spec: AppSpec, memory: int) -> list[Action]:
    """Ask the agent to give memory back: by the agent channel, and by a signal where it knows one."""
    asked: list[Action] = [AskToShed(memory, spec.max_memory or 0)]
    signal = spec.limits.memory_high_signal
    return [*asked, Signal(signal, group=False)] if signal else asked


def memory_over(instance: Instance, event: ev.Event, now: float) -> Result:
    """The run uses more than it may: it is stopped gracefully, and another one follows."""
    assert isinstance(event, ev.MemoryOver)
    run, limit = instance.run, instance.spec.max_memory
    assert run is not None
    if limit is None or event.memory_bytes <= limit:
        return instance, []
    reason = f"memory {_size(event.memory_bytes, limit)} > {_size(limit, limit)}"
    told = replace(instance, run=replace(run, memory_told=event.memory_bytes))
    stopped, actions = begin_stop(told, now, reason, After.DECIDE, "memory")
    return stopped, [*_warned(instance.spec, event.memory_bytes, run.memory_level), *actions]


def memory_over_while_stopping(instance: Instance, event: ev.Event, now: float) -> Result:
    """It is over its limit while it ends: it has its time for that, unless it uses more and more."""
    assert isinstance(event, ev.MemoryOver)
    run, limit = instance.run, instance.spec.max_memory
    assert run is not None
    if limit is None or event.memory_bytes <= limit or instance.killed:
        return instance, []
    if not run.memory_told:
        return replace(instance, run=replace(run, memory_told=event.memory_bytes)), []
    if event.memory_bytes <= max(limit * RUNS_ON, run.memory_told * GROWN):
        return instance, []
    why = f"memory {_size(event.memory_bytes, limit)} while it was being stopped"
    killed = replace(instance, killed=True, asked=False, preparing=False, waits_for="", killed_for=why)
    group = instance.spec.treekill or run.leaving is not None
    return replace(killed, deadline=now + KILL_AGAIN), [Signal("SIGKILL", group)]


def _of_limit(size: int, spec: AppSpec) -> str:
    limit = spec.max_memory
    if not limit:
        return _size(size, 2**20)
    return f"{_size(size, limit)} of {_size(limit, limit)} ({round(100 * size / limit)} %)"


def _size(size: int, limit: int) -> str:
    """``312M``, or finer where the limit is no whole number of mebibytes."""
    for step_size, unit in ((2**20, "M"), (2**10, "K")):
        if limit % step_size == 0 and size >= step_size:
            return f"{-(-size // step_size)}{unit}"
    return f"{size}B"


# --- when to look, and what will be ---


def next_look(memory: int, limit: int, growth: float, usual: float) -> float:
    """Seconds until a tree of that much memory is looked at again.

    ``growth`` is in bytes a second, ``usual`` the longest time between two looks. One that grows is looked at
    twice before it is at its limit; any other as soon as it could be clearly beyond it.
    """
    room = max(0, limit - memory)
    surprise = max(SHORTEST_SURPRISE, (room + SLACK * limit) / ASSUMED_GROWTH)
    foreseen = room / growth / 2 if growth > 0 else usual
    return max(SHORTEST_LOOK, min(usual, surprise, foreseen))


class Trend(NamedTuple):
    """How memory goes on: bytes a second, and seconds until the limit is reached, if that is foreseeable."""

    slope: float
    reaches_limit_in: float | None


def trend(points: Sequence[tuple[float, int]], limit: int | None) -> Trend | None:
    """The line through figures of memory (seconds, bytes), oldest first; None where they make none."""
    if len(points) < TREND_POINTS or points[-1][0] - points[0][0] < TREND_TIME:
        return None
    count = len(points)
    mean_time = sum(time for time, _ in points) / count
    mean_size = sum(size for _, size in points) / count
    spread = sum((time - mean_time) ** 2 for time, _ in points)
    variance = sum((size - mean_size) ** 2 for _, size in points)
    slope = sum((time - mean_time) * (size - mean_size) for time, size in points) / spread
    if not variance or slope * slope * spread / variance < TREND_FIT:
        return None
    left = None
    if limit is not None and slope > 0:
        left = max(0.0, (limit - points[-1][1]) / slope)
    return Trend(slope, left if left is not None and left <= FARTHEST else None)


# --- processor ---


def cpu_used(instance: Instance, event: ev.Event, now: float) -> Result:
    """How much of a core the run has used since the last look: too much for too long has consequences."""
    assert isinstance(event, ev.CpuUsed)
    run, limit = instance.run, instance.spec.limits.cpu
    assert run is not None
    if limit is None:
        return instance, []
    if event.percent <= limit.percent:
        calm = replace(instance, run=replace(run, busy_since=None, busy_told=False))
        told = [Tell("cpu.normal", f"{event.percent:.0f} % of a core")] if run.busy_told else []
        return calm if run.busy_since is not None else instance, [*told]
    since = now - event.seconds if run.busy_since is None else run.busy_since
    busy = instance if run.busy_since == since else replace(instance, run=replace(run, busy_since=since))
    if now - since < limit.seconds or run.busy_told:
        return busy, []
    why = f"cpu above {limit.percent:g} % for {describe_duration(limit.seconds)}"
    if limit.action == "restart":
        stopped, actions = begin_stop(busy, now, why, After.DECIDE, "cpu")
        return stopped, [Tell("cpu.high", why), *actions]
    assert busy.run is not None
    return replace(busy, run=replace(busy.run, busy_told=True)), [Tell("cpu.high", why)]


# --- the age of a run ---


def occupied(instance: Instance, event: ev.Event, now: float) -> Result:
    """The agent has a task under way, or has none any more."""
    assert isinstance(event, ev.Occupied)
    run = instance.run
    assert run is not None
    # Elsewhere nothing follows from it, and it is not worth being saved.
    if instance.spec.limits.max_runtime is None or run.occupied == event.tasks:
        return instance, []
    changed = replace(instance, run=replace(run, occupied=event.tasks))
    is_up = instance.status is Status.ONLINE
    return (recycled(changed, now) if is_up else None) or (changed, [])


def _oldest(instance: Instance, run: Run) -> float | None:
    """When the run is to be followed by a new one, without what the machine has slept of it."""
    limits = instance.spec.limits
    if limits.max_runtime is None:
        return None
    extra = limits.runtime_jitter * crc32(run.run_id.encode()) / 2**32
    return run.started + limits.max_runtime + extra + run.vitals.paused


def _is_idle(run: Run) -> bool:
    return not run.occupied and run.vitals.waiting_since is None


def recycle_due(instance: Instance) -> float | None:
    """When something is due about the age of the run: its time is over, or the grace for its work is."""
    run = instance.run
    over = None if run is None else _oldest(instance, run)
    if run is None or over is None:
        return None
    return over if _is_idle(run) else over + instance.spec.limits.recycle_grace


def recycled(instance: Instance, now: float) -> Result | None:
    """End a run that has lasted long enough, as soon as it has nothing under way; None: not now."""
    due = recycle_due(instance)
    if due is None or due > now:
        return None
    limits = instance.spec.limits
    reason = f"max_runtime of {describe_duration(limits.max_runtime or 0.0)}"
    if instance.run is not None and not _is_idle(instance.run):
        reason += f", and busy for {describe_duration(limits.recycle_grace)} beyond it"
    after = After.DECIDE if instance.spec.schedule is not None else After.RESTART
    return begin_stop(instance, now, reason, after, "max-runtime")
