"""A Compose file: services, of which those that have a command can be apps without a container."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from pypm.config.draft import AppDraft
from pypm.config.foreign.drafting import NO_EQUAL, FileDraft, app_name, put_command
from pypm.config.yaml_file import parse
from pypm.core.errors import ConfigError

__all__ = ["read_compose"]

CONDITIONS = {
    "service_started": "started",
    "service_healthy": "healthy",
    "service_completed_successfully": "completed",
}
SHELL = ("sh", "-c")
NOTHING = ("container_name", "stdin_open", "tty", "init", "version", "pull_policy")
"""Keys of a service that mean nothing without a container."""
ADVICE = {
    "image": " (install the program on this machine)",
    "build": " (install the program on this machine)",
    "ports": " (the program itself listens; there is no other network)",
    "volumes": " (the program sees this machine's files)",
    "secrets": ' (secrets = { NAME = "file:/path" })',
    "profiles": " (autostart = false, or --only)",
}

Put = Callable[[AppDraft, Any], None]


def read_compose(text: str, path: str) -> FileDraft:
    """The services of the file at ``path``. Raises ConfigError for what is no Compose file."""
    try:
        content = parse(text)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    services = content.get("services") if isinstance(content, Mapping) else None
    if not isinstance(services, Mapping):
        raise ConfigError(f'{path}: there are no "services": it is no Compose file')
    draft = FileDraft(os.path.basename(path))
    for name, service in services.items():
        if isinstance(service, Mapping) and (service.get("command") or service.get("entrypoint")):
            draft.apps.append(_app(str(name), service))
        else:
            image = service.get("image", "an image") if isinstance(service, Mapping) else "an image"
            draft.notes.append(f"service {name}: {image} says what it runs; as an app it needs a command")
    rest = [key for key in content if key not in ("services", "version", "name") and not key.startswith("x-")]
    draft.notes += [f"{key}: {NO_EQUAL}" for key in rest]
    made = {app.settings["name"] for app in draft.apps}
    for app in draft.apps:
        _check_dependencies(app, made)
    return draft


def _app(name: str, service: Mapping[str, Any]) -> AppDraft:
    app = AppDraft({"name": app_name(name)})
    _put_command(app, service)
    for key, value in service.items():
        if key in ("command", "entrypoint", *NOTHING) or value is None:
            continue
        if key in KEYS:
            KEYS[key](app, value)
        elif not key.startswith("x-"):
            app.notes.append(f"{NO_EQUAL}: {key}: {_short(value)}{ADVICE.get(key, '')}")
    return app


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _put_command(app: AppDraft, service: Mapping[str, Any]) -> None:
    parts = [_words(service[key]) for key in ("entrypoint", "command") if service.get(key)]
    command = [word.replace("$$", "$") for words in parts for word in words]
    if len(command) == 3 and tuple(command[:2]) == SHELL:
        put_command(app, command[2])
    else:
        app.put("command", command)
    if any("${" in word for word in command):
        app.notes.append("the command has variables that Compose fills in from its own environment")


def _words(value: Any) -> list[str]:
    return shlex.split(value) if isinstance(value, str) else [str(each) for each in value]


def _check_dependencies(app: AppDraft, made: set[str]) -> None:
    """Leave out what is no app of this file."""
    wanted = app.settings.get("depends_on", {})
    for name in [name for name in wanted if name not in made]:
        del wanted[name]
        app.notes.append(f"depends_on {name}: that is no app here")
    if not wanted:
        app.settings.pop("depends_on", None)


def _put_environment(app: AppDraft, value: Any) -> None:
    pairs = value.items() if isinstance(value, Mapping) else [str(each).split("=", 1) for each in value]
    for name, *text in pairs:
        if not text or text[0] is None:
            app.notes.append(f"{name} comes from the shell: pypm keeps what that had at the first start")
        elif "${" in str(text[0]):
            app.put(f"env.{name}", str(text[0]))
            app.notes.append(f"env.{name}: Compose fills in {text[0]}; write the value, or use env_file")
        else:
            app.put(f"env.{name}", str(text[0]).lower() if isinstance(text[0], bool) else str(text[0]))


def _put_env_files(app: AppDraft, value: Any) -> None:
    files = value if isinstance(value, list) else [value]
    app.put("env_file", [each["path"] if isinstance(each, Mapping) else each for each in files])
    for each in files:
        if isinstance(each, Mapping) and each.get("required") is False:
            app.notes.append(f"{each['path']} has to be there: a missing env_file is an error")


def _put_dependencies(app: AppDraft, value: Any) -> None:
    if isinstance(value, Mapping):
        wanted = {name: CONDITIONS.get(each.get("condition", ""), "started") for name, each in value.items()}
    else:
        wanted = dict.fromkeys(value, "started")
    app.settings["depends_on"] = {app_name(name): condition for name, condition in wanted.items()}


def _put_restart(app: AppDraft, value: Any) -> None:
    word, _, most = str(value).partition(":")
    if word in ("no", "False", "false"):
        app.put("autorestart", False)
    elif word == "on-failure":
        app.put("autorestart", "on-failure")
        if most:
            app.put("max_restarts", int(most))
    else:
        app.put("autorestart", True, str(value))


def _note_others(app: AppDraft, table: str, value: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Note the keys of a table of which nothing here says the same."""
    app.notes += [
        f"{NO_EQUAL}: {table}.{key}: {_short(each)}" for key, each in value.items() if key not in known
    ]


def _put_health(app: AppDraft, value: Mapping[str, Any]) -> None:
    test = value.get("test", [])
    if value.get("disable") or test in ("NONE", ["NONE"]):
        return
    words = test if isinstance(test, list) else ["CMD-SHELL", test]
    command = words[1:] if words[0] == "CMD" else ["sh", "-c", words[-1]]
    probe: dict[str, Any] = {"exec": command}
    app.put("health.liveness", probe)
    for key, ours in (("interval", "period"), ("timeout", "timeout"), ("start_period", "initial_delay")):
        if key in value:
            probe[ours] = value[key]
    probe["failure_threshold"] = int(value.get("retries", 3))
    known = ("test", "disable", "retries", "interval", "timeout", "start_period")
    _note_others(app, "healthcheck", value, known)
    app.notes.append(
        "its healthcheck is a liveness probe: one that fails restarts it, which Compose does not"
    )


def _put_deploy(app: AppDraft, value: Mapping[str, Any]) -> None:
    for key, each in value.items():
        if key == "replicas":
            app.put("instances", each)
        elif key == "resources":
            _put_resources(app, each)
        else:
            app.notes.append(f"{NO_EQUAL}: deploy.{key}: {_short(each)}")


def _put_resources(app: AppDraft, value: Mapping[str, Any]) -> None:
    limits = value.get("limits") or {}
    _note_others(app, "deploy.resources.limits", limits, ("memory", "cpus", "pids"))
    for key, put in (("memory", _put_memory), ("cpus", _put_cpus), ("pids", _put_tasks)):
        if key in limits:
            put(app, limits[key])
    if value.get("reservations"):
        app.notes.append(f"{NO_EQUAL}: deploy.resources.reservations")


def _put_memory(app: AppDraft, value: Any) -> None:
    app.put("limits.memory", value if isinstance(value, int) else str(value).upper())


def _put_cpus(app: AppDraft, value: Any) -> None:
    app.put("limits.cpu_max", f"{float(value) * 100:g}%")


def _put_tasks(app: AppDraft, value: Any) -> None:
    app.put("limits.tasks", int(value))


def _put_logging(app: AppDraft, value: Mapping[str, Any]) -> None:
    options = value.get("options") or {}
    if "max-size" in options:
        app.put("logs.max_size", str(options["max-size"]).upper())
    if "max-file" in options:
        app.put("logs.retain", int(options["max-file"]))
    _note_others(app, "logging.options", options, ("max-size", "max-file"))
    if value.get("driver") not in (None, "json-file", "local"):
        app.notes.append(f"{NO_EQUAL}: logging.driver: {value['driver']}")


def _put_ulimits(app: AppDraft, value: Mapping[str, Any]) -> None:
    for key, each in value.items():
        if key == "nofile":
            app.put("limits.open_files", each["soft"] if isinstance(each, Mapping) else each)
        else:
            app.notes.append(f"{NO_EQUAL}: ulimits.{key}: {_short(each)}")


def _put_folder(app: AppDraft, value: Any) -> None:
    app.put("cwd", value, "a folder of the container: where is it here?")


def _put_user(app: AppDraft, value: Any) -> None:
    user, _, group = str(value).partition(":")
    app.put("user", user, "needs a pypm that runs as root")
    if group:
        app.put("group", group)


def _as(key: str) -> Put:
    return lambda app, value: app.put(key, value)


KEYS: dict[str, Put] = {
    "environment": _put_environment,
    "env_file": _put_env_files,
    "depends_on": _put_dependencies,
    "restart": _put_restart,
    "healthcheck": _put_health,
    "deploy": _put_deploy,
    "logging": _put_logging,
    "ulimits": _put_ulimits,
    "working_dir": _put_folder,
    "user": _put_user,
    "scale": _as("instances"),
    "stop_signal": _as("kill_signal"),
    "stop_grace_period": _as("kill_timeout"),
    "mem_limit": _put_memory,
    "cpus": _put_cpus,
    "pids_limit": _put_tasks,
    "cpuset": _as("limits.cpu_affinity"),
    "oom_score_adj": _as("limits.oom_score_adj"),
}
"""Keys of a service -> what sets ours."""
