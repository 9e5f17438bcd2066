"""What the master answers, as types for who reads it. docs/protocol.md says what each field means.

They are plain dictionaries: a newer master may tell more than is named here.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

__all__ = [
    "ActionResult",
    "Change",
    "Changed",
    "Detail",
    "Environment",
    "Exit",
    "Failure",
    "Health",
    "Ping",
    "Row",
    "Snapshot",
    "Status",
    "Transition",
]

Status = Literal["stopped", "starting", "online", "stopping", "backoff", "held", "errored", "exited"]
Health = Literal["unknown", "healthy", "unhealthy", "stalled"]


class Ping(TypedDict):
    """Who answers."""

    master_pid: int
    guardian_pid: int | None
    version: str
    protocol: int
    uptime_seconds: float
    home: str


class Exit(TypedDict):
    """How a run has ended."""

    code: int | None
    signal: str | None
    reason: str
    cause: str
    report: str
    run_id: str
    rule: str
    at: float
    """Unix time."""
    uptime_seconds: float


class Row(TypedDict):
    """An instance, as ``pypm list --json`` shows it."""

    id: int
    name: str
    app: str
    namespace: str
    instance: int
    status: Status
    desired: Literal["up", "down"]
    pid: int | None
    restarts: int
    uptime_seconds: float | None
    last_run: float | None
    next_run: float | None
    cpu_percent: float | None
    memory_bytes: int | None
    ready: bool
    health: Health
    reason: str
    awaited: str
    last_exit: Exit | None
    status_text: str
    heartbeat_age_seconds: float | None
    progress_age_seconds: float | None
    progress_text: str
    iteration: int | None
    waiting_for: str
    waiting_seconds: float | None
    evidence: str
    trouble: str
    retry_in_seconds: float | None
    held_until: float | None
    log_trouble: str
    out_file: str | None
    error_file: str | None


Transition = TypedDict("Transition", {"at": float, "event": str, "from": str, "to": str, "reason": str})
"""A step of an instance; ``at`` is a Unix time."""


class Usage(TypedDict):
    """What an instance uses, and has used in the last hour."""

    interval: float
    end: float | None
    memory: list[int | None]
    cpu: list[float | None]
    memory_slope: float | None
    reaches_limit_in_seconds: float | None
    processes: int | None
    threads: int | None
    descriptors: int | None
    proportional_bytes: int | None
    read_bytes: int | None
    written_bytes: int | None


class Detail(Row):
    """All about an instance, as ``pypm describe --json`` shows it."""

    spec: dict[str, Any]
    origin_umask: int
    created_at: float
    since: float
    deadline: float | None
    next_step: dict[str, Any] | None
    started_at: float | None
    run_id: str | None
    runs: list[Exit]
    """The last ends, newest first."""
    history: list[Transition]
    """Oldest first."""
    metrics: dict[str, dict[str, Any]]
    tasks: dict[str, dict[str, Any]]
    actions: list[str]
    probes: dict[str, dict[str, Any]]
    usage: Usage


class Changed(TypedDict):
    """What was done with an instance."""

    id: int
    name: str
    action: str


class Failure(TypedDict):
    """An instance that did not become ready."""

    id: int
    name: str
    reason: str


class Change(TypedDict, total=False):
    """What an order has done."""

    instances: list[Changed]
    warnings: list[str]
    failures: list[Failure]
    """Of a reload only."""


class Environment(TypedDict):
    """What the next run of an instance would have as environment."""

    id: int
    name: str
    env: dict[str, str]
    secrets: list[str]
    """The names of the variables that are secrets."""


class ActionResult(TypedDict):
    """What became of an action in one instance."""

    id: int
    name: str
    ok: bool
    result: Any
    """What the agent gave, where it is ``ok``."""
    error: str
    """Why it is not."""


class Snapshot(TypedDict):
    """A list of apps that was kept."""

    name: str
    saved_at: float | None
    apps: list[str]
    fault: str | None
