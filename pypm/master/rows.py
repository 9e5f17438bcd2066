"""Instances as clients see them (docs/protocol.md, rows and details)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from pypm.core.awaited import awaited
from pypm.core.health import due_at, next_step
from pypm.core.instance import Instance, Run, RunEnd, Status, Vitals
from pypm.core.policy import signal_name
from pypm.core.spec import AppSpec
from pypm.core.state import App
from pypm.logs.paths import LogFiles, log_files
from pypm.logs.trouble import LogTrouble
from pypm.master.engine import Transition
from pypm.master.probe_rows import ProbeReport, probe_reports
from pypm.master.sampler import Sample
from pypm.master.telemetry import Metric, RunTelemetry, TaskReport
from pypm.master.usage_rows import UsageReport

__all__ = ["Detail", "LastExit", "Row", "SpecRow", "make_detail", "make_row", "make_spec_row"]


NO_TROUBLES: Mapping[str, LogTrouble] = MappingProxyType({})
LOG_TROUBLES = {
    "block": "it waits, as its log takes nothing",
    "write": "its output is dropped",
    "rotation": "its log cannot be rotated",
}
"""What a trouble of a log means for whose log it is, the worst one first."""


class LastExit(msgspec.Struct):
    """How a run ended."""

    code: int | None
    signal: str | None
    reason: str
    cause: str
    report: str
    run_id: str
    rule: str
    at: float
    uptime_seconds: float


class Row(msgspec.Struct):
    """One instance in a list."""

    id: int
    name: str
    app: str
    namespace: str
    instance: int
    status: str
    desired: str
    pid: int | None
    restarts: int
    uptime_seconds: float | None
    last_run: float | None
    next_run: float | None
    cpu_percent: float | None
    memory_bytes: int | None
    ready: bool
    health: str
    reason: str
    awaited: str
    last_exit: LastExit | None
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


class SpecRow(Row):
    """A row with what was declared, for clients that show that of many instances."""

    spec: AppSpec
    created_at: float
    failures: int
    metrics: dict[str, Metric]


class NextStep(msgspec.Struct):
    """What is done next to a run that gives no sign or is old, and when (Unix time)."""

    step: str
    """``alert``, ``dump``, ``restart``, the name of a signal, ``timeout`` of a job, or ``recycle``."""
    at: float


class Detail(Row):
    """One instance with all that is known of it."""

    spec: AppSpec
    origin_umask: int
    created_at: float
    since: float
    deadline: float | None
    next_step: NextStep | None
    started_at: float | None
    run_id: str | None
    runs: list[LastExit]
    history: list[dict[str, Any]]
    metrics: dict[str, Metric]
    tasks: list[TaskReport]
    actions: list[str]
    probes: dict[str, ProbeReport]
    usage: UsageReport


class Moment(msgspec.Struct):
    """The same moment on both clocks, to tell times of the boot clock as Unix times."""

    boot: float
    wall: float

    def as_wall(self, boot_time: float) -> float:
        """The Unix time of a time of the boot clock, in milliseconds' precision."""
        return round(self.wall - (self.boot - boot_time), 3)


def make_row(
    instance: Instance,
    sample: Sample | None,
    logs_folder: str,
    moment: Moment,
    next_run: float | None = None,
    troubles: Mapping[str, LogTrouble] = NO_TROUBLES,
) -> Row:
    """The row of an instance.

    ``next_run`` is the next moment of its schedule; ``troubles`` has what is wrong with logs now, by path.
    """
    return Row(**_row_fields(instance, sample, logs_folder, moment, troubles), next_run=next_run)


def make_spec_row(
    instance: Instance,
    sample: Sample | None,
    logs_folder: str,
    moment: Moment,
    telemetry: RunTelemetry | None,
    next_run: float | None = None,
    troubles: Mapping[str, LogTrouble] = NO_TROUBLES,
) -> SpecRow:
    """The row of an instance with its spec."""
    return SpecRow(
        **_row_fields(instance, sample, logs_folder, moment, troubles),
        next_run=next_run,
        spec=instance.spec,
        created_at=moment.as_wall(instance.created),
        failures=instance.failures,
        metrics={} if telemetry is None else telemetry.metrics,
    )


def make_detail(
    instance: Instance,
    sample: Sample | None,
    logs_folder: str,
    moment: Moment,
    app: App,
    history: list[Transition],
    telemetry: RunTelemetry | None,
    next_run: float | None = None,
    troubles: Mapping[str, LogTrouble] = NO_TROUBLES,
    usage: UsageReport | None = None,
) -> Detail:
    """The detail of an instance."""
    run = instance.run
    return Detail(
        **_row_fields(instance, sample, logs_folder, moment, troubles),
        next_run=next_run,
        spec=instance.spec,
        origin_umask=app.origin.umask,
        created_at=moment.as_wall(instance.created),
        since=moment.as_wall(instance.since),
        deadline=None if (at := due_at(instance)) is None else moment.as_wall(at),
        next_step=_next_step(instance, moment),
        started_at=None if run is None else moment.as_wall(run.started),
        run_id=None if run is None else run.run_id,
        runs=[_last_exit(end, moment) for end in instance.runs],
        history=[_history_entry(each, moment) for each in history],
        metrics={} if telemetry is None else telemetry.metrics,
        tasks=[] if telemetry is None else list(telemetry.tasks.values()),
        actions=[] if telemetry is None else sorted(telemetry.actions),
        probes=probe_reports(instance, moment.as_wall),
        usage=usage or UsageReport(),
    )


def _row_fields(
    instance: Instance,
    sample: Sample | None,
    logs_folder: str,
    moment: Moment,
    troubles: Mapping[str, LogTrouble],
) -> dict[str, Any]:
    run = instance.run
    files = log_files(logs_folder, instance.spec, instance.index)
    begins_at = instance.deadline if instance.status in (Status.BACKOFF, Status.HELD) else None
    held_until = begins_at if instance.status is Status.HELD else None
    return {
        "id": instance.shown_id,
        "name": instance.name,
        "app": instance.app,
        "namespace": instance.namespace,
        "instance": instance.index,
        "status": instance.status,
        "desired": instance.desired,
        "pid": None if run is None else run.main_pid,
        "restarts": instance.restarts,
        "uptime_seconds": None if run is None else round(moment.boot - run.started, 3),
        "last_run": _last_run(instance, moment),
        "cpu_percent": None if sample is None else round(sample.percent, 1),
        "memory_bytes": None if sample is None else sample.memory,
        "ready": run is not None and run.is_ready,
        "health": instance.health,
        "reason": instance.reason,
        "awaited": awaited(instance, moment.boot),
        "last_exit": None if instance.last is None else _last_exit(instance.last, moment),
        "status_text": "" if run is None else run.status_text,
        **_vitals(run, moment),
        "retry_in_seconds": None if begins_at is None else round(max(0.0, begins_at - moment.boot), 3),
        "held_until": None if held_until is None else moment.as_wall(held_until),
        "log_trouble": _log_trouble(files, troubles) if troubles else "",
        "out_file": files.out,
        "error_file": files.error,
    }


def _next_step(instance: Instance, moment: Moment) -> NextStep | None:
    if (following := next_step(instance)) is None:
        return None
    step, at = following
    return NextStep(step, moment.as_wall(at))


def _log_trouble(files: LogFiles, troubles: Mapping[str, LogTrouble]) -> str:
    """What is wrong with the logs of an instance, the worst of it; empty: nothing."""
    own = [
        found for path in (files.out, files.error, files.combined) if path and (found := troubles.get(path))
    ]
    if not own:
        return ""
    worst = min(own, key=lambda trouble: list(LOG_TROUBLES).index(trouble.kind))
    return f"{LOG_TROUBLES[worst.kind]} ({worst.path}: {worst.reason})"


def _last_run(instance: Instance, moment: Moment) -> float | None:
    """When the latest run began, also where it could not be started."""
    if instance.run is not None:
        return moment.as_wall(instance.run.started)
    return None if instance.last is None else moment.as_wall(instance.last.at - instance.last.uptime)


def _vitals(run: Run | None, moment: Moment) -> dict[str, Any]:
    """What is known about the work of a run: ages and texts."""
    vitals = Vitals() if run is None else run.vitals
    return {
        "heartbeat_age_seconds": None if run is None else _age(run.last_beat, moment),
        "progress_age_seconds": _age(vitals.last_progress, moment),
        "progress_text": vitals.progress_text,
        "iteration": vitals.iteration,
        "waiting_for": vitals.waiting_for,
        "waiting_seconds": _age(vitals.waiting_since, moment),
        "evidence": vitals.evidence,
        "trouble": vitals.trouble_why,
    }


def _age(since: float | None, moment: Moment) -> float | None:
    return None if since is None else round(max(0.0, moment.boot - since), 3)


def _last_exit(end: RunEnd, moment: Moment) -> LastExit:
    return LastExit(
        code=end.code,
        signal=None if end.signal is None else signal_name(end.signal),
        reason=end.reason,
        cause=end.cause,
        report=end.snapshot,
        run_id=end.run_id,
        rule=end.rule,
        at=moment.as_wall(end.at),
        uptime_seconds=round(end.uptime, 3),
    )


def _history_entry(transition: Transition, moment: Moment) -> dict[str, Any]:
    return {
        "at": moment.as_wall(transition.at),
        "event": type(transition.event).__name__,
        "from": transition.before,
        "to": transition.after,
        "reason": transition.reason,
    }
