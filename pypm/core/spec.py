"""What a person declares, resolved: every default applied, every unit converted, every path absolute.

``config`` makes these from files and options; the core decides by them; the master stores them. Durations
are seconds (float), sizes are bytes (int). A field's default is the product's default.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pypm.core.causes import Cause
from pypm.core.probe_spec import ProbeSpec
from pypm.core.sandbox_spec import SandboxSpec

__all__ = [
    "HOOK_TIMEOUT",
    "LEAST_LINE",
    "MOST_INSTANCES",
    "MOST_LINE",
    "UNLIMITED",
    "AppSpec",
    "Autorestart",
    "Condition",
    "CpuLimit",
    "HealthSpec",
    "Hook",
    "Hooks",
    "LimitSpec",
    "LogSpec",
    "NamespaceLimits",
    "Origin",
    "RestartPolicy",
    "Rule",
    "Rung",
    "ScheduleSpec",
    "WatchSpec",
    "instance_name",
]

Autorestart = Literal["always", "on-failure", "never"]

MEBIBYTE = 1024 * 1024

MOST_INSTANCES = 10_000
LEAST_LINE = 80
MOST_LINE = 64 * MEBIBYTE
"""Bytes of a line from which on it is split into records; so much of one may wait in memory."""


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """What follows a run that ended in a certain way: all conditions that are given have to fit.

    ``restart``: as the policy has it, or after ``delay`` seconds; it counts towards the brake. ``hold``: the
    instance is kept down, which is no failure, for ``hold_for`` seconds or as ``hold_like`` says, or until
    somebody starts it. ``stop``: there is no restart.
    """

    action: Literal["restart", "hold", "stop"]
    causes: tuple[Cause, ...] = ()
    codes: tuple[int, ...] = ()
    """Exit codes of a run that ended by itself."""
    signals: tuple[str, ...] = ()
    """Names of signals of which a run died that we did not end."""
    log: str | None = None
    """A regular expression, for one of the last lines of both streams."""
    delay: float | None = None
    hold_for: float | None = None
    hold_like: str = ""
    """A duration in which ``$1`` stands for the first group of ``log``; a mere number is one of seconds."""
    longest: float = 86400.0
    """Seconds that ``hold_like`` can give at most, and gives where it makes no duration."""
    reason: str = ""
    """What people are told."""


class RestartPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a run that ended by itself is followed by another one, and how soon.

    By default a crash loop is slowed and ends: the first restart comes at once, the following ones after
    ``backoff`` × 1.5ⁿ seconds up to ``max_backoff`` (with jitter), and more than ``max_restarts`` restarts
    within ``window`` seconds end in ``errored``. ``delay`` is PM2's ``restart_delay``: a constant instead
    of the growing delay (0.0: at once, always).
    """

    autorestart: Autorestart = "always"
    stop_exit_codes: tuple[int, ...] = ()
    """Exit codes after which there is no restart. A death by signal is never one of them."""
    delay: float | None = None
    """Constant delay in seconds; ``None``: the growing delay."""
    backoff: float | None = None
    """First delay in seconds of the growing delay (PM2's ``exp_backoff_restart_delay``); ``None``: the first
    restart comes at once, the second after 0.1 s."""
    max_backoff: float = 15.0
    backoff_reset: float = 30.0
    """Uptime in seconds after which the growing delay begins anew."""
    max_restarts: int | None = 16
    """Restarts allowed within ``window``; ``None``: no limit."""
    window: float = 900.0
    rules: tuple[Rule, ...] = ()
    """The first one that fits decides, before everything else here."""


class LogSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an app's output goes, and how much of it is kept.

    Files are absolute paths or ``None`` for the default below ``PYPM_HOME/logs``; ``/dev/null`` keeps
    nothing. With several instances ``-<index>`` goes before the suffix unless ``merge`` is set.
    """

    out_file: str | None = None
    error_file: str | None = None
    combined_file: str | None = None
    """A further file that gets both streams (PM2's ``log_file``)."""
    merge: bool = False
    disabled: bool = False
    max_size: int = 50 * MEBIBYTE
    """Bytes at which a file is rotated; 0: never."""
    retain: int = 10
    """Rotated files that are kept beside the current one; 0: the content is dropped at rotation."""
    max_age: float | None = None
    """Seconds after its first byte at which a file is rotated; ``None``: never."""
    rotate_at: str | None = None
    """A cron line (local time) at whose moments a file that has content is rotated."""
    retain_age: float | None = None
    """Seconds since its last byte after which a rotated file is deleted; ``None``: never."""
    compress: Literal["none", "gzip", "zstd"] = "none"
    """What rotated files are compressed with."""
    total_size: int = 2048 * MEBIBYTE
    """Bytes on the disk beyond which the oldest rotated files of the app are deleted; 0: no bound."""
    on_full: Literal["drop", "block"] = "drop"
    """What happens to output that the disk does not take: dropped and counted, or the agent waits."""
    form: Literal["raw", "text", "json"] = "raw"
    """``raw``: the very bytes; ``text``, ``json``: one record a line with time, stream and run."""
    date_format: str | None = None
    """How a ``text`` record's time is written, in PM2's (moment.js) letters; ``None``: ISO 8601 in UTC."""
    max_line: int = MEBIBYTE
    """Bytes at which a line is split into records (``text`` and ``json``)."""
    redact: tuple[str, ...] = ()
    """Regular expressions, or ``ENV:NAME`` for a variable's value, masked in the records."""


class Rung(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of what is done about an agent in trouble: ``after`` so many seconds from the step before.

    ``alert``: an event and nothing else; ``dump``: a snapshot for people (stacks, children, last lines);
    ``signal``: ``signal`` to the main process; ``restart``: a graceful stop and a new run.
    """

    action: Literal["alert", "dump", "signal", "restart"]
    signal: str | None = None
    after: float = 0.0


RESTART = (Rung("restart"),)
Sign = Literal["output", "io", "cpu"]


class HealthSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """How long an agent may be silent, by three clocks, and what follows. Times are seconds.

    Nobody is judged by a clock that was not asked for, nor by heartbeats that were never sent. How long it
    may take to be ready is ``AppSpec.listen_timeout``.
    """

    heartbeat_timeout: float | None = None
    """Silence after a heartbeat; a promise, so that no other sign of life counts (systemd's WatchdogSec)."""
    progress_timeout: float | None = None
    """Time without progress after which the agent is stalled, unless there is evidence of work."""
    on_startup: tuple[Rung, ...] = RESTART
    on_heartbeat: tuple[Rung, ...] = RESTART
    on_stall: tuple[Rung, ...] = RESTART
    on_liveness: tuple[Rung, ...] = RESTART
    startup: ProbeSpec | None = None
    """It is ``starting`` until this probe succeeds, and has as long as its threshold and period allow.

    One that can never be asked has ``AppSpec.listen_timeout``.
    """
    liveness: ProbeSpec | None = None
    readiness: ProbeSpec | None = None
    """Whether it can be used at present; never a reason for a restart once it was ready."""
    evidence: tuple[Sign, ...] = ("output", "io", "cpu")
    """Signs of work of the tree that speak against a stall."""
    max_extension: float = 3600.0
    """How long an agent may wait in all, by extending its deadlines, between two signs of progress."""


Condition = Literal["started", "ready", "healthy", "completed"]
"""What a dependency has to have come to before a dependent is started."""


HOOK_TIMEOUT = 30.0
"""Seconds that a hook has which names no time of its own."""


class Hook(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command that is run at a point of an app's life: an argument vector, and its time in seconds."""

    command: tuple[str, ...]
    timeout: float = HOOK_TIMEOUT


class Hooks(msgspec.Struct, frozen=True, omit_defaults=True):
    """The commands that are run beside a run: when it is up, before it is stopped, after it has failed."""

    post_start: Hook | None = None
    pre_stop: Hook | None = None
    on_failure: Hook | None = None


class ScheduleSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """When an app that is a job runs: it is not kept running. It has either ``cron`` or ``every``."""

    cron: str | None = None
    """A cron line; with six fields the first one is seconds."""
    every: float | None = None
    """Seconds from one moment to the next, the first one that long after it was armed."""
    timezone: str | None = None
    """Of the cron line; ``None``: that of the machine."""
    jitter: float = 0.0
    """Seconds within which an instance's moments are put off, by as much each time."""
    overlap: Literal["skip", "queue", "kill"] = "skip"
    """What becomes of a moment at which the run before goes on: nothing, one run when that has ended, or
    one now, in the place of that."""
    timeout: float | None = None
    """Seconds that a run may take."""
    catch_up: bool = False
    """What was missed, while there was no master or the machine slept, is made up for by one run."""


UNLIMITED = -1
"""Of a limit in bytes or in number: there is none."""


class CpuLimit(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much of the processor the whole tree may use, and what follows where it uses more for too long."""

    percent: float
    """Of one core: 200 is two of them."""
    seconds: float = 300.0
    """For so long it has to be above that all the time."""
    action: Literal["alert", "restart"] = "alert"


class LimitSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a process of an app may have, from its start on; ``None``: what the master was started with.

    How much memory the whole tree may have is ``AppSpec.max_memory``.
    """

    open_files: int | None = None
    file_size: int | None = None
    """Bytes."""
    core: int | None = None
    """Bytes of a core dump; 0: there is none."""
    nice: int | None = None
    ionice: str | None = None
    """``idle``, ``best-effort:0`` to ``best-effort:7``, ``realtime:0`` to ``realtime:7``."""
    cpu_affinity: tuple[int, ...] = ()
    """Numbers of the CPUs on which it may run; empty: all."""
    oom_score_adj: int | None = None
    tasks: int | None = None
    """Processes and threads of the whole tree."""
    cpu_max: float | None = None
    """CPU time of the whole tree in parts of one core, which the kernel does not let it go beyond."""
    enforce: Literal["required", "best_effort"] = "required"
    """Whether it starts where the machine cannot hold it to all of its limits."""
    memory_warn: int | None = None
    """Bytes of memory of the whole tree at which people are told; ``None``: 80 % of the limit, 0: never."""
    memory_high: int | None = None
    """Bytes at which the agent is asked to give some back; ``None``: 90 % of the limit, 0: never."""
    memory_high_signal: str | None = None
    """The signal by which it is asked, beside the agent channel."""
    cpu: CpuLimit | None = None
    max_runtime: float | None = None
    """Seconds after which a run is followed by a new one, as soon as it has no task under way."""
    runtime_jitter: float = 0.0
    """Seconds within which that comes later, for each run by another time."""
    recycle_grace: float = 600.0
    """Seconds that a task which is under way then still has."""


class NamespaceLimits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What all apps of a namespace may use together; the words are those of ``LimitSpec``."""

    memory: int | None = None
    tasks: int | None = None
    cpu_max: float | None = None
    enforce: Literal["required", "best_effort"] = "required"


NODE_PROGRAMS = frozenset(("node", "nodejs", "bun"))
"""Programs that speak over Node's channel by themselves."""


class WatchSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """Files whose change restarts an app."""

    paths: tuple[str, ...]
    """Absolute paths of folders (with all that is in them) and files."""
    ignore: tuple[str, ...] = ()
    """Patterns as in a ``.gitignore``, beside those that are always left out."""
    delay: float = 0.0
    """Seconds from a change to the restart; what changes meanwhile is part of it."""


class AppSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One app, as declared and resolved."""

    name: str
    command: tuple[str, ...]
    """The argument vector, ready for exec: ``command[0]`` is an absolute path."""
    cwd: str
    """Absolute path."""
    namespace: str = "default"
    script: str = ""
    """What the person wrote as script, module or command, for people."""
    instances: int = 1
    instance_var: str = "PYPM_INSTANCE"
    """Environment variable that carries the instance's index."""
    increment_var: str | None = None
    """Environment variable whose declared number grows by the instance's index."""
    env: dict[str, str] = {}
    env_files: tuple[str, ...] = ()
    """Absolute paths, read anew at each start; what ``env`` declares wins over them."""
    secrets: dict[str, str] = {}
    """Variables, and where their values are: the absolute path of a file, or ``cmd:`` and a command that
    prints it. They are got anew at each start, kept nowhere, and win over ``env``."""
    filter_env: tuple[str, ...] | Literal[True] = ()
    """Substrings of names that are dropped from the shell's environment; ``True``: all are."""
    autostart: bool = True
    depends_on: dict[str, Condition] = {}
    """Names of apps, and what all their instances have to have come to before an instance is started."""
    hooks: Hooks = Hooks()
    restart: RestartPolicy = RestartPolicy()
    min_uptime: float = 1.0
    """Uptime in seconds from which a start counts as a success."""
    kill_signal: str = "SIGTERM"
    kill_timeout: float = 10.0
    """Grace period in seconds between ``kill_signal`` and SIGKILL."""
    treekill: bool = True
    """Signals go to the whole process group; ``False``: to the main process only."""
    wait_ready: bool = False
    listen_timeout: float = 30.0
    """Seconds within which an app with ``wait_ready`` has to say that it is ready."""
    notify_access: Literal["all", "main", "none"] = "all"
    """Whose sd_notify messages are taken: every process's of its tree, its main one's, or nobody's."""
    ready_fd: int | None = None
    """A descriptor of the agent on which a newline means that it is ready."""
    sockets: tuple[str, ...] = ()
    """Addresses (``core/addresses.py``) at which pypm listens for it; its runs inherit them, from 3 on.

    Or, with ``?reuseport``, which pypm keeps for runs that listen by themselves.
    """
    node_channel: bool | None = None
    """It gets Node's channel to its parent; ``None``: where its program is node."""
    shutdown_with_message: bool = False
    """A stop begins with the message ``shutdown`` on that channel, in place of ``kill_signal``."""
    allow_control: bool = False
    """Its runs may end (``kill``) and replace (``update``) the master that supervises them."""
    max_memory: int | None = None
    """Bytes of resident memory of the whole tree beyond which the instance is restarted."""
    limits: LimitSpec = LimitSpec()
    namespace_limits: NamespaceLimits | None = None
    """What all apps of its namespace may use together, as the file says that has declared it."""
    user: str | None = None
    """A name or a number; ``None``: the one as whom the master runs."""
    group: str | None = None
    """A name or a number; ``None``: the user's own."""
    umask: int | None = None
    """``None``: that of the shell in which the app was first started."""
    stdin: bool = False
    """Its stdin is a pipe into which `pypm send` writes; else it is /dev/null."""
    max_unavailable: int = 0
    """How many instances a reload may take down at a time; 0: a new one is up before an old one goes."""
    no_new_privileges: bool = False
    """Set-user-id programs and file capabilities give it and its children nothing."""
    sandbox: SandboxSpec | None = None
    """What its processes, and those of its hooks and probes, can see and change; ``None``: all."""
    logs: LogSpec = LogSpec()
    health: HealthSpec = HealthSpec()
    schedule: ScheduleSpec | None = None
    """It is a job, which runs at the moments of this schedule."""
    cron_restart: str | None = None
    """A cron line (local time) at whose moments it gets a new run, unless it is wanted down."""
    watch: WatchSpec | None = None
    source: str | None = None
    """The file that declared the app, if there is one."""

    @property
    def waits_for_ready(self) -> bool:
        """Whether a run is ``starting`` until it, or a probe, says that it is ready."""
        health = self.health
        return self.wait_ready or health.startup is not None or health.readiness is not None

    @property
    def has_node_channel(self) -> bool:
        """Whether its runs get Node's channel to their parent."""
        if self.node_channel is not None:
            return self.node_channel
        return self.command[0].rpartition("/")[2] in NODE_PROGRAMS


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an app inherits from the shell in which it was first started."""

    env: dict[str, str] = {}
    umask: int = 0o022


def instance_name(app: str, index: int, instances: int) -> str:
    """The name of an instance: ``app`` when there is one, ``app:0``, ``app:1`` … when there are several."""
    return app if instances == 1 else f"{app}:{index}"
