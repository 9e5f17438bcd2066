"""What ``pypm why`` knows of an instance, from its master or from the state file, and what follows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from pypm.cli.usage_view import memory_in_words
from pypm.core.awaited import awaited
from pypm.core.errors import ConfigError
from pypm.core.health import due_at
from pypm.core.health import next_step as following_step
from pypm.core.instance import Instance, RunEnd, Vitals
from pypm.core.policy import signal_name
from pypm.core.spec import AppSpec, HealthSpec, Rung
from pypm.core.state import State, StateError, decode
from pypm.logs.catalog import catalog_file
from pypm.logs.last_words import last_words
from pypm.logs.paths import log_files

__all__ = ["Facts", "read_saved", "saved_facts", "whole"]

LINES = 10
"""Last lines of a run that are shown."""

SCHEDULED = ("online", "errored", "exited", "stopped")
"""Statuses in which a schedule is what happens next, if nothing else does."""

STEPS = {
    "alert": "an alert, unless the missing sign comes",
    "dump": "a report is made of it, unless the missing sign comes",
    "restart": "it is restarted, unless the missing sign comes",
    "recycle": "a new run follows it, as soon as it has nothing under way",
    "timeout": "its run is stopped, as its time is over",
}
"""The steps that are taken about a silent or an old run; the others are signals."""

Facts = dict[str, Any]


def read_saved(home: str) -> State | None:
    """The state that the last master has saved; None where there is none.

    Raises ConfigError for one that cannot be read.
    """
    path = catalog_file(home)
    try:
        with open(path, "rb") as file:
            return decode(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except StateError as error:
        raise ConfigError(f"{path}: {error}") from error


def saved_facts(state: State, instance: Instance, logs_folder: str) -> Facts:
    """What the state tells of an instance, in the form of a *detail* of the protocol."""

    def wall(at: float | None) -> float | None:
        return None if at is None else round(state.wall_time - (state.boot_time - at), 3)

    def age(at: float | None) -> float | None:
        return None if at is None else round(max(0.0, state.boot_time - at), 3)

    run = instance.run
    vitals = Vitals() if run is None else run.vitals
    files = log_files(logs_folder, instance.spec, instance.index)
    return {
        "id": instance.id,
        "name": instance.name,
        "app": instance.app,
        "status": instance.status,
        "desired": instance.desired,
        "since": wall(instance.since),
        "deadline": wall(due_at(instance)),
        "next_step": _saved_step(instance, wall),
        "reason": instance.reason,
        "health": instance.health,
        "restarts": instance.restarts,
        "pid": None if run is None else run.main_pid,
        "run_id": None if run is None else run.run_id,
        "started_at": None if run is None else wall(run.started),
        "ready": run is not None and run.ready,
        "status_text": "" if run is None else run.status_text,
        "awaited": awaited(instance, state.boot_time),
        "heartbeat_age_seconds": None if run is None else age(run.last_beat),
        "progress_age_seconds": age(vitals.last_progress),
        "progress_text": vitals.progress_text,
        "iteration": vitals.iteration,
        "waiting_for": vitals.waiting_for,
        "waiting_seconds": age(vitals.waiting_since),
        "evidence": vitals.evidence,
        "trouble": vitals.trouble_why,
        "log_trouble": "",  # a new master finds out anew
        "out_file": files.out,
        "error_file": files.error,
        "spec": msgspec.to_builtins(instance.spec),
        "runs": [_saved_run(end, wall(end.at)) for end in instance.runs],
    }


def _saved_step(instance: Instance, wall: Callable[[float | None], float | None]) -> Facts | None:
    if (following := following_step(instance)) is None:
        return None
    step, at = following
    return {"step": step, "at": wall(at)}


def _saved_run(end: RunEnd, at: float | None) -> Facts:
    return {
        "code": end.code,
        "signal": None if end.signal is None else signal_name(end.signal),
        "reason": end.reason,
        "cause": end.cause,
        "report": end.snapshot,
        "run_id": end.run_id,
        "rule": end.rule,
        "at": at,
        "uptime_seconds": round(end.uptime, 3),
    }


def whole(detail: Facts, source: str, as_of: float) -> Facts:
    """The answer for one instance. ``source``: ``master`` or ``state``, which is as it was at ``as_of``."""
    spec = msgspec.convert(detail["spec"], AppSpec)
    runs: list[Facts] = detail["runs"]
    last = runs[0] if runs else None
    told = (
        "name", "id", "app", "status", "desired", "since", "reason", "health", "trouble", "restarts", "pid",
        "run_id", "started_at", "ready", "status_text", "awaited", "heartbeat_age_seconds",
        "progress_age_seconds",
        "progress_text", "iteration", "waiting_for", "waiting_seconds", "evidence", "log_trouble",
    )  # fmt: skip
    return {
        **{key: detail[key] for key in told},
        "memory": memory_in_words(detail),
        "cause": None if last is None else last["cause"],
        "rule": _deciding_rule(detail, last, spec),
        "next": next_step(detail),
        "last_words": _last_words(detail, last, spec),
        "report": "" if last is None else last["report"],
        "runs": runs,
        "source": source,
        "as_of": round(as_of, 3),
    }


def _deciding_rule(detail: Facts, last: Facts | None, spec: AppSpec) -> str:
    """What has led to the status, in words: a rule, the restart policy, a ladder; empty: somebody's order."""
    from pypm.cli.description import ladder_in_words, policy_in_words, schedule_in_words

    if detail["trouble"]:
        return ladder_in_words(_ladder(detail, spec.health))
    was_decided = detail["status"] in ("backoff", "held", "errored", "exited") or _is_restarted(detail)
    if last is None or not was_decided or last["cause"] in ("operator", "config"):
        return ""
    if last["rule"]:
        return str(last["rule"])
    return policy_in_words(spec.restart) if spec.schedule is None else schedule_in_words(spec)


def _ladder(detail: Facts, health: HealthSpec) -> tuple[Rung, ...]:
    """The ladder by which something is done about its trouble."""
    if detail["status"] == "starting":
        return health.on_startup
    if "probe" in detail["trouble"]:
        return health.on_liveness
    return health.on_stall if detail["health"] == "stalled" else health.on_heartbeat


def _is_restarted(detail: Facts) -> bool:
    return detail["status"] in ("starting", "online") and str(detail["reason"]).startswith("restarted")


def next_step(detail: Facts) -> Facts:
    """What happens next, by itself or by somebody's order, and when (Unix time), if that is known."""
    status, name, at = detail["status"], detail["name"], detail["deadline"]
    by_hand = f"`pypm start {name}`"
    until = f"until {by_hand}"
    if detail["runs"] and detail["runs"][0]["cause"] == "dependency" and not detail["runs"][0]["rule"]:
        until = "until what it depends on is there"
    words = {
        "backoff": "it is started again",
        "held": f"it is started again; {by_hand} does it now" if at else f"nothing, {until}",
        "starting": _what_a_start_needs(detail),
        "stopping": "what has not ended is killed",
        "errored": f"nothing by itself: {by_hand} tries again",
        "exited": f"nothing by itself: {by_hand} starts it",
        "stopped": f"nothing by itself: {by_hand} starts it",
        "online": _what_is_due(detail) if at else "nothing is due",
    }
    if (scheduled := detail.get("next_run")) is not None and at is None and status in SCHEDULED:
        return {"what": "its schedule is due", "at": scheduled}
    if status in ("online", "starting") and (step := detail.get("next_step")) is not None:
        return {"what": STEPS.get(step["step"], f"{step['step']} is sent to it"), "at": step["at"]}
    if status == "online" and detail["trouble"]:
        words["online"] = "nothing more is done about its trouble"
        at = None
    return {"what": words[status], "at": at}


def _what_a_start_needs(detail: Facts) -> str:
    if detail.get("pid") is None:
        waits = str(detail.get("awaited", "")).startswith("waits for")
        return "its process is started" + (", as soon as that is so" if waits else "")
    if detail["trouble"]:
        return "nothing more is done about that, until it is ready"
    return "it has to be ready"


def _what_is_due(detail: Facts) -> str:
    """What the deadline of a run is that is up."""
    timeout = (detail.get("spec", {}).get("schedule") or {}).get("timeout")
    if (
        timeout is not None
        and detail["started_at"]
        and detail["deadline"] > detail["started_at"] + timeout - 1
    ):
        return "its timeout is over, and it is stopped"
    return "its health is judged"


def _last_words(detail: Facts, last: Facts | None, spec: AppSpec) -> Facts | None:
    """The last lines of the run in question: of one that is in trouble, else of the last one that ended."""
    run_id = detail["run_id"] if detail["trouble"] else None
    if run_id is None and last is not None and (detail["pid"] is None or _is_restarted(detail)):
        run_id = last["run_id"]
    if not run_id:
        return None
    form = spec.logs.date_format if spec.logs.form == "text" else None
    for stream in ("error", "out"):
        file = detail[f"{stream}_file"]
        if file is None:
            continue
        try:
            lines = last_words(file, run_id, LINES, recorded=spec.logs.form != "raw", date_format=form)
        except OSError:
            lines = []
        if lines:
            return {"run_id": run_id, "stream": stream, "file": file, "lines": lines}
    return None


def in_seconds(at: float | None) -> float | None:
    """How long it is until a Unix time; None for one that is over."""
    return None if at is None or at <= time.time() else at - time.time()
