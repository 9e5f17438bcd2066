"""PM2: its ecosystem files, its dump, and what a running PM2 tells (``pm2 jlist``)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from pypm.config.documents import read_document
from pypm.config.draft import AppDraft
from pypm.config.faults import Faults
from pypm.config.foreign.drafting import NO_EQUAL, FileDraft, app_name
from pypm.config.keys import ASK_NOTHING, KEYS, NEVER, TABLES, camel_case
from pypm.core.errors import ConfigError

__all__ = ["read_pm2", "read_pm2_list"]

OF_PM2 = re.compile(
    r"(?i)PM2_.*|pm_.*|NODE_APP_INSTANCE|unique_id|npm_.*|_|SHLVL|PWD|OLDPWD|axm_.*|status|SILENT|updateEnv"
)
"""Variables that PM2 and the shell have put there themselves."""
DEFAULTS: Mapping[str, tuple[str, object]] = {
    "namespace": ("namespace", "default"),
    "args": ("args", []),
    "node_args": ("interpreter_args", []),
    "autorestart": ("autorestart", True),
    "max_restarts": ("max_restarts", 16),
    "min_uptime": ("min_uptime", 1000),
    "restart_delay": ("restart_delay", 0),
    "exp_backoff_restart_delay": ("exp_backoff_restart_delay", 0),
    "stop_exit_codes": ("stop_exit_codes", []),
    "max_memory_restart": ("max_memory_restart", 0),
    "kill_timeout": ("kill_timeout", 1600),
    "listen_timeout": ("listen_timeout", 3000),
    "wait_ready": ("wait_ready", False),
    "shutdown_with_message": ("shutdown_with_message", False),
    "cron_restart": ("cron_restart", "0"),
    "watch": ("watch", False),
    "ignore_watch": ("ignore_watch", []),
    "treekill": ("treekill", True),
    "merge_logs": ("merge_logs", False),
    "log_date_format": ("log_date_format", ""),
    "log_type": ("log_type", "raw"),
    "increment_var": ("increment_var", ""),
    "uid": ("user", None),
    "gid": ("group", None),
}
"""Field of PM2's own record -> our key, and the value that says nothing."""
LOG_FILES = (("pm_out_log_path", "out_file"), ("pm_err_log_path", "error_file"), ("pm_log_path", "log_file"))
NUMBER = re.compile(r"-\d+(?=(\.[^./]*)?$)")
"""What PM2 puts into the name of a log file of one of several."""
NODE = (".js", ".cjs", ".mjs")
CLUSTER = (
    f"{NO_EQUAL}: cluster mode, where instances share a port: here each listens for itself;"
    " let one be enough, or give each its port (increment_var)"
)


def read_pm2(path: str) -> FileDraft:
    """The apps of an ecosystem file in one of PM2's shapes, or of a ``dump.pm2``.

    Raises ConfigError for what is neither.
    """
    if path.endswith((".pm2", ".pm2.bak")):
        try:
            with open(path, encoding="utf-8") as file:
                entries = json.load(file)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: {error}") from None
        return read_pm2_list(entries, os.path.basename(path), os.environ)
    faults = Faults(path)
    document = read_document(path, faults)
    faults.check()
    draft = FileDraft(os.path.basename(path))
    draft.apps = [_declared(table) for _, table in document.apps]
    return draft


def read_pm2_list(entries: object, source: str, shell: Mapping[str, str]) -> FileDraft:
    """The apps of ``pm2 jlist`` or of a dump; variables that are so in ``shell`` are left out."""
    draft = FileDraft(source)
    if not isinstance(entries, list):
        raise ConfigError(f"{source}: expected a list of processes")
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        record = entry.get("pm2_env", entry) if isinstance(entry, Mapping) else {}
        if "pm_exec_path" in record:
            by_name.setdefault(str(record.get("name", "app")), []).append(record)
    for name, records in by_name.items():
        draft.apps.append(_recorded(name, records, shell))
        draft.names[app_name(name)] = name
    draft.notes.append("Modules of PM2 (pm2-logrotate …) are left out: logs are rotated by pypm itself")
    return draft


def _recorded(name: str, records: list[Mapping[str, Any]], shell: Mapping[str, str]) -> AppDraft:
    """One app from the records of its processes."""
    record = records[0]
    app = AppDraft({"name": app_name(name)})
    script, interpreter = str(record["pm_exec_path"]), record.get("exec_interpreter", "none")
    app.put("script", script)
    if interpreter not in ("node", "none", None):
        app.put("interpreter", interpreter)
    elif interpreter == "node" and not script.endswith(NODE):
        app.put("interpreter", "node")
    if record.get("pm_cwd"):
        app.put("cwd", record["pm_cwd"])
    if len(records) > 1:
        app.put("instances", len(records))
    if all(each.get("status") in ("stopped", "errored") for each in records):
        app.put("autostart", False, f"it was {record['status']}")
    if record.get("exec_mode") == "cluster_mode" and len(records) > 1:
        app.notes.append(CLUSTER)
    for field, (key, nothing) in DEFAULTS.items():
        value = record.get(field)
        if value not in (None, nothing, ""):
            app.put(key, _size(value) if key == "max_memory_restart" else value)
    _put_instance_var(app, interpreter == "node", record)
    _put_logs(app, records)
    env = record.get("env")
    variables = {
        key: each
        for key, each in (env if isinstance(env, Mapping) else {}).items()
        if _is_own(key, each, shell) and (key, each) != (name, "{}")  # PM2's settings of a module
    }
    if variables:
        app.settings["env"] = variables
    return app


def _put_instance_var(app: AppDraft, is_node: bool, table: Mapping[str, object]) -> None:
    """The variable with the number of the instance, which has another name here."""
    if is_node or app.settings.get("instances", 1) != 1:
        app.put("instance_var", table.get("instance_var") or "NODE_APP_INSTANCE")


def _put_logs(app: AppDraft, records: list[Mapping[str, Any]]) -> None:
    """The log files, where they are not those that PM2 chooses itself."""
    home = os.path.dirname(os.path.dirname(str(records[0].get("pm_pid_path") or "")))
    for field, key in LOG_FILES:
        paths = [path for record in records if isinstance(path := record.get(field), str) and path]
        if paths and not (home and paths[0].startswith(f"{home}/logs/")):
            app.put(key, NUMBER.sub("", paths[0]) if len(set(paths)) > 1 else paths[0])


def _size(value: Any) -> Any:
    """Bytes as whole megabytes where they are some."""
    return f"{value // 1024**2}M" if isinstance(value, int) and not value % 1024**2 else value


def _is_own(name: str, value: object, shell: Mapping[str, str]) -> bool:
    """Whether a variable is the app's, and neither PM2's nor this shell's."""
    return (
        isinstance(value, str | int | float | bool)
        and not OF_PM2.fullmatch(name)
        and shell.get(name) != str(value)
    )


def _declared(table: Mapping[str, object]) -> AppDraft:
    """One app of an ecosystem file, under our names."""
    app = AppDraft()
    names = {
        spelling: key.name
        for key in KEYS
        for each in (key.name, *key.aliases)
        for spelling in (each, camel_case(each))
    }
    refused = {spelling: name for name in (*NEVER, *ASK_NOTHING) for spelling in (name, camel_case(name))}
    for spelling, value in table.items():
        if value in (None, "", [], {}):
            continue
        if spelling in names:
            app.put(names[spelling], value)
        elif spelling in TABLES or spelling.startswith("env_"):
            app.settings[spelling] = value
        elif spelling in ("exec_mode", "execMode"):
            if str(value).startswith("cluster") and table.get("instances", 1) != 1:
                app.notes.append(CLUSTER)
        elif value not in (False, 0, *ASK_NOTHING.get(refused.get(spelling, ""), ())):
            why = NEVER.get(refused.get(spelling, ""), "")
            app.notes.append(
                f"{NO_EQUAL}: {spelling} = {json.dumps(value, default=str)}{f' ({why})' if why else ''}"
            )
    if "instance_var" not in app.settings:
        _put_instance_var(app, _is_node(app), table)
    return app


def _is_node(app: AppDraft) -> bool:
    """Whether Node runs it."""
    interpreter = app.settings.get("interpreter")
    return interpreter == "node" or (interpreter is None and str(app.settings.get("script")).endswith(NODE))
