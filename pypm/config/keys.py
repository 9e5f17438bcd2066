"""The keys of an app: canonical name, PM2's aliases, type; and the keys that are refused, each with a reason.

Every name and alias is also accepted in camelCase, as PM2 does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pypm.config import (
    dependencies,
    hooks,
    ladders,
    limits,
    log_bounds,
    probes,
    rules,
    sandbox,
    schedules,
    secrets,
    usage_limits,
    values,
)
from pypm.config.faults import Place, nearest
from pypm.config.units import parse_duration, shown
from pypm.core.errors import ConfigError
from pypm.core.limit_validity import LEAST_NICE, MOST_NICE, MOST_OOM_SCORE, MOST_TASKS

__all__ = [
    "HEALTH_KEYS",
    "KEYS",
    "LIMIT_KEYS",
    "LOG_KEYS",
    "NAMESPACE_LIMITS",
    "RESTART_KEYS",
    "SANDBOX_KEYS",
    "SCHEDULE_KEYS",
    "Key",
    "is_app_key",
    "read_app",
    "read_table",
]


class Key:
    """A key of the file: its canonical name, the names that mean the same, and its converter."""

    def __init__(self, name: str, convert: Callable[[object], Any], *aliases: str) -> None:
        self.name = name
        self.convert = convert
        self.aliases = aliases


KEYS = (
    Key("name", values.name),
    Key("script", values.text, "exec"),
    Key("command", values.command, "cmd"),
    Key("module", values.text),
    Key("args", values.arguments),
    Key("shell", values.boolean),
    Key("interpreter", values.text, "exec_interpreter"),
    Key("interpreter_args", values.arguments, "node_args"),
    Key("venv", values.venv),
    Key("cwd", values.text),
    Key("namespace", values.name),
    Key("instances", values.instances),
    Key("instance_var", values.variable),
    Key("increment_var", values.variable),
    Key("env", values.environment),
    Key("env_file", values.texts),
    Key("secrets", secrets.secrets),
    Key("filter_env", values.filter_env),
    Key("autostart", values.boolean),
    Key("depends_on", dependencies.depends_on),
    Key("post_start", hooks.hook),
    Key("pre_stop", hooks.hook),
    Key("on_failure", hooks.hook),
    Key("autorestart", values.autorestart),
    Key("stop_exit_codes", values.exit_codes),
    Key("restart_delay", parse_duration),
    Key("exp_backoff_restart_delay", parse_duration),
    Key("max_backoff", parse_duration),
    Key("backoff_reset", parse_duration),
    Key("max_restarts", values.restarts),
    Key("restart_window", parse_duration),
    Key("min_uptime", parse_duration),
    Key("max_memory_restart", values.memory_limit),
    Key("user", limits.user, "uid", "username"),
    Key("group", limits.user, "gid"),
    Key("umask", limits.umask),
    Key("no_new_privileges", values.boolean),
    Key("kill_signal", values.signal_name),
    Key("kill_timeout", parse_duration),
    Key("treekill", values.boolean),
    Key("allow_control", values.boolean),
    Key("wait_ready", values.boolean),
    Key("listen_timeout", parse_duration),
    Key("notify_access", values.one_of("all", "main", "none")),
    Key("ready_fd", values.whole(3, 9)),
    Key("stdin", values.boolean),
    Key("sockets", values.sockets),
    Key("max_unavailable", values.whole(0, 10_000)),
    Key("node_channel", values.boolean),
    Key("shutdown_with_message", values.boolean),
    Key("out_file", values.text, "out", "output", "out_log"),
    Key("error_file", values.text, "error", "err", "err_file", "err_log"),
    Key("log_file", values.text, "log"),
    Key("merge_logs", values.boolean, "combine_logs"),
    Key("disable_logs", values.boolean),
    Key("cron_restart", schedules.cron_restart, "cron"),
    Key("watch", values.watch),
    Key("ignore_watch", values.texts),
    Key("watch_delay", parse_duration),
    Key("time", values.boolean),
    Key("log_type", values.one_of("raw", "json")),
    Key("log_date_format", values.date_format),
)

LOG_KEYS = (
    Key("max_size", log_bounds.bytes_of_logs),
    Key("retain", values.whole(0, 100_000)),
    Key("max_age", log_bounds.some_time),
    Key("rotate_at", log_bounds.cron_line),
    Key("retain_age", log_bounds.some_time),
    Key("compress", log_bounds.compression),
    Key("total_size", log_bounds.bytes_of_logs),
    Key("on_full", values.one_of("drop", "block")),
    Key("format", values.one_of("raw", "text", "json")),
    Key("date_format", values.date_format),
    Key("max_line", values.line_size),
    Key("redact", values.redactions),
)
"""The keys of the table ``logs``."""

HEALTH_KEYS = (
    Key("startup_timeout", parse_duration),
    Key("heartbeat_timeout", parse_duration),
    Key("progress_timeout", parse_duration),
    Key("on_startup", ladders.ladder),
    Key("on_heartbeat", ladders.ladder),
    Key("on_stall", ladders.ladder),
    Key("on_liveness", ladders.ladder),
    Key("startup", probes.Probe("startup")),
    Key("liveness", probes.Probe("liveness")),
    Key("readiness", probes.Probe("readiness")),
    Key("evidence", ladders.evidence),
    Key("max_extension", parse_duration),
)
"""The keys of the table ``health``."""

SCHEDULE_KEYS = (
    Key("cron", schedules.cron),
    Key("every", schedules.every),
    Key("timezone", schedules.time_zone),
    Key("jitter", parse_duration),
    Key("overlap", values.one_of("skip", "queue", "kill")),
    Key("timeout", log_bounds.some_time),
    Key("catch_up", values.boolean),
)
"""The keys of the table ``schedule``."""

LIMIT_KEYS = (
    Key("memory", values.memory_limit),
    Key("open_files", values.whole(1, 2**30)),
    Key("file_size", limits.size),
    Key("core", limits.size),
    Key("nice", values.whole(LEAST_NICE, MOST_NICE)),
    Key("ionice", limits.io_priority),
    Key("cpu_affinity", limits.cpu_affinity),
    Key("oom_score_adj", values.whole(-MOST_OOM_SCORE, MOST_OOM_SCORE)),
    Key("memory_warn", usage_limits.memory_level),
    Key("memory_high", usage_limits.memory_level),
    Key("memory_high_signal", values.signal_name),
    Key("cpu", usage_limits.cpu_limit),
    Key("max_runtime", usage_limits.runtime),
    Key("runtime_jitter", parse_duration),
    Key("recycle_grace", parse_duration),
    Key("tasks", values.whole(1, MOST_TASKS), "tasks_max"),
    Key("cpu_max", limits.share_of_core),
    Key("enforce", values.one_of("required", "best_effort")),
)
"""The keys of the table ``limits``."""

NAMESPACE_LIMITS = ("memory", "tasks", "cpu_max", "enforce")
"""Those that all apps of a namespace can have together."""

SANDBOX_KEYS = (
    Key("protect_system", sandbox.protection("full", "strict")),
    Key("protect_home", sandbox.protection("read-only", "tmpfs")),
    Key("read_write_paths", sandbox.paths),
    Key("read_only_paths", sandbox.paths),
    Key("inaccessible_paths", sandbox.paths),
    Key("private_tmp", values.boolean),
    Key("private_devices", values.boolean),
    Key("private_network", values.boolean),
    Key("private_ipc", values.boolean),
    Key("private_pids", values.boolean),
    Key("protect_kernel_tunables", values.boolean),
    Key("protect_control_groups", values.boolean),
    Key("protect_hostname", values.boolean),
)
"""The keys of the table ``sandbox``."""

RESTART_KEYS = (Key("rules", rules.rules),)
"""The keys of the table ``restart``, which may also be the list of the rules itself."""

NOT_YET = {
    "append_env_to_name": "; write the whole name, or tell apps of several environments apart by namespace",
    "name_prefix": "; write the whole name, or use namespace",
    "pid": "; `pypm pid NAME` tells it",
    "pid_file": "; `pypm pid NAME` tells it",
    "port": '; use env = { PORT = "…" }',
    "post_update": "",
    "static": "",
    "watch_options": "; leave it out: the kernel tells what changes; there are watch_delay and ignore_watch",
}
"""What a later version brings, and what to do until then. A value that asks for nothing is fine today."""

NEVER = {
    "automation": "it belongs to PM2's hosted monitoring",
    "deep_monitoring": "it belongs to PM2's hosted monitoring",
    "event_loop_inspector": "it instruments Node",
    "force": "names are unique in pypm; for several copies use instances",
    "install_url": "it is PM2's own bookkeeping",
    "io": "it belongs to PM2's hosted monitoring",
    "kill_retry_time": "pypm is told by the kernel when a process ends and does not poll",
    "pmx": "it instruments Node for PM2's hosted monitoring",
    "source_map_support": 'it instruments Node; use interpreter_args = "--enable-source-maps"',
    "trace": "it belongs to PM2's hosted monitoring",
    "treat": "it belongs to PM2",
    "v8": "it instruments Node",
    "vizion": "pypm does not read version control",
    "write": "it is PM2's own bookkeeping",
}
"""Keys of PM2 that have no meaning here; a value that asks for nothing is fine."""

ASK_NOTHING: Mapping[str, tuple[object, ...]] = {
    "disable_source_map_support": (True,),
    "disable_trace": (True,),
    "exec_mode": ("fork", "fork_mode"),
    "execute_command": (True,),
    "windows_hide": (True,),
}
"""Values, beside false, 0 and null, which ask for what pypm does anyway."""

CLUSTER = ("cluster", "cluster_mode")
"""Modes that one instance alone does not need."""

NO_CLUSTER = (
    'several instances do not share a port through Node; with "fork" each is a process that listens for '
    "itself: by sockets, with reusePort, or on a port of its own by increment_var"
)

ONLY_WHILE_WATCHING = frozenset(("watch_options",))

OTHER_WORDS = {
    "directory": "cwd",
    "environment": "env",
    "max_size": "logs.max_size",
    "max_line": "logs.max_line",
    "numprocs": "instances",
    "redact": "logs.redact",
    "replicas": "instances",
    "retain": "logs.retain",
    "retries": "max_restarts",
    "startretries": "max_restarts",
    "stopsignal": "kill_signal",
    "stopwaitsecs": "kill_timeout",
    "working_dir": "cwd",
    "workdir": "cwd",
}
"""What others call it, where no letters are alike."""


def camel_case(name: str) -> str:
    """``max_restarts`` as PM2 also takes it: ``maxRestarts``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _spellings(names: Iterable[str]) -> dict[str, str]:
    return {spelling: name for name in names for spelling in (camel_case(name), name)}


def _index(keys: Iterable[Key]) -> dict[str, Key]:
    return {spelling: key for key in keys for spelling in _spellings((key.name, *key.aliases))}


_APP = _index(KEYS)
TABLES = {
    "logs": _index(LOG_KEYS),
    "health": _index(HEALTH_KEYS),
    "limits": _index(LIMIT_KEYS),
    "restart": _index(RESTART_KEYS),
    "sandbox": _index(
        (*SANDBOX_KEYS, *(Key(name, sandbox.not_by_bubblewrap(name)) for name in sandbox.NOT_BY_BUBBLEWRAP))
    ),
    "schedule": _index(SCHEDULE_KEYS),
}
"""The keys of an app that are tables of their own."""
_REFUSED = _spellings((*NOT_YET, *NEVER, *ASK_NOTHING))


def is_app_key(spelling: str) -> bool:
    """Whether an app may have the key (``env_<name>`` not counted)."""
    return spelling in _APP or spelling in _REFUSED or spelling in TABLES


def read_app(raw: Mapping[str, object], place: Place) -> dict[str, Any]:
    """The settings of one app's table by their canonical names, converted; faults go to ``place``.

    ``env_<name>`` tables are kept under that name. A null is a key that is not there.
    """
    given = {key: value for key, value in raw.items() if value is not None}
    settings: dict[str, Any] = {}
    for spelling, value in given.items():
        if spelling in TABLES:
            settings[spelling] = read_table(spelling, value, place)
        elif spelling in _APP:
            _read_key(_APP[spelling], spelling, value, place, settings)
        elif spelling.startswith("env_") and spelling != "env_":
            _read_key(Key(spelling, values.environment), spelling, value, place, settings)
        else:
            _refuse(spelling, value, given, place)
    _read_form(settings, place)
    return settings


def read_table(name: str, raw: object, place: Place, suggested: Iterable[str] = ()) -> dict[str, Any]:
    """The settings of one of the ``TABLES``; for a misspelled key only some may be ``suggested``."""
    settings: dict[str, Any] = {}
    if name == "restart" and isinstance(raw, list):
        raw = {"rules": raw}
    if not isinstance(raw, Mapping):
        place.fault(name, f"{shown(raw)} is {values.kind(raw)}: expected a table such as [apps.{name}]")
        return settings
    keys = TABLES[name]
    for spelling, value in raw.items():
        if value is None:
            continue
        where = f"{name}.{spelling}"
        if spelling in keys:
            _read_key(keys[spelling], where, value, place, settings)
        else:
            place.fault(where, f"unknown key{nearest(spelling, tuple(suggested) or keys)}")
    return settings


def _read_form(settings: dict[str, Any], place: Place) -> None:
    """What PM2's keys say of the form of the logs, and what goes without saying, becomes part of ``logs``."""
    logs = dict(settings.get("logs", {}))
    stamped, form = settings.pop("time", None), settings.pop("log_type", None)
    date_format = settings.pop("log_date_format", None)
    if date_format is not None and logs.setdefault("date_format", date_format) != date_format:
        place.fault("log_date_format", 'says the same as "logs.date_format"; keep one of them')
    if "format" in logs:
        if form is not None or stamped:
            key = "log_type" if form is not None else "time"
            place.fault(key, 'says the same as "logs.format"; keep one of them')
        elif logs["format"] == "raw" and "date_format" in logs:
            place.fault("logs.date_format", 'a time is written with format = "text" or "json" only')
    elif form == "json":
        logs["format"] = form
    elif stamped or "date_format" in logs:
        logs["format"] = "text"
    elif stamped is not None or form is not None:
        logs["format"] = "raw"
    if logs:
        settings["logs"] = logs


def _read_key(key: Key, spelling: str, value: object, place: Place, settings: dict[str, Any]) -> None:
    if key.name in settings:
        other = place.written.get(key.name, key.name)
        place.fault(spelling, f'says the same as "{other}"; keep one of them')
        return
    place.written.setdefault(key.name, spelling)
    try:
        settings[key.name] = key.convert(value)
    except ConfigError as error:
        place.failed.add(key.name)
        place.fault(key.name, error.message)


def _refuse(spelling: str, value: object, given: Mapping[str, object], place: Place) -> None:
    name = _REFUSED.get(spelling)
    if name is None:
        place.fault(spelling, f"unknown key{_suggestion(spelling)}")
    elif _asks_nothing(name, value, given):
        return
    elif name in NEVER:
        place.fault(spelling, f"pypm does not have this: {NEVER[name]}")
    elif name == "exec_mode":
        why = NO_CLUSTER if value in CLUSTER else 'expected "fork"'
        place.fault(spelling, f"{shown(value)}: {why}")
    elif name in NOT_YET:
        place.fault(spelling, f"not supported yet{NOT_YET[name]}")
    else:
        place.fault(spelling, f"{shown(value)}: pypm does not have this, as it does not instrument Node")


def _suggestion(spelling: str) -> str:
    other = OTHER_WORDS.get(spelling)
    if other:
        return f'; did you mean "{other}"?'
    return nearest(spelling, (*(name for name in _APP if name.islower()), *TABLES, *_REFUSED))


def _asks_nothing(name: str, value: object, given: Mapping[str, object]) -> bool:
    if isinstance(value, bool) and not value:
        return True
    if name in ONLY_WHILE_WATCHING and "watch" in given and _asks_nothing("watch", given["watch"], given):
        return True
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value == 0
    if name == "exec_mode" and value in CLUSTER:
        return given.get("instances") in (None, 1, "1")
    if value in ASK_NOTHING.get(name, ()):
        return True
    return isinstance(value, str | list | Mapping) and not value
