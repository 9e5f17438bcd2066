"""A fake kernel around the real state machine: scripted programs on a fake clock, no processes."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

from pypm.core import events as ev
from pypm.core.actions import Action, ArmTimer, AskToEnd, CancelTimer, Forget, ReadLog, RunHook, Signal, Spawn
from pypm.core.instance import Instance, Status
from pypm.core.machine import step
from pypm.core.rules import search_lines
from pypm.core.spec import AppSpec
from pypm.testing.clock import FakeClock

__all__ = ["Program", "Simulation"]


@dataclass(frozen=True)
class Program:
    """How one run behaves.

    ``lives``: seconds after which it ends by itself with ``code`` or ``signal``; None: it lives on.
    ``ready``: seconds after which it says that it is ready. ``grace``: seconds that it needs to end when
    a signal asks it to; None: it has to be killed. ``listens``: the same for the shutdown message; None:
    it does not hear it. ``fails``: it cannot be started, for this reason. ``writes``: its last lines.
    """

    lives: float | None = None
    code: int | None = 0
    signal: int | None = None
    ready: float | None = None
    grace: float | None = 0.0
    listens: float | None = None
    leftovers: float | None = None
    """Seconds for which its children live on after it, if it leaves any."""
    fails: str | None = None
    writes: tuple[str, ...] = ()
    hook: float = 0.0
    """Seconds that the ``pre_stop`` hook of its app takes."""


@dataclass
class Process:
    """One run in the fake kernel."""

    program: Program
    run_id: str
    pid: int
    alive: bool = True
    signals: list[str] = field(default_factory=list)


Scheduled = tuple[float, int, bool, Callable[[], None]]


class Simulation:
    """One instance of an app, its programs in the order of its runs (the last one repeats), and time.

    ``pids`` is how many pids the kernel has before it gives them anew; with 1 all runs have the same.
    """

    def __init__(
        self,
        spec: AppSpec,
        programs: Iterable[Program],
        *,
        clock: FakeClock | None = None,
        pids: int = 2**22,
    ) -> None:
        self._pids = pids
        self.clock = clock or FakeClock()
        self.processes: list[Process] = []
        self.statuses: list[Status] = [Status.STOPPED]
        """Every status that was entered, in order."""
        self.starts: list[float] = []
        """When each spawn was tried."""
        self.gone = False
        """The instance has been deleted."""
        now = self.clock()
        self.instance = Instance(id=0, app=spec.name, index=0, created=now, since=now, spec=spec)
        self._programs = list(programs)
        self._scheduled: list[Scheduled] = []
        self._order = count()
        self._timer: float | None = None
        self._suspended = 0.0

    def handle(self, event: ev.Event) -> None:
        """Let an event happen now."""
        if self.gone:
            return
        before = self.instance
        self.instance, actions = step(before, event, self.clock())
        if self.instance.status is not before.status:
            self.statuses.append(self.instance.status)
        for action in actions:
            self._perform(action)

    def run(self, seconds: float) -> None:
        """Let time pass, with all that happens in it."""
        end = self.clock() + seconds
        while self._scheduled and self._scheduled[0][0] <= end:
            time, _, _, happen = heapq.heappop(self._scheduled)
            self.clock.now = max(self.clock.now, time)
            happen()
        self.clock.now = end

    def suspend(self, seconds: float) -> None:
        """Suspend the machine: the clock goes on, programs do not, and what is due comes afterwards."""
        self.clock.advance(seconds)
        self._suspended += seconds
        self._scheduled = [
            (time if is_timer else time + seconds, order, is_timer, happen)
            for time, order, is_timer, happen in self._scheduled
        ]
        heapq.heapify(self._scheduled)

    @property
    def process(self) -> Process:
        """The latest process."""
        return self.processes[-1]

    def _at(self, delay: float, happen: Callable[[], None], *, is_timer: bool = False) -> None:
        heapq.heappush(self._scheduled, (self.clock() + delay, next(self._order), is_timer, happen))

    def _perform(self, action: Action) -> None:
        match action:
            case Spawn():
                self._at(0.0, self._spawn)
            case Signal():
                self._signal(action.signal)
            case AskToEnd():
                self._ask()
            case ArmTimer():
                self._arm(action.deadline)
            case CancelTimer():
                self._timer = None
            case RunHook(hook="pre_stop"):
                ended = ev.HookEnded(self.process.run_id)
                self._at(self.process.program.hook, lambda: self.handle(ended))
            case ReadLog():
                found = ev.LogRead(
                    self.process.run_id, search_lines(action.patterns, self.process.program.writes)
                )
                self._at(0.0, lambda: self.handle(found))
            case Forget():
                self.gone = True

    def _arm(self, deadline: float) -> None:
        before, self._timer = self._suspended, deadline

        def is_over() -> None:
            if self._timer == deadline:
                self._timer = None
                self.handle(ev.DeadlinePassed(deadline, self._suspended - before))

        self._at(deadline - self.clock(), is_over, is_timer=True)

    def _spawn(self) -> None:
        if self.gone or self.instance.status is not Status.STARTING or self.instance.run is not None:
            return
        program = self._programs[min(len(self.starts), len(self._programs) - 1)]
        self.starts.append(self.clock())
        if program.fails is not None:
            self.handle(ev.SpawnFailed(program.fails))
            return
        process = Process(program, f"run{len(self.starts)}", 1000 + len(self.starts) % self._pids)
        self.processes.append(process)
        self.handle(ev.Spawned(process.run_id, "token", process.pid, 1))
        if program.ready is not None:
            self._at(program.ready, lambda: self.handle(ev.Ready(process.run_id)))
        if program.lives is not None:
            self._at(program.lives, lambda: self._exit(process, program.code, program.signal))

    def _signal(self, name: str) -> None:
        process = self.process
        process.signals.append(name)
        if name == "SIGKILL":
            self._at(0.0, lambda: self._kill(process))
        elif process.program.grace is not None:
            self._at(process.program.grace, lambda: self._exit(process, process.program.code, None))

    def _ask(self) -> None:
        process = self.process
        process.signals.append("shutdown")
        if process.program.listens is not None:
            self._at(process.program.listens, lambda: self._exit(process, process.program.code, None))

    def _kill(self, process: Process) -> None:
        if process.alive:
            self._exit(process, None, 9)
        self.handle(ev.TreeGone(process.run_id))

    def _exit(self, process: Process, code: int | None, number: int | None) -> None:
        if not process.alive:
            return
        process.alive = False
        left = process.program.leftovers
        code = None if number is not None else code
        self.handle(ev.Exited(process.run_id, code, number, leftovers=left is not None))
        if left is not None:
            self._at(left, lambda: self.handle(ev.TreeGone(process.run_id)))
