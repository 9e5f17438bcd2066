"""Simulated days of agents on the fake clock: honest waits, streaming, tools, rate limits and true stalls.

The real state machine judges agents of which the script knows whether they work. A healthy one that is
restarted was disturbed; a stall that is not acted on within its limit and a second was missed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from pypm.core import events as ev
from pypm.core.actions import Gather, Snapshot
from pypm.core.instance import Instance, Run, Status, Vitals
from pypm.core.machine import step
from pypm.core.spec import AppSpec, HealthSpec

__all__ = ["Outcome", "simulate"]

DAY = 86400.0
BEAT = 240.0
HEARTBEAT_TIMEOUT = 600.0
PROGRESS_TIMEOUT = 1800.0
MAX_EXTENSION = 4 * 3600.0
"""The agents may wait several times in a row, each time most of an hour, without any progress."""
STALLS_A_DAY = 0.5

Kind = Literal["async", "sync"]
Moment = tuple[float, ev.Event | None]
"""Seconds until the agent does something, and what; None: it only goes on."""


@dataclass
class Outcome:
    """What came of some agent-days."""

    days: int = 0
    steps: int = 0
    stalls: int = 0
    disturbed: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    wrong_reasons: list[str] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds from the limit of a stall until it was acted on, at most."""


class SimulatedAgent:
    """One agent for one day: an asyncio one that sends heartbeats, or a synchronous one that does not."""

    def __init__(self, kind: Kind, seed: int, outcome: Outcome) -> None:
        self.random = random.Random(seed)
        self.kind = kind
        self.outcome = outcome
        health = HealthSpec(
            heartbeat_timeout=HEARTBEAT_TIMEOUT if kind == "async" else None,
            progress_timeout=PROGRESS_TIMEOUT,
            max_extension=MAX_EXTENSION,
        )
        self.spec = AppSpec("agent", ("/agent",), "/", health=health)
        self.now = 1000.0
        self.signs: tuple[str, ...] = ()
        self.last_beat = 0.0
        self.stalled_at: float | None = None
        self.expected = ""
        self.name = f"{kind} agent, seed {seed}"
        self.begin()

    def begin(self) -> None:
        """A new run, which is ready at once."""
        self.stalled_at, self.signs = None, ()
        run = Run("r", "t", 1, 1, self.now, ready=True, vitals=Vitals(judged_from=self.now))
        status = Status.ONLINE
        self.instance = Instance(0, "agent", 0, self.now, self.now, self.spec, status=status, run=run)
        self.handle(ev.Recovered())

    def live(self) -> None:
        """One day."""
        end = self.now + DAY
        while self.now < end:
            for wait, event in self.script():
                if not self.pass_time(wait):
                    break
                if event is not None:
                    self.handle(event)

    def script(self) -> Iterator[Moment]:
        """The next thing that it does, as a series of moments."""
        if self.random.random() < STALLS_A_DAY / 48:
            yield from self.stall()
            return
        does = self.random.choice(
            (self.work, self.work, self.model_call, self.stream, self.tool, self.rate_limit)
        )
        yield from does()

    def beats(self, seconds: float) -> Iterator[Moment]:
        """Time passes; the loop of an asyncio agent goes on turning."""
        while self.kind == "async" and seconds > BEAT:
            yield BEAT, ev.Beat("r")
            seconds -= BEAT
        yield seconds, ev.Beat("r") if self.kind == "async" else None

    def work(self) -> Iterator[Moment]:
        """Steps of some minutes, each with its progress."""
        self.signs = ("output",)
        for _ in range(self.random.randint(1, 8)):
            yield from self.beats(self.random.uniform(10.0, 900.0))
            yield 0.0, ev.Progressed("r", "step")
        self.signs = ()

    def model_call(self) -> Iterator[Moment]:
        """A wait that is announced, and somewhat shorter than announced."""
        seconds = self.random.uniform(30.0, 3000.0)
        yield 0.0, ev.Extended("r", seconds, "model call")
        yield seconds * self.random.uniform(0.1, 0.99), None
        yield 0.0, ev.ExtensionReset("r")
        if self.random.random() < 0.9:
            yield 0.0, ev.Progressed("r", "answer")

    def rate_limit(self) -> Iterator[Moment]:
        """Retries, each announced, some of them in a row without any progress."""
        for _ in range(self.random.randint(1, 3)):
            yield 0.0, ev.Extended("r", 900.0, "rate limit")
            yield self.random.uniform(60.0, 890.0), None
            yield 0.0, ev.ExtensionReset("r")
        yield 0.0, ev.Progressed("r", "accepted again")

    def stream(self) -> Iterator[Moment]:
        """Tokens come for long, and no step is done: its output is the evidence."""
        self.signs = ("output",)
        yield from self.beats(self.random.uniform(60.0, 5400.0))
        self.signs = ()
        yield 0.0, ev.Progressed("r", "answer")

    def tool(self) -> Iterator[Moment]:
        """A child computes, the agent is silent: its CPU time is the evidence."""
        self.signs = ("12.3 s of CPU",)
        yield from self.beats(self.random.uniform(60.0, 7200.0))
        self.signs = ()
        yield 0.0, ev.Progressed("r", "tool done")

    def stall(self) -> Iterator[Moment]:
        """It lives and does nothing any more: hung for good, or with a loop that turns and a flat queue."""
        self.stalled_at, self.signs = self.now, ()
        hung = self.kind == "sync" or self.random.random() < 0.5
        beaten = self.instance.run is not None and self.instance.run.last_beat is not None
        self.expected = "watchdog" if hung and self.kind == "async" and beaten else "stalled"
        self.outcome.stalls += 1
        while True:
            yield BEAT, None if hung else ev.Beat("r")

    def pass_time(self, seconds: float) -> bool:
        """Let what is due happen; False: the run is over."""
        end = self.now + seconds
        while (deadline := self.instance.deadline) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.handle(ev.DeadlinePassed(deadline))
            if self.instance.status is not Status.ONLINE:
                self.judge()
                return False
        self.now = end
        return not self.is_missed()

    def handle(self, event: ev.Event) -> None:
        """One step, and what the master would answer to its orders."""
        self.outcome.steps += 1
        self.instance, actions = step(self.instance, event, self.now)
        for action in actions:
            if isinstance(action, Gather) and not action.first:
                self.handle(ev.Evidence("r", self.signs))
            elif isinstance(action, Snapshot):
                self.handle(ev.Captured("r"))

    def limit(self) -> float:
        assert self.stalled_at is not None
        return self.stalled_at + (HEARTBEAT_TIMEOUT if self.expected == "watchdog" else PROGRESS_TIMEOUT)

    def is_missed(self) -> bool:
        if self.stalled_at is None or self.now <= self.limit() + BEAT + 1.0:
            return False
        self.outcome.missed.append(f"{self.name}: stalled since {self.stalled_at:.0f}, now {self.now:.0f}")
        self.begin()
        return True

    def judge(self) -> None:
        """The run was ended: was that right, in time, and for the right reason?"""
        cause = self.instance.stop_cause
        if self.stalled_at is None:
            self.outcome.disturbed.append(f"{self.name} at {self.now:.0f}: {self.instance.stop_reason}")
        else:
            late = self.now - self.limit()
            self.outcome.slowest = max(self.outcome.slowest, late)
            if late > 1.0:
                self.outcome.missed.append(f"{self.name}: {late:.1f} s late")
            if cause != self.expected:
                self.outcome.wrong_reasons.append(f"{self.name}: {cause} instead of {self.expected}")
        self.begin()


def simulate(days: int, seed: int = 0) -> Outcome:
    """So many agent-days, half of them of each kind; the same for the same ``seed``."""
    outcome = Outcome(days=days)
    for day in range(days):
        SimulatedAgent("async" if day % 2 else "sync", seed * 1_000_003 + day, outcome).live()
    return outcome
