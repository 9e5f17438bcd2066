"""Settings of an app to its AppSpec: defaults applied, paths absolute, everything that it needs found."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pypm.config.faults import KeyFaultError, Place
from pypm.config.hooks import hook_fields
from pypm.config.keys import TABLES
from pypm.config.limits import identity_fields, limit_fields
from pypm.config.program import Program, resolve_program
from pypm.config.sandbox import sandbox_spec
from pypm.config.schedules import schedule_spec
from pypm.config.search import Search
from pypm.config.secrets import secret_sources
from pypm.config.units import shown
from pypm.config.values import name as checked_name
from pypm.core.errors import ConfigError
from pypm.core.probe_spec import ProbeSpec
from pypm.core.probe_validity import fault_of_log_probes
from pypm.core.spec import AppSpec, HealthSpec, LogSpec, RestartPolicy, WatchSpec

__all__ = ["Base", "duplicates", "merge", "resolve"]

Settings = Mapping[str, Any]

APP_FIELDS = {
    "namespace": "namespace",
    "instances": "instances",
    "instance_var": "instance_var",
    "increment_var": "increment_var",
    "filter_env": "filter_env",
    "autostart": "autostart",
    "max_unavailable": "max_unavailable",
    "stdin": "stdin",
    "depends_on": "depends_on",
    "min_uptime": "min_uptime",
    "max_memory_restart": "max_memory",
    "kill_signal": "kill_signal",
    "kill_timeout": "kill_timeout",
    "treekill": "treekill",
    "allow_control": "allow_control",
    "wait_ready": "wait_ready",
    "notify_access": "notify_access",
    "ready_fd": "ready_fd",
    "sockets": "sockets",
    "node_channel": "node_channel",
    "shutdown_with_message": "shutdown_with_message",
    "listen_timeout": "listen_timeout",
    "cron_restart": "cron_restart",
    "umask": "umask",
    "no_new_privileges": "no_new_privileges",
}
"""Key of the file to field of AppSpec, where the value is taken as it is; the next two are for its parts."""

RESTART_FIELDS = {
    "autorestart": "autorestart",
    "stop_exit_codes": "stop_exit_codes",
    "max_backoff": "max_backoff",
    "backoff_reset": "backoff_reset",
    "max_restarts": "max_restarts",
    "restart_window": "window",
}
LOG_FIELDS = {"merge_logs": "merge", "disable_logs": "disabled"}
LOG_FILES = {"out_file": "out_file", "error_file": "error_file", "log_file": "combined_file"}

LADDERS = {"heartbeat_timeout": "on_heartbeat", "progress_timeout": "on_stall"}
"""What follows when a time of ``health`` is over."""
NO_BUDGET = "the startup probe has a budget of its own: failure_threshold x period"

WHAT_RUNS = ("script", "command", "module")
NO_CHANNEL = (
    "there is no channel for the message: that is Node's; with node_channel = true a program other than node "
    "gets one too"
)
GROUND = frozenset((*WHAT_RUNS, "cwd", "env", "interpreter", "shell", "venv"))
"""Keys without whose values nothing can be looked for."""


class Base(NamedTuple):
    """What the source of a declaration contributes to each app."""

    folder: str
    """Absolute path: relative ones begin here."""
    instance_var: str = "PYPM_INSTANCE"
    source: str | None = None


def merge(defaults: Settings, settings: Settings, env_name: str | None) -> dict[str, Any]:
    """An app's settings over the defaults; with ``env_name``, each ``env_<name>`` over its ``env``.

    Environments and the table ``logs`` are merged, any other value is replaced.
    """
    merged = {**defaults, **settings}
    if any(key in settings for key in WHAT_RUNS):
        for key in WHAT_RUNS:
            if key not in settings:
                merged.pop(key, None)
    env: dict[str, str] = {}
    for table in (defaults, settings):
        env.update(table.get("env", {}))
        env.update(table.get(f"env_{env_name}", {}) if env_name else {})
    merged["env"] = env
    for name in TABLES:
        merged[name] = {**defaults.get(name, {}), **settings.get(name, {})}
    return merged


def resolve(settings: Settings, base: Base, place: Place) -> AppSpec | None:
    """The spec of one app; ``None`` if anything is wrong, which then is among the faults of ``place``."""
    if place.failed & GROUND:
        return None
    env = dict(settings.get("env", {}))
    cwd = _cwd(settings, base, place)
    search = Search(cwd or base.folder, base.folder, env.get("PATH") or os.environ.get("PATH", os.defpath))
    program = _program(settings, search, place) if cwd else None
    name = _name(settings, program, place)
    fields = {field: settings[key] for key, field in APP_FIELDS.items() if key in settings}
    env_files = _env_files(settings, search, place)
    logs = _logs(settings, search.cwd, place)
    fields |= _health_fields(settings, place)
    if cwd:
        _check_probe_programs(fields.get("health", HealthSpec()), search, place)
    if schedule := schedule_spec(settings, place):
        fields |= {"schedule": schedule}
    if secrets := secret_sources(settings.get("secrets", {}), search, place):
        fields |= {"secrets": secrets}
    fields |= limit_fields(settings, place) | identity_fields(settings, place)
    fields |= hook_fields(settings, search, place) if cwd else {}
    if sandbox := sandbox_spec(settings, search.cwd, place):
        fields |= {"sandbox": sandbox}
    if watch := _watch(settings, search.cwd, place):
        fields |= {"watch": watch}
    _check_increment(settings, env, place)
    if program is None or place.count:
        return None
    spec_fields: dict[str, Any] = {"instance_var": base.instance_var, **fields}
    spec = AppSpec(
        name=name,
        command=program.argv,
        cwd=search.cwd,
        script=program.script,
        env={**program.env, **env},
        env_files=env_files,
        restart=_restart(settings),
        logs=logs,
        source=base.source,
        **spec_fields,
    )
    if spec.shutdown_with_message and not spec.has_node_channel:
        place.fault("shutdown_with_message", NO_CHANNEL)
        return None
    if fault := fault_of_log_probes(spec):
        place.fault("health", fault)
        return None
    return spec


def _cwd(settings: Settings, base: Base, place: Place) -> str | None:
    written = os.path.expanduser(settings.get("cwd", ""))
    path = os.path.normpath(os.path.join(base.folder, written))
    if not os.path.isdir(path):
        place.fault("cwd", f"{path} is {'not a folder' if os.path.exists(path) else 'not there'}")
        return None
    if not os.access(path, os.X_OK):
        place.fault("cwd", f"{path} cannot be entered: permission denied")
        return None
    return path


def _program(settings: Settings, search: Search, place: Place) -> Program | None:
    key = "venv"
    try:
        if "venv" in settings:
            search.use_venv(settings["venv"])
        key = next((key for key in WHAT_RUNS if key in settings), "")
        if not key and place.count:
            return None  # it is probably the misspelled key
        return resolve_program(settings, search, place)
    except ConfigError as error:
        place.fault(error.key if isinstance(error, KeyFaultError) else key, error.message)
    return None


def _name(settings: Settings, program: Program | None, place: Place) -> str:
    if "name" in settings or "name" in place.failed or program is None:
        return str(settings.get("name", ""))
    try:
        return checked_name(program.name)
    except ConfigError as error:
        place.fault("name", f"give the app a name: {error.message}")
    return ""


def _env_files(settings: Settings, search: Search, place: Place) -> tuple[str, ...]:
    found = []
    for word in settings.get("env_file", ()):
        path = search.file(word)
        if path is None:
            place.fault("env_file", f"{shown(word)} is not a file in {' or '.join(search.folders())}")
        elif not os.access(path, os.R_OK):
            place.fault("env_file", f"{path} cannot be read: permission denied")
        else:
            found.append(path)
    return tuple(found)


def _restart(settings: Settings) -> RestartPolicy:
    fields = {field: settings[key] for key, field in RESTART_FIELDS.items() if key in settings}
    fields |= settings.get("restart", {})
    # As in PM2 the growing delay wins over the constant one, and is off when it is 0.
    backoff = settings.get("exp_backoff_restart_delay") or None
    delay = settings.get("restart_delay") if backoff is None else None
    return RestartPolicy(backoff=backoff, delay=delay, **fields)


def _watch(settings: Settings, cwd: str, place: Place) -> WatchSpec | None:
    if "watch" not in settings:
        for key, what in (("ignore_watch", "what is left out"), ("watch_delay", "how long to wait")):
            if key in settings:
                place.fault(key, f"says {what}, but watch is not set")
    if not settings.get("watch"):
        return None
    paths = tuple(os.path.normpath(os.path.join(cwd, os.path.expanduser(each))) for each in settings["watch"])
    for path in paths:
        if not os.path.exists(path):
            place.fault("watch", f"{path} is not there")
    return WatchSpec(paths, tuple(settings.get("ignore_watch", ())), settings.get("watch_delay", 0.0))


def _health_fields(settings: Settings, place: Place) -> dict[str, Any]:
    table = settings.get("health")
    if not table:
        return {}
    fields: dict[str, Any] = {"health": _health(settings, place)}
    if "startup_timeout" in table:
        fields["listen_timeout"] = table["startup_timeout"]
        if "listen_timeout" in settings:
            place.fault("health.startup_timeout", 'says the same as "listen_timeout"; keep one of them')
    return fields


def _check_probe_programs(health: HealthSpec, search: Search, place: Place) -> None:
    """A probe whose program is not there would restart an app that is well, again and again."""
    for kind in ("startup", "liveness", "readiness"):
        probe: ProbeSpec | None = getattr(health, kind)
        if probe is None or probe.exec is None:
            continue
        try:
            search.program(probe.exec[0], "program")
        except ConfigError as error:
            place.fault(f"health.{kind}", error.message)


def _health(settings: Settings, place: Place) -> HealthSpec:
    fields: dict[str, Any] = dict(settings.get("health", {}))
    fields.pop("startup_timeout", None)
    for timeout, ladder in LADDERS.items():
        if ladder in fields and timeout not in settings.get("health", {}):
            place.fault(f"health.{ladder}", f"says what follows, but {timeout} is not set")
    if "on_liveness" in fields and "liveness" not in {*fields, *place.failed}:
        place.fault("health.on_liveness", "says what follows, but there is no liveness probe")
    if "startup" in fields:
        for key, table in (("listen_timeout", settings), ("startup_timeout", settings["health"])):
            if key in table:
                place.fault(key, NO_BUDGET)
    for timeout in LADDERS:
        fields[timeout] = fields.get(timeout) or None  # 0: off
    return HealthSpec(**fields)


def _logs(settings: Settings, cwd: str, place: Place) -> LogSpec:
    fields = {field: settings[key] for key, field in LOG_FIELDS.items() if key in settings}
    for key, field in LOG_FILES.items():
        if key in settings:
            fields[field] = _log_path(key, settings[key], cwd, place)
    logs = dict(settings.get("logs", {}))
    form = logs.pop("format", "raw")
    if form == "raw":
        logs.pop("date_format", None)  # of the defaults, for the apps that have times in their logs
        for key in ("redact", "max_line"):
            if logs.get(key):
                place.fault(f"logs.{key}", 'raw bytes are not looked at: it needs format = "text" or "json"')
    return LogSpec(**fields, form=form, **logs)


def _log_path(key: str, written: str, cwd: str, place: Place) -> str:
    if written in ("NULL", "/dev/null"):
        return "/dev/null"
    path = os.path.normpath(os.path.join(cwd, os.path.expanduser(written)))
    folder = os.path.dirname(path)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if os.path.isdir(path):
        place.fault(key, f"{path} is a folder")
    elif not os.path.isdir(folder):
        place.fault(key, f"{path} cannot be written: {folder} is not a folder")
    elif not os.access(path if os.path.exists(path) else folder, os.W_OK):
        place.fault(key, f"{path} cannot be written: permission denied")
    return path


def _check_increment(settings: Settings, env: Mapping[str, str], place: Place) -> None:
    variable = settings.get("increment_var")
    if variable is None or (variable not in env and settings.get("env_file")):
        return  # the environment file may declare it, and is read at each start
    value = env.get(variable)
    if value is None:
        place.fault("increment_var", f'env does not declare "{variable}"')
    elif not value.strip().removeprefix("-").isdecimal():
        place.fault("increment_var", f'env declares "{variable}" as {shown(value)}, which is no whole number')


def duplicates(names: Sequence[tuple[str, Place]]) -> None:
    """A fault for each name that an earlier app has already."""
    places: dict[str, Place] = {}
    for name, place in names:
        if name in places:
            place.fault("name", f'"{name}" is also the name of {places[name].path}')
        places.setdefault(name, place)
