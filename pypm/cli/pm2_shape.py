"""Instances in the shape and with the field names of ``pm2 jlist``, for what was written for PM2.

Quick to import.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["STATUSES", "inspected", "mini_list", "pm2_process"]

STATUSES = {
    "online": "online",
    "starting": "launching",
    "stopping": "stopping",
    "backoff": "waiting restart",
    "errored": "errored",
    "stopped": "stopped",
    "exited": "stopped",
    "held": "stopped",
}
"""Our words and PM2's. What is held until a time is ``waiting restart``."""

LINE = 72
"""Signs up to which a value is written in one line."""


def pm2_process(row: dict[str, Any], user: str) -> dict[str, Any]:
    """Give a row (one that has its ``spec``) as ``pm2 jlist`` has a process; ``user`` is whose pypm it is.

    Times are milliseconds since 1970, sizes bytes. Values of variables that look like secrets are masked.
    """
    pid = row["pid"] or 0
    monit = {"memory": row["memory_bytes"] or 0, "cpu": row["cpu_percent"] or 0}
    env = {"name": row["app"], **_facts(row, user)}
    return {"pid": pid, "name": row["app"], "pm2_env": env, "pm_id": row["id"], "monit": monit}


def _facts(row: dict[str, Any], user: str) -> dict[str, Any]:
    spec = row["spec"]
    restart, logs = spec.get("restart", {}), spec.get("logs", {})
    created = round(row["created_at"] * 1000)
    variables = _variables(spec)
    return {
        **variables,
        "namespace": row["namespace"],
        "version": "N/A",
        "status": _status(row),
        "pm_id": row["id"],
        "exec_mode": "fork_mode",
        **_program(spec),
        "instances": spec.get("instances", 1),
        "instance_var": spec.get("instance_var", "PYPM_INSTANCE"),
        "NODE_APP_INSTANCE": row["instance"],
        "pm_cwd": spec["cwd"],
        "pm_out_log_path": row["out_file"] or "/dev/null",
        "pm_err_log_path": row["error_file"] or "/dev/null",
        **({"pm_log_path": logs["combined_file"]} if logs.get("combined_file") else {}),
        "pm_uptime": created if row["last_run"] is None else round(row["last_run"] * 1000),
        "created_at": created,
        "restart_time": row["restarts"],
        "unstable_restarts": row["failures"],
        "exit_code": _exit_code(row["last_exit"]),
        "autorestart": restart.get("autorestart", "always") != "never",
        "autostart": spec.get("autostart", True),
        "watch": bool(spec.get("watch")),
        "merge_logs": logs.get("merge", False),
        "treekill": spec.get("treekill", True),
        **({"max_memory_restart": spec["max_memory"]} if spec.get("max_memory") else {}),
        **({"cron_restart": spec["cron_restart"]} if spec.get("cron_restart") else {}),
        "username": spec.get("user") or user,
        "axm_actions": [],
        "axm_monitor": {name: {"value": metric["value"]} for name, metric in row["metrics"].items()},
        "axm_options": {},
        "axm_dynamic": {},
        "vizion_running": False,
        "env": variables,
    }


def _status(row: dict[str, Any]) -> str:
    if row["status"] == "held" and row["held_until"] is not None:
        return "waiting restart"
    return STATUSES[row["status"]]


def _variables(spec: dict[str, Any]) -> dict[str, str]:
    if not spec.get("env"):
        return {}
    from pypm.cli.secrets import masked

    return masked(spec["env"])


def _program(spec: dict[str, Any]) -> dict[str, Any]:
    """The words of the command, as interpreter, its arguments, script and arguments."""
    words = spec["command"]
    # A script that an interpreter runs stands behind it, under the name that the person wrote.
    written = spec.get("script", "").split(" ")[0].rpartition("/")[2]
    places = [place for place, word in enumerate(words) if place and word.rpartition("/")[2] == written]
    place = places[0] if places and written else 0
    return {
        "exec_interpreter": words[0] if place else "none",
        "node_args": words[1:place] if place else [],
        "pm_exec_path": words[place],
        "args": words[place + 1 :],
    }


def _exit_code(last: dict[str, Any] | None) -> int | None:
    """As a shell has it: a death by signal is no success, which it is in PM2."""
    if last is None:
        return None
    if last["signal"]:
        from signal import Signals

        number = getattr(Signals, last["signal"], None)
        return 128 + (number or int(last["signal"].rpartition(" ")[2]))
    code: int | None = last["code"]
    return code


def inspected(value: Any, indent: int = 0) -> str:
    """Give ``value`` as Node prints it (``util.inspect``): keys without quotes, text in single ones."""
    if not isinstance(value, dict | list) or not value:
        return _scalar(value)
    if isinstance(value, dict):
        parts = [f"{_key(name)}: {inspected(each, indent + 2)}" for name, each in value.items()]
        first, last = "{", "}"
    else:
        parts = [inspected(each, indent + 2) for each in value]
        first, last = "[", "]"
    if sum(map(len, parts)) + len(parts) + indent < LINE and not any("\n" in part for part in parts):
        return f"{first} {', '.join(parts)} {last}"
    space = "\n" + " " * (indent + 2)
    return first + space + f",{space}".join(parts) + "\n" + " " * indent + last


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return repr(value)
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _key(name: str) -> str:
    return name if name.isidentifier() or name.replace("$", "_").isidentifier() else _scalar(name)


def mini_list(rows: list[dict[str, Any]]) -> str:
    """Give rows (with their ``spec``) as ``pm2 list --mini-list`` prints processes."""
    return "\n\n".join(_mini(row) for row in rows)


def _mini(row: dict[str, Any]) -> str:
    from pypm.config.units import format_duration, format_size

    uptime, memory = row["uptime_seconds"], row["memory_bytes"]
    facts = {
        "namespace": row["namespace"],
        "pid": row["pid"] or 0,
        "pm2 id": row["id"],
        "status": _status(row),
        "mode": "fork",
        "restarted": row["restarts"],
        "uptime": 0 if uptime is None else format_duration(uptime),
        "memory usage": "0b" if memory is None else format_size(memory),
        "error log": row["error_file"] or "/dev/null",
        "watching": "yes" if row["spec"].get("watch") else "no",
    }
    return "\n".join([f"+--- {row['name']}", *(f"{name} : {value}" for name, value in facts.items())])
