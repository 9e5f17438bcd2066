"""An instance as a value: what is wanted, what it is, its present run and how its last runs ended.

Times are seconds of the boot-time clock (CLOCK_BOOTTIME: it goes on in suspend and never jumps); they become
wall-clock times only where a person reads them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from pypm.core.causes import Cause
from pypm.core.probe_spec import ProbeKind
from pypm.core.spec import AppSpec, instance_name

__all__ = [
    "After",
    "Cause",
    "Desired",
    "Health",
    "Instance",
    "MemoryLevel",
    "ProbeResult",
    "ProbeState",
    "Probes",
    "Run",
    "RunEnd",
    "Status",
    "Trouble",
    "Vitals",
    "settled_at",
    "shift",
    "start_is_left",
]

KEPT_RUNS = 10
"""How many ended runs an instance remembers."""


class Status(StrEnum):
    """Where an instance is in its life; ``docs/design.md`` has the words."""

    STOPPED = "stopped"
    STARTING = "starting"
    ONLINE = "online"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    HELD = "held"
    ERRORED = "errored"
    EXITED = "exited"


class Desired(StrEnum):
    """What the operator wants."""

    UP = "up"
    DOWN = "down"


class Health(StrEnum):
    """What is known about the work of an instance."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    STALLED = "stalled"


class After(StrEnum):
    """What follows when the tree of a stopping run is gone."""

    STOP = "stop"
    RESTART = "restart"
    DELETE = "delete"
    DECIDE = "decide"
    """The restart policy decides, by the way the run ended."""


class RunEnd(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a run ended: exit code or signal (neither: it never began, or nobody saw its end), and why."""

    at: float
    uptime: float
    reason: str
    code: int | None = None
    signal: int | None = None
    core_dumped: bool = False
    ready: bool = False
    """It had said that it was ready, or need not say it."""
    planned: bool = False
    """We ended it, for a reason such as a memory limit; it did not end by itself."""
    run_id: str = ""
    cause: Cause = "unknown"
    snapshot: str = ""
    """The folder with what it looked like before we ended it."""
    rule: str = ""
    """The rule of its app that has decided what follows, in words; empty: the restart policy has."""


MemoryLevel = Literal["", "warn", "high"]
"""How near a run is to its limit on memory: at which of the figures that its app names, or at none."""
Trouble = Literal["", "startup", "heartbeat", "progress", "probe"]
ProbeResult = Literal["success", "failure", "unknown"]
"""``unknown``: the question could not be asked, which says nothing about who was to be asked."""


class ProbeState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a probe of a run has found so far."""

    passing: bool | None = None
    """What holds, by its thresholds; None: nothing is decided yet."""
    result: ProbeResult | None = None
    """Of the last question; None: it has not been asked."""
    since: float = 0.0
    """When the result became what it is."""
    successes: int = 0
    """In a row, up to what the threshold asks for."""
    failures: int = 0
    """In a row."""
    unknowns: int = 0
    """In a row, up to the threshold of failures."""
    output: str = ""
    """What the last answer was, for people; of successes in a row the first."""


class Probes(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the probes of a run have found."""

    startup: ProbeState = ProbeState()
    liveness: ProbeState = ProbeState()
    readiness: ProbeState = ProbeState()

    def of(self, kind: ProbeKind) -> ProbeState:
        """The state of one of them."""
        state: ProbeState = getattr(self, kind)
        return state


class Vitals(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known about the work of a run, beside its last heartbeat, and what is being done about it."""

    judged_from: float = 0.0
    """Nobody is judged by what was before: before it was ready, or before its present master."""
    last_progress: float | None = None
    progress_text: str = ""
    iteration: int | None = None
    heartbeat_timeout: float | None = None
    """What the run itself has promised; 0: nothing. None: what its app declares holds."""
    reloading: bool = False
    extended_until: float | None = None
    waiting_for: str = ""
    waiting_since: float | None = None
    paused: float = 0.0
    """Seconds in which the machine stood still since the run has begun."""
    waited: float = 0.0
    """Seconds of waits that are over since the last progress."""
    trouble: Trouble = ""
    """The clock by which it is in trouble."""
    trouble_since: float = 0.0
    trouble_why: str = ""
    rung: int = 0
    """How many steps of the ladder have been done about it."""
    triggered: bool = False
    """It has asked for it itself."""
    rung_at: float | None = None
    """When the next one is due."""
    capturing: bool = False
    """It is restarted when its snapshot is made."""
    looked_at: float | None = None
    """When its tree was last looked at for evidence of work."""
    evidence: str = ""
    """What spoke against a stall at that time."""
    snapshot: str = ""


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """One life of an instance as an operating-system process."""

    run_id: str
    token: str
    """The secret with which the agent proves on the agent channel that it is this run."""
    pid: int
    """Of the process that was started: the number of the run's session and of its first process group."""
    start_ticks: int
    """Start time of the process in clock ticks after boot: with pid and boot id it names a process."""
    started: float
    pipes: tuple[int, int] = (0, 0)
    """Inode numbers of the pipes that are its stdout and stderr; 0: it has none."""
    ready: bool = False
    last_beat: float | None = None
    status_text: str = ""
    vitals: Vitals = Vitals()
    probes: Probes = Probes()
    leaving: RunEnd | None = None
    """Set when the main process has ended and others of its tree have not, or its log is being read."""
    reading: bool = False
    """Its tree is gone, and its last lines are looked through for what a rule of its app asks for."""
    named_pid: int = 0
    named_ticks: int = 0
    """Pid and start time of the process that the agent has named as its main one; 0: it has named none."""
    sandboxed: bool = False
    """The process that was started is the sandbox, and the agent is within."""
    memory_level: MemoryLevel = ""
    """What was told of its memory."""
    memory_told: int = 0
    """Bytes that it used beyond its limit when it was told to end; 0: it was within it."""
    busy_since: float | None = None
    """Since when it has used more of the processor than its app may."""
    busy_told: bool = False
    """That has lasted too long, and was told."""
    occupied: bool = False
    """It has a task under way."""

    @property
    def is_ready(self) -> bool:
        """Whether it can be used now: it has become ready, and nothing has spoken against it since."""
        return self.ready and not self.vitals.reloading and self.probes.readiness.passing is not False

    @property
    def main_pid(self) -> int:
        """The main process, with whose end the run is over."""
        return self.named_pid or self.pid

    @property
    def main_ticks(self) -> int:
        """Start time of the main process in clock ticks after boot."""
        return self.named_ticks if self.named_pid else self.start_ticks


NO_SPEC = AppSpec(name="", command=(), cwd="")
"""Stands in for the spec in a stored instance: the spec is stored once, with its app."""


class Instance(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of an app's copies."""

    id: int
    app: str
    index: int
    created: float
    since: float
    """When the present status was entered."""
    spec: AppSpec = NO_SPEC
    desired: Desired = Desired.UP
    status: Status = Status.STOPPED
    health: Health = Health.UNKNOWN
    reason: str = ""
    run: Run | None = None
    runs: tuple[RunEnd, ...] = ()
    """The last ended runs, newest first."""
    restarts: int = 0
    restart_times: tuple[float, ...] = ()
    """When it was restarted automatically, within the policy's window, oldest first."""
    failures: int = 0
    """Ends in a row without a healthy uptime between them: the step of the growing delay."""
    deadline: float | None = None
    """When the present status is over: not ready in time, grace period over, backoff over."""
    after: After = After.STOP
    stop_reason: str = ""
    """Why the present run is being stopped."""
    stop_cause: Cause = "operator"
    killed: bool = False
    """SIGKILL has been sent to the present run."""
    killed_for: str = ""
    """Why SIGKILL was sent before the grace period was over."""
    asked: bool = False
    """The present run has been sent the shutdown message, and no signal yet."""
    waits_for: str = ""
    """What has to happen before it is started or stopped, in words."""
    preparing: bool = False
    """Its ``pre_stop`` hook is run before the present run is told to end."""
    told_at: float = 0.0
    """When the present run was told to end."""
    moment: float | None = None
    """The last moment (Unix time) of its schedule that was dealt with; None: it counts from now on."""
    queued: bool = False
    """Another run of this job follows the present one."""
    number: int | None = None
    """The id that people know it by; None: its own. It differs after a reload, as the new one takes the place
    of the old one."""
    replaces: int | None = None
    """The instance that is to go when this one is up and ready."""
    replaced: bool = False
    """Another one has its place, or it failed to take one: it only goes, whatever is asked of it."""

    @property
    def shown_id(self) -> int:
        """The id that people know it by."""
        return self.id if self.number is None else self.number

    @property
    def name(self) -> str:
        """The instance's name as people write it: ``app`` or ``app:0``."""
        return instance_name(self.app, self.index, self.spec.instances)

    @property
    def namespace(self) -> str:
        """The namespace of its app."""
        return self.spec.namespace

    @property
    def is_armed(self) -> bool:
        """Whether it is a job that waits for its next moment."""
        return self.spec.schedule is not None and self.desired is Desired.UP and self.status is Status.EXITED

    @property
    def last(self) -> RunEnd | None:
        """How the last run ended."""
        return self.runs[0] if self.runs else None


def shift(instance: Instance, seconds: float) -> Instance:
    """Return the instance with all its times moved by ``seconds``: a reboot begins a new boot clock."""
    run = instance.run
    return msgspec.structs.replace(
        instance,
        created=instance.created + seconds,
        since=instance.since + seconds,
        deadline=None if instance.deadline is None else instance.deadline + seconds,
        restart_times=tuple(time + seconds for time in instance.restart_times),
        runs=tuple(msgspec.structs.replace(end, at=end.at + seconds) for end in instance.runs),
        run=None if run is None else _shift_run(run, seconds),
    )


def _shift_run(run: Run, seconds: float) -> Run:
    leaving = run.leaving
    return msgspec.structs.replace(
        run,
        started=run.started + seconds,
        last_beat=None if run.last_beat is None else run.last_beat + seconds,
        busy_since=None,
        vitals=Vitals(),
        probes=Probes(),
        leaving=None if leaving is None else msgspec.structs.replace(leaving, at=leaving.at + seconds),
    )


def start_is_left(instance: Instance) -> bool:
    """Whether it was not ready in time and all has been done about that: it may be ready one day."""
    if instance.status is not Status.STARTING or instance.run is None:
        return False
    vitals = instance.run.vitals
    return vitals.trouble == "startup" and vitals.rung_at is None and not vitals.capturing


def settled_at(instance: Instance) -> float | None:
    """When (boot clock) a start counts as decided: it worked, or it ended or failed; None: not in sight yet.

    An agent that has to be ready first is settled when it is, or when it was not in time and nothing more is
    done about that; any other when it has been up for its ``min_uptime``.
    """
    if instance.run is not None and start_is_left(instance):
        return instance.run.vitals.trouble_since
    if instance.status in (Status.STARTING, Status.STOPPING):
        return None
    if instance.status is Status.ONLINE and instance.run is not None and not instance.spec.waits_for_ready:
        return instance.run.started + instance.spec.min_uptime
    return instance.since
