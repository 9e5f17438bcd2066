"""What the runs use: sampled each second where there is a limit, more often near to it, seldom elsewhere.

A look costs some microseconds a process, and quick ones are for those runs only that are near to their limit:
they are never more than a small part of the master's time, however many there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from math import floor
from typing import NamedTuple, Protocol

from pypm.core.events import CpuUsed, MemoryOver, MemoryUsed
from pypm.core.instance import Instance, Run, Status
from pypm.core.limits import Trend, is_news, least_level, next_look, trend
from pypm.master.engine import Engine
from pypm.master.usage_history import INTERVAL, History, UsageHistory
from pypm.system.meter import TreeUsage
from pypm.system.process import is_same
from pypm.system.usage import WholeUsage

__all__ = ["Sample", "Sampler"]

USUAL = 1.0
"""Seconds between two samples of a run that has a limit."""
FRESH = 1.0
"""Seconds for which a sample answers a client."""
AGAIN = 0.1
"""Seconds after which a run that is newer than the last sample is reason enough for another one."""
TOGETHER = 0.005
"""Seconds within which what is due is looked at together."""
SHARE = 20
"""Looks have a twentieth of the time, at most: so many times as long as one took the next one waits."""
URGENT_SHARE = 4
"""The same for a close look at a tree that seems to be beyond its limit: it decides what follows."""
LEAST_SPAN = 0.5
"""Seconds over which a percentage is told, at least: the kernel counts in hundredths of a second."""
TREND_SPAN = 1800.0
"""Seconds that a trend goes back, at most."""


class Meter(Protocol):
    """Measures trees by the pids of their first processes."""

    def follow(self, roots: Collection[int]) -> None:
        """These are all the trees that there are."""

    def measure(self, roots: Collection[int]) -> dict[int, TreeUsage]:
        """Measure some of them; what is gone is not in the answer."""

    def proportional(self, roots: Collection[int]) -> int | None:
        """The memory of these trees together in which shared pages count once, if that can be known."""

    def whole(self, roots: Collection[int]) -> WholeUsage:
        """What these trees use together beyond that."""


class Sample(NamedTuple):
    """Usage of a run's tree: when, CPU seconds so far, percent since the sample before, resident bytes."""

    run_id: str
    at: float
    cpu: float
    percent: float
    memory: int
    processes: int
    threads: int


class Tracked:
    """What is remembered of a run from look to look."""

    def __init__(self, instance: Instance, run: Run) -> None:
        self.sample = Sample(run.run_id, run.started, 0.0, 0.0, 0, 0, 0)
        self.told = self.noted = self.judged = (run.started, 0.0)
        """Time and CPU seconds: when its percentage was last told, noted for the history, and judged."""
        self.peak = 0
        """The most memory since it was last noted."""
        self.memory = 0
        """By which it is decided: that of its pages, each counted once, where that is known."""
        self.growth = 0.0
        """Of that, in bytes a second."""
        self.is_certain = True
        """It is known now, and not estimated from what it was."""
        self.shared = 0
        """By how much the resident memory was more than that when it was last looked at."""
        self.look_closely_at = self.look_urgently_at = 0.0
        self.know(instance, run)

    def know(self, instance: Instance, run: Run) -> None:
        """What is to be known of the instance and its run, at present."""
        self.spec = instance.spec
        self.named = run.named_pid
        self.roots = _roots(run)
        self.is_limited = least_level(self.spec) is not None or self.spec.limits.cpu is not None

    def percent_since(self, before: tuple[float, float], now: float) -> float:
        """Percent of a core from then to now."""
        return 100.0 * max(0.0, self.sample.cpu - before[1]) / max(now - before[0], 0.01)


class Sampler:
    """Measures the trees of runs and tells the engine what follows from it."""

    def __init__(
        self,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        meter: Meter,
        history: UsageHistory,
    ) -> None:
        self._engine = engine
        self._loop = loop
        self._clock = clock
        self._meter = meter
        self._history = history
        self._tracked: dict[int, Tracked] = {}
        self._limited: set[int] = set()
        self._quick: dict[int, float] = {}
        """When each of those that are near to their limit is looked at again."""
        self._close = 0.0
        """Seconds that close looks have taken in this turn."""
        self._is_followed = False
        """The meter knows all trees that there are."""
        self._taken = float("-inf")
        """When all were measured."""
        self._usual_at = self._all_at = 0.0
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0
        engine.listeners.append(self._changed)

    # --- what is known ---

    def of(self, instance: Instance) -> Sample | None:
        """The usage of an instance's run; measured now unless that was done within the last second."""
        known = self._known(instance)
        age = self._clock() - self._taken
        if instance.run is not None and age > (AGAIN if known is None else FRESH):
            self._measure(self._tracked.keys())
            known = self._known(instance)
        return None if known is None else known.sample

    def whole(self, instance: Instance) -> WholeUsage | None:
        """What an instance's run uses beyond that; measured now."""
        tracked = self._known(instance)
        return None if tracked is None else self._meter.whole(tracked.roots)

    def history(self, instance_id: int) -> History | None:
        """What an instance has used in the last hour."""
        return self._history.read(instance_id, self._clock())

    def trend(self, instance: Instance) -> Trend | None:
        """How the memory of an instance's run goes on, as soon as that can be said."""
        run, now = instance.run, self._clock()
        if run is None:
            return None
        first = max(run.started, now - TREND_SPAN) + INTERVAL  # the one in which it began was not whole
        figures = self._history.figures(instance.id, now)
        points = [(each.number * INTERVAL, each.memory) for each in figures if each.number * INTERVAL > first]
        return trend(points, instance.spec.max_memory)

    def _known(self, instance: Instance) -> Tracked | None:
        """What is known of an instance's run, if it has been measured."""
        tracked = self._tracked.get(instance.id)
        if tracked is None or instance.run is None or tracked.sample.run_id != instance.run.run_id:
            return None
        return tracked if tracked.sample.processes else None

    # --- when ---

    def _changed(self, instance_id: int) -> None:
        instance = self._engine.instances.get(instance_id)
        tracked = self._tracked.get(instance_id)
        run = None if instance is None else instance.run
        if instance is None or run is None:
            if tracked is not None:
                self._drop(instance_id)
            if instance is None:
                self._history.forget(instance_id)
            return
        if tracked is None or tracked.sample.run_id != run.run_id:
            self._quick.pop(instance_id, None)
            tracked = self._tracked[instance_id] = Tracked(instance, run)
            self._is_followed = False
        elif tracked.spec is not instance.spec or tracked.named != run.named_pid:
            tracked.know(instance, run)
            self._is_followed = False
        if tracked.is_limited:
            self._limited.add(instance_id)
        else:
            self._limited.discard(instance_id)
        self._schedule(USUAL if tracked.is_limited else INTERVAL)

    def _drop(self, instance_id: int) -> None:
        del self._tracked[instance_id]
        self._quick.pop(instance_id, None)
        self._limited.discard(instance_id)
        self._is_followed = False

    def _schedule(self, wait: float) -> None:
        due = self._loop.time() + wait
        if self._handle is not None:
            if self._due <= due:
                return
            self._handle.cancel()
        self._due = due
        self._handle = self._loop.call_later(wait, self._tick)

    def _tick(self) -> None:
        self._handle = None
        self._close = 0.0
        began, now = self._loop.time(), self._clock() + TOGETHER
        is_usual, is_all = now >= self._usual_at, now >= self._all_at
        self._usual_at = (floor(now / USUAL) + 1) * USUAL if is_usual else self._usual_at
        self._all_at = (floor(now / INTERVAL) + 1) * INTERVAL if is_all else self._all_at
        due = {each for each, at in self._quick.items() if at <= now}
        due |= self._tracked.keys() if is_all else self._limited if is_usual else set()
        try:
            self._measure(due)
            for instance_id in due:
                self._judge(instance_id)
            if is_all:
                self._note()
        finally:  # also where no descriptor was left to measure with
            if self._tracked:
                took = self._loop.time() - began - self._close
                rest = SHARE * took + URGENT_SHARE * self._close
                self._schedule(max(self._next_due() - self._clock(), rest))

    def _next_due(self) -> float:
        usual = self._usual_at if self._limited else self._all_at
        return min(usual, self._all_at, *self._quick.values())

    # --- how much ---

    def _measure(self, ids: Collection[int]) -> None:
        now = self._clock()
        if len(ids) == len(self._tracked):
            self._taken = now
        if not self._is_followed:
            self._meter.follow(set().union(*(each.roots for each in self._tracked.values())))
            self._is_followed = True
        if not ids:
            return
        usages = self._meter.measure(set().union(*(self._tracked[each].roots for each in ids)))
        for instance_id in ids:
            tracked = self._tracked[instance_id]
            usage = _together(usages, tracked.roots)
            if usage is not None:
                self._take(tracked, usage, now)

    def _take(self, tracked: Tracked, usage: TreeUsage, now: float) -> None:
        before = tracked.sample
        tracked.sample = Sample(before.run_id, now, usage.cpu, before.percent, *usage[:1], *usage[2:])
        is_first = not before.processes
        if is_first and now - before.at > 2 * INTERVAL:  # another master's: what it did before is not known
            tracked.noted = tracked.judged = (now, usage.cpu)
        if is_first or now - tracked.told[0] >= LEAST_SPAN:
            percent = tracked.percent_since(tracked.told, now)
            tracked.sample = tracked.sample._replace(percent=percent)
            tracked.told = (now, usage.cpu)
        tracked.peak = max(tracked.peak, usage.memory)
        earlier, since = (0 if is_first else tracked.memory), before.at
        self._find_memory(tracked, usage, now)
        # One that is new has begun with nothing, and may grow on as it has grown so far.
        if now > since and now - since < 2 * INTERVAL:
            tracked.growth = (tracked.memory - earlier) / (now - since)

    def _find_memory(self, tracked: Tracked, usage: TreeUsage, now: float) -> None:
        """By how much memory it is decided: pages that forked children share must not count twice.

        To find that out takes a while where there is much memory, so it is only done where it matters.
        """
        least = least_level(tracked.spec)
        tracked.is_certain = True
        if usage.processes == 1 or least is None or usage.memory < least:
            tracked.memory = usage.memory
        elif now >= (
            tracked.look_urgently_at if self._seems_over(tracked, usage) else tracked.look_closely_at
        ):
            began = self._loop.time()
            proportional = self._meter.proportional(tracked.roots)
            tracked.memory = usage.memory if proportional is None else min(usage.memory, proportional)
            tracked.shared = usage.memory - tracked.memory
            took = self._loop.time() - began
            self._close += took
            tracked.look_closely_at = now + SHARE * took
            tracked.look_urgently_at = now + URGENT_SHARE * took
        else:
            tracked.memory = max(0, usage.memory - tracked.shared)
            tracked.is_certain = False

    @staticmethod
    def _seems_over(tracked: Tracked, usage: TreeUsage) -> bool:
        """Whether it is beyond its limit, if its pages are shared as much as at the last close look."""
        limit = tracked.spec.max_memory
        return limit is not None and usage.memory - tracked.shared > limit

    # --- what follows ---

    def _judge(self, instance_id: int) -> None:
        instance = self._engine.instances.get(instance_id)
        tracked = None if instance is None else self._known(instance)
        if instance is None or tracked is None:
            return
        self._judge_cpu(instance, tracked)
        memory, limit, run_id = tracked.memory, instance.spec.max_memory, tracked.sample.run_id
        if tracked.is_certain and limit is not None and memory > limit:
            self._engine.handle(instance_id, MemoryOver(run_id, memory))
        elif tracked.is_certain and instance.status is not Status.STOPPING and is_news(instance, memory):
            self._engine.handle(instance_id, MemoryUsed(run_id, memory))
        self._quick.pop(instance_id, None)
        if self._tracked.get(instance_id) is tracked and limit is not None:
            wait = next_look(memory, limit, tracked.growth, USUAL)
            if wait < USUAL:
                self._quick[instance_id] = tracked.sample.at + wait

    def _judge_cpu(self, instance: Instance, tracked: Tracked) -> None:
        limit, run, sample = instance.spec.limits.cpu, instance.run, tracked.sample
        passed = sample.at - tracked.judged[0]
        if limit is None or run is None or passed < min(max(limit.seconds / 10, USUAL), INTERVAL) - TOGETHER:
            return
        percent = tracked.percent_since(tracked.judged, sample.at)
        tracked.judged = (sample.at, sample.cpu)
        if percent > limit.percent or run.busy_since is not None:
            self._engine.handle(instance.id, CpuUsed(sample.run_id, percent, passed))

    def _note(self) -> None:
        for instance_id, tracked in self._tracked.items():
            sample = tracked.sample
            if sample.processes and sample.at > tracked.noted[0]:
                cpu = tracked.percent_since(tracked.noted, sample.at)
                self._history.put(instance_id, sample.at, tracked.peak, cpu)
                tracked.noted, tracked.peak = (sample.at, sample.cpu), sample.memory


def _roots(run: Run) -> set[int]:
    """The first process of a run, while that number is its own, and its main one."""
    if not run.named_pid or is_same(run.pid, run.start_ticks):
        return {run.pid, run.main_pid}
    return {run.main_pid}


def _together(usages: Mapping[int, TreeUsage], roots: Iterable[int]) -> TreeUsage | None:
    """What a run uses: two trees where its main process is not its first one; None if both are gone."""
    found = [usages[root] for root in roots if root in usages]
    return TreeUsage(*map(sum, zip(*found, strict=True))) if found else None
