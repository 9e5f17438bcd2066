"""A service unit of systemd."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable

from pypm.config.draft import AppDraft
from pypm.config.foreign.drafting import NO_EQUAL, FileDraft, app_name, put_command, seconds
from pypm.core.errors import ConfigError

__all__ = ["read_systemd"]

_SPAN = re.compile(r"([0-9.]+)\s*([a-zA-Zµ]*)")
UNITS = {
    **dict.fromkeys(("us", "usec", "µs"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
SANDBOX = {
    "ProtectSystem": "protect_system",
    "ProtectHome": "protect_home",
    "PrivateTmp": "private_tmp",
    "PrivateDevices": "private_devices",
    "PrivateNetwork": "private_network",
    "ReadWritePaths": "read_write_paths",
    "ReadOnlyPaths": "read_only_paths",
    "InaccessiblePaths": "inaccessible_paths",
}
"""Settings of the sandbox, which has systemd's words."""
NOTHING = {
    "Description", "Documentation", "After", "Wants", "WantedBy", "Type", "KillMode", "Restart",
    "StandardInput", "SyslogIdentifier", "Slice", "ExecStart",
}  # fmt: skip
"""What needs no key: it is looked at elsewhere, or is so anyway."""
ORDER = ("After", "Wants")
"""What these name matters where it is a service, and not one of systemd's own stages."""
RESTARTS = {"no": False, "always": True, "on-failure": "on-failure"}
ADVICE = {
    "ExecStartPre": ' (an app of its own with autorestart = false, and depends_on = { it = "completed" })',
    "ExecStop": " (kill_signal, or pre_stop for a command before the signal)",
    "ExecStopPost": " (on_failure is run after a failed run)",
    "ExecReload": " (`pypm signal HUP NAME`)",
    "PIDFile": " (run it in the foreground)",
    "Requires": " (depends_on, where that is an app here too)",
    "After": " (depends_on, where that is an app here too)",
    "Wants": " (depends_on, where that is an app here too)",
    "BindsTo": " (depends_on, where that is an app here too)",
}

Put = Callable[[AppDraft, str, str], None]


def read_systemd(text: str, path: str) -> FileDraft:
    """The service of the unit at ``path``. Raises ConfigError where it has no ``ExecStart``."""
    draft = FileDraft(os.path.basename(path))
    name = os.path.basename(path).removesuffix(".service")
    settings = list(_settings(text, name.partition("@")[2] or name))
    commands = [value for key, value in settings if key == "ExecStart" and value]
    if not commands:
        raise ConfigError(f"{path}: there is no ExecStart: it is no service unit")
    app = AppDraft({"name": app_name(name.removesuffix("@"))})
    put_command(app, commands[0].lstrip("-@:+!"))
    if len(commands) > 1:
        app.notes.append(f"{NO_EQUAL}: {len(commands) - 1} more ExecStart: one program an app")
    _put_kind(app, dict(settings))
    for key, value in settings:
        if key in KEYS:
            our, put = KEYS[key]
            put(app, our, value)
        elif key in SANDBOX:
            app.put(f"sandbox.{SANDBOX[key]}", _sandbox_value(value))
        elif (key not in NOTHING or (key in ORDER and ".service" in value)) and value:
            app.notes.append(f"{NO_EQUAL}: {key}={value}{ADVICE.get(key, '')}")
    draft.apps.append(app)
    draft.notes.append("[Install]: `pypm startup` has pypm start with the machine, and all apps with it")
    return draft


def _settings(text: str, instance: str) -> list[tuple[str, str]]:
    """Key and value of each line, in their order; lines that end in a backslash go on."""
    found = []
    for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines():
        line = line.strip()
        key, equals, value = line.partition("=")
        if equals and not line.startswith(("#", ";", "[")):
            found.append((key.strip(), _specified(value.strip(), instance)))
    return found


def _specified(value: str, instance: str) -> str:
    known = {"%i": instance, "%I": instance, "%h": os.path.expanduser("~"), "%%": "%"}
    return re.sub(r"%.", lambda match: known.get(match[0], match[0]), value)


def _put_kind(app: AppDraft, settings: dict[str, str]) -> None:
    """Type and Restart, which go together."""
    kind, restart = settings.get("Type", "simple"), settings.get("Restart", "no")
    if kind in ("notify", "notify-reload"):
        app.put("wait_ready", True, "Type=notify: it says READY=1 itself")
    elif kind in ("forking", "dbus"):
        app.notes.append(f"Type={kind}: start it in the foreground; pypm keeps the program that it starts")
    app.put("autorestart", RESTARTS.get(restart, "on-failure"))
    if restart not in RESTARTS:
        app.notes.append(f"Restart={restart}: on-failure is what comes nearest")
    mode = settings.get("KillMode", "control-group")
    if mode == "process":
        app.put("treekill", False, "KillMode=process")
    elif mode in ("none", "mixed"):
        told = "is sent the signal" if mode == "mixed" else "is ended"
        app.notes.append(f"{NO_EQUAL}: KillMode={mode}: the whole tree {told}")


def _span(value: str) -> float | None:
    """Seconds of a time span; ``None`` for infinity."""
    if value.strip() == "infinity":
        return None
    return sum(float(number) * UNITS.get(unit, 1.0) for number, unit in _SPAN.findall(value))


def _put_span(app: AppDraft, key: str, value: str) -> None:
    span = _span(value)
    if span is None:
        app.notes.append(f"{NO_EQUAL}: no bound on {key}")
    else:
        app.put(key, seconds(span))


def _put_text(app: AppDraft, key: str, value: str) -> None:
    app.put(key, value)


def _put_number(app: AppDraft, key: str, value: str) -> None:
    text = value.rpartition(":")[2]
    if text.lstrip("-").isdecimal():
        app.put(key, int(text))
    elif text != "infinity" or key != "limits.tasks":  # of which there is no bound anyway
        app.notes.append(f"{NO_EQUAL}: {key} of {value}")


def _put_boolean(app: AppDraft, key: str, value: str) -> None:
    app.put(key, value.lower() in ("yes", "true", "on", "1"))


def _put_size(app: AppDraft, key: str, value: str) -> None:
    if value == "infinity":
        if key in ("limits.core", "limits.file_size"):
            app.put(key, "unlimited")
        return
    if value.endswith("%"):
        app.notes.append(f"{NO_EQUAL}: {key} of {value} of the machine's memory; write a size")
        return
    app.put(key, int(value) if value.isdecimal() else value.upper())


def _put_folder(app: AppDraft, key: str, value: str) -> None:
    app.put(key, value.removeprefix("-"))


def _put_environment(app: AppDraft, key: str, value: str) -> None:
    for word in shlex.split(value):
        name, _, text = word.partition("=")
        app.put(f"{key}.{name}", text)


def _put_env_file(app: AppDraft, key: str, value: str) -> None:
    files = app.settings.setdefault(key, [])
    files.append(value.removeprefix("-"))
    if value.startswith("-"):
        app.notes.append(f"{value[1:]} has to be there: a missing env_file is an error")


def _put_codes(app: AppDraft, key: str, value: str) -> None:
    codes = app.settings.get(key, [])
    for word in value.split():
        if word.isdecimal():
            codes = sorted({*codes, int(word)})
        else:
            app.notes.append(f"{NO_EQUAL}: {word} as an end that is fine (a signal is never one)")
    if codes:
        app.put(key, codes)


def _put_signal(app: AppDraft, key: str, value: str) -> None:
    app.put(key, value if value.isdecimal() else f"SIG{value.removeprefix('SIG')}")


def _put_output(app: AppDraft, key: str, value: str) -> None:
    kind, _, path = value.partition(":")
    if kind in ("append", "file", "truncate"):
        app.put(key, path)
    elif value == "null":
        app.put(key, "/dev/null")
    elif value not in ("journal", "inherit"):
        app.notes.append(f"{NO_EQUAL}: {value} for {key}")


def _put_hook(app: AppDraft, key: str, value: str) -> None:
    if key in app.settings:
        app.notes.append(f"{NO_EQUAL}: one more {key}: {value}")
    else:
        app.put(key, value.lstrip("-@:+!"))


def _put_access(app: AppDraft, key: str, value: str) -> None:
    app.put(key, "main" if value == "exec" else value)


def _sandbox_value(value: str) -> object:
    lower = value.lower()
    if lower in ("yes", "true", "on", "1", "no", "false", "off", "0"):
        return lower in ("yes", "true", "on", "1")
    return value.split() if "/" in value else lower


KEYS: dict[str, tuple[str, Put]] = {
    "WorkingDirectory": ("cwd", _put_folder),
    "User": ("user", _put_text),
    "Group": ("group", _put_text),
    "UMask": ("umask", _put_text),
    "Environment": ("env", _put_environment),
    "EnvironmentFile": ("env_file", _put_env_file),
    "ExecStartPost": ("post_start", _put_hook),
    "RestartSec": ("restart_delay", _put_span),
    "StartLimitBurst": ("max_restarts", _put_number),
    "StartLimitIntervalSec": ("restart_window", _put_span),
    "StartLimitInterval": ("restart_window", _put_span),
    "TimeoutStartSec": ("listen_timeout", _put_span),
    "TimeoutStopSec": ("kill_timeout", _put_span),
    "TimeoutSec": ("kill_timeout", _put_span),
    "KillSignal": ("kill_signal", _put_signal),
    "SuccessExitStatus": ("stop_exit_codes", _put_codes),
    "RestartPreventExitStatus": ("stop_exit_codes", _put_codes),
    "WatchdogSec": ("health.heartbeat_timeout", _put_span),
    "NotifyAccess": ("notify_access", _put_access),
    "NoNewPrivileges": ("no_new_privileges", _put_boolean),
    "LimitNOFILE": ("limits.open_files", _put_number),
    "LimitCORE": ("limits.core", _put_size),
    "LimitFSIZE": ("limits.file_size", _put_size),
    "Nice": ("limits.nice", _put_number),
    "CPUAffinity": ("limits.cpu_affinity", _put_text),
    "OOMScoreAdjust": ("limits.oom_score_adj", _put_number),
    "MemoryMax": ("limits.memory", _put_size),
    "MemoryHigh": ("limits.memory_high", _put_size),
    "TasksMax": ("limits.tasks", _put_number),
    "CPUQuota": ("limits.cpu_max", _put_text),
    "RuntimeMaxSec": ("limits.max_runtime", _put_span),
    "StandardOutput": ("out_file", _put_output),
    "StandardError": ("error_file", _put_output),
}
"""Settings of systemd -> our key, and how it is set."""
