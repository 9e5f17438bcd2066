"""In what two declarations of an app differ, and what that means for a run that exists.

``KEYS`` is the one table of it: the master goes by it, ``pypm apply`` shows it, docs/ecosystem.md lists it,
and a test holds it against the fields of :class:`AppSpec`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from pypm.core.spec import AppSpec

__all__ = ["KEYS", "Difference", "Key", "differences", "key_of"]


class Key(NamedTuple):
    """A field of a spec: what an ecosystem file calls it, and what a change of it takes."""

    written: str
    restart: bool = False
    """It holds only from the next run on, so a run that exists is replaced; else it holds at once, or from
    the next time on at which it matters (a start, an end), and the run goes on."""
    unit: Literal["", "bytes", "number"] = ""
    """What its number is one of; without it, a float is one of seconds, and any other a mere number."""


def _table(table: str, live: tuple[str, ...] = (), restart: tuple[str, ...] = ()) -> dict[str, Key]:
    """Keys that the file has in a table of the same name as the field."""
    names = [f"{table}.{name}" for name in live]
    return {name: Key(name) for name in names} | {
        f"{table}.{name}": Key(f"{table}.{name}", restart=True) for name in restart
    }


KEYS: Mapping[str, Key] = {
    # What a process is given when it is started.
    "name": Key("name", restart=True),
    "command": Key("command", restart=True),
    "cwd": Key("cwd", restart=True),
    "instance_var": Key("instance_var", restart=True),
    "increment_var": Key("increment_var", restart=True),
    "env": Key("env", restart=True),
    "env_files": Key("env_file", restart=True),
    "secrets": Key("secrets", restart=True),
    "filter_env": Key("filter_env", restart=True),
    "wait_ready": Key("wait_ready", restart=True),
    "notify_access": Key("notify_access", restart=True),
    "ready_fd": Key("ready_fd", restart=True),
    "sockets": Key("sockets", restart=True),
    "node_channel": Key("node_channel", restart=True),
    "shutdown_with_message": Key("shutdown_with_message", restart=True),
    "user": Key("user", restart=True),
    "group": Key("group", restart=True),
    "umask": Key("umask", restart=True),
    "no_new_privileges": Key("no_new_privileges", restart=True),
    **_table(
        "limits",
        restart=("open_files", "nice", "ionice", "cpu_affinity", "oom_score_adj"),
    ),
    "limits.file_size": Key("limits.file_size", restart=True, unit="bytes"),
    "limits.core": Key("limits.core", restart=True, unit="bytes"),
    "sandbox": Key("sandbox", restart=True),
    # What its supervisor goes by.
    "script": Key("script"),
    "namespace": Key("namespace"),
    "instances": Key("instances"),
    "max_unavailable": Key("max_unavailable"),
    "stdin": Key("stdin", restart=True),
    "autostart": Key("autostart"),
    "depends_on": Key("depends_on"),
    "hooks.post_start": Key("post_start"),
    "hooks.pre_stop": Key("pre_stop"),
    "hooks.on_failure": Key("on_failure"),
    "restart.autorestart": Key("autorestart"),
    "restart.stop_exit_codes": Key("stop_exit_codes"),
    "restart.delay": Key("restart_delay"),
    "restart.backoff": Key("exp_backoff_restart_delay"),
    "restart.max_backoff": Key("max_backoff"),
    "restart.backoff_reset": Key("backoff_reset"),
    "restart.max_restarts": Key("max_restarts"),
    "restart.window": Key("restart_window"),
    "restart.rules": Key("restart.rules"),
    "min_uptime": Key("min_uptime"),
    "kill_signal": Key("kill_signal"),
    "kill_timeout": Key("kill_timeout"),
    "treekill": Key("treekill"),
    "listen_timeout": Key("listen_timeout"),
    "allow_control": Key("allow_control"),
    "max_memory": Key("max_memory_restart", unit="bytes"),
    "limits.memory_warn": Key("limits.memory_warn", unit="bytes"),
    "limits.memory_high": Key("limits.memory_high", unit="bytes"),
    "limits.tasks": Key("limits.tasks"),
    "limits.cpu_max": Key("limits.cpu_max", unit="number"),
    "limits.enforce": Key("limits.enforce"),
    "namespace_limits": Key("namespaces"),
    "limits.cpu": Key("limits.cpu"),
    "limits.cpu.percent": Key("limits.cpu.percent", unit="number"),
    **_table("limits", ("memory_high_signal", "max_runtime", "runtime_jitter", "recycle_grace")),
    "logs.out_file": Key("out_file"),
    "logs.error_file": Key("error_file"),
    "logs.combined_file": Key("log_file"),
    "logs.merge": Key("merge_logs"),
    "logs.disabled": Key("disable_logs"),
    "logs.max_size": Key("logs.max_size", unit="bytes"),
    "logs.total_size": Key("logs.total_size", unit="bytes"),
    "logs.form": Key("logs.format"),
    "logs.max_line": Key("logs.max_line", unit="bytes"),
    **_table("logs", ("retain", "max_age", "rotate_at", "retain_age", "compress", "on_full")),
    **_table("logs", ("date_format", "redact")),
    **_table("health", ("heartbeat_timeout", "progress_timeout", "evidence", "max_extension")),
    **_table("health", ("on_startup", "on_heartbeat", "on_stall", "on_liveness")),
    **_table("health", ("startup", "liveness", "readiness")),
    "schedule": Key("schedule"),
    "cron_restart": Key("cron_restart"),
    "watch": Key("watch"),
    "watch.ignore": Key("ignore_watch"),
    "watch.delay": Key("watch_delay"),
    "source": Key("file"),
}
"""Field of a spec (``a.b``: a field of the structure in the field ``a``) -> its key. A field whose fields
are not in it stands for them."""


class Difference(NamedTuple):
    """One thing in which two declarations differ; ``None`` where there is nothing of it."""

    path: str
    """The field, ``env.NAME`` for a variable."""
    key: str
    """What a person knows it by: the key of the file."""
    old: Any
    new: Any
    restart: bool
    """A run that exists has to be replaced for it."""
    unit: Literal["", "bytes", "number"] = ""


def differences(old: AppSpec, new: AppSpec) -> list[Difference]:
    """All in which two declarations differ, in the order of the spec's fields."""
    found = list(_walk("", old, new))
    if any(each.path == "command" for each in found):  # it says the same more precisely
        found = [each for each in found if each.path != "script"]
    return found


def key_of(path: str) -> tuple[str, Key]:
    """The entry of ``KEYS`` for a field, or for the one that it is a part of; with the part's name."""
    part = path
    while part not in KEYS:
        part = part.rpartition(".")[0]
        if not part:  # a field that nobody has classified; a test finds it
            return path, Key(path, restart=True)
    key = KEYS[part]
    return key.written + path[len(part) :], key


def _walk(path: str, old: Any, new: Any) -> Iterator[Difference]:
    if old == new:
        return
    if isinstance(old, msgspec.Struct) and type(old) is type(new):
        names = [field.name for field in msgspec.structs.fields(old)]
        parts = [(name, getattr(old, name), getattr(new, name)) for name in names]
    elif isinstance(old, dict) and isinstance(new, dict):
        parts = [(name, old.get(name), new.get(name)) for name in {**old, **new}]
    else:
        written, key = key_of(path)
        yield Difference(path, written, old, new, key.restart, key.unit)
        return
    for name, before, after in parts:
        yield from _walk(f"{path}.{name}" if path else name, before, after)
