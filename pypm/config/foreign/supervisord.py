"""supervisord's configuration: its programs, groups and included files."""

from __future__ import annotations

import configparser
import glob
import os
import re
from collections.abc import Callable

from pypm.config.draft import AppDraft
from pypm.config.foreign.drafting import NO_EQUAL, FileDraft, app_name, seconds
from pypm.config.foreign.expressions import Expressions
from pypm.core.errors import ConfigError

__all__ = ["read_supervisord"]

NOT_NEEDED = re.compile(
    r"unix_http_server|inet_http_server|supervisorctl|supervisord|rpcinterface:.*|include"
)
"""Sections about supervisord itself."""
AS_IT_IS = {"stopasgroup": "true", "killasgroup": "true", "process_name": "%(program_name)s"}
"""Keys that say what is so here anyway, with the value that does."""
SIGNALS = re.compile(r"(?:SIG)?(\w+)", re.IGNORECASE)
_VARIABLE = re.compile(r"""\s*(\w+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|([^,]*))\s*(?:,|$)""")

Put = Callable[[AppDraft, str], None]


def read_supervisord(text: str, path: str) -> FileDraft:
    """The programs of the configuration at ``path``, and of what it includes."""
    draft = FileDraft(os.path.basename(path))
    path = os.path.abspath(path)
    parser = _parse(text, path)
    for included in _included(parser, path):
        try:
            with open(included, encoding="utf-8") as file:
                parser.read_string(file.read(), included)
        except (OSError, configparser.Error) as error:
            draft.notes.append(f"{included}: cannot be read: {error}")
    groups = _groups(parser)
    common = _variables(parser.get("supervisord", "environment", fallback=""))
    own = [f"[{section}]" for section in parser.sections() if NOT_NEEDED.fullmatch(section)]
    if own:
        draft.notes.append(f"{', '.join(own)}: about supervisord itself; pypm's own files are in PYPM_HOME")
    for section in parser.sections():
        kind, _, name = section.partition(":")
        if kind == "program":
            draft.apps.append(_app(name, dict(parser[section]), groups, common, os.path.dirname(path)))
        elif kind != "group" and not NOT_NEEDED.fullmatch(section):
            draft.notes.append(f"[{section}]: {NO_EQUAL}")
    return draft


def _parse(text: str, path: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(
        strict=False, inline_comment_prefixes=(" ;", "\t;"), delimiters=("=",), default_section="\0"
    )
    try:
        parser.read_string(text, path)
    except configparser.Error as error:
        raise ConfigError(f"{path}: {error.message.splitlines()[0]}") from None
    return parser


def _included(parser: configparser.RawConfigParser, path: str) -> list[str]:
    here = os.path.dirname(os.path.abspath(path))
    patterns = parser.get("include", "files", fallback="").replace("%(here)s", here).split()
    return [found for each in patterns for found in sorted(glob.glob(os.path.join(here, each)))]


def _groups(parser: configparser.RawConfigParser) -> dict[str, str]:
    """Program -> group."""
    return {
        program.strip(): section.partition(":")[2]
        for section in parser.sections()
        if section.startswith("group:")
        for program in parser.get(section, "programs", fallback="").split(",")
    }


def _app(
    name: str, keys: dict[str, str], groups: dict[str, str], common: dict[str, str], here: str
) -> AppDraft:
    app = AppDraft({"name": app_name(name)})
    copies, first = (
        _whole(keys.get(key), default) for key, default in (("numprocs", 1), ("numprocs_start", 0))
    )
    known = {
        "program_name": name,
        "group_name": groups.get(name, name),
        "here": here,
        "numprocs": str(copies),
    }
    meaning = Expressions(known, copies, first)
    variables = {**common, **_variables(keys.pop("environment", ""))}
    _put_command(app, keys.pop("command", ""), variables, meaning)
    if name in groups:
        app.put("namespace", app_name(groups[name]), "its group")
    fixed = {key: meaning.plain(text) for key, text in variables.items() if meaning.is_plain(text)}
    if fixed:
        app.settings["env"] = fixed
    values = {
        key: value if key == "process_name" else (meaning.path if "logfile" in key else meaning.plain)(value)
        for key, value in keys.items()
    }
    _put_logs(app, values)
    _put_restarts(app, values)
    for key, value in values.items():
        if key in SIMPLE:
            SIMPLE[key](app, value)
        elif not (AS_IT_IS.get(key) == value.lower() or (key == "numprocs_start" and not first)):
            app.notes.append(f"{NO_EQUAL}: {key} = {value}{ADVICE.get(key, '')}")
    left = [key for key, value in app.settings.items() if key != "command" and "%(" in str(value)]
    app.notes += [f"{key} = {app.settings[key]}: nothing is expanded here; write the value" for key in left]
    return app


def _put_command(app: AppDraft, text: str, variables: dict[str, str], meaning: Expressions) -> None:
    """Let the app run it, by a shell only where that has to find out what an expression is."""
    varying = {key: value for key, value in variables.items() if not meaning.is_plain(value)}
    command = meaning.command(text, varying)
    app.put("command", command.words)
    if command.by_shell:
        app.put("shell", True, "it expands what differs from one to the next")


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.strip().isdecimal() else default


def _variables(text: str) -> dict[str, str]:
    found = {}
    for match in _VARIABLE.finditer(text):
        found[match[1]] = next(each for each in match.groups()[1:] if each is not None).strip()
    return found


def _bytes(value: str) -> str | int:
    """``50MB`` as ``50M``; a mere number stays one."""
    text = value.strip().upper().removesuffix("B")
    return int(text) if text.isdecimal() else text


def _put_logs(app: AppDraft, values: dict[str, str]) -> None:
    """Files, rotation, and which of the streams go where."""
    merged = _is_true(values.pop("redirect_stderr", "false"))
    for stream, key in (("stdout", "out_file"), ("stderr", "error_file")):
        file = values.pop(f"{stream}_logfile", "AUTO")
        if file.upper() == "NONE":
            app.put(key, "/dev/null")
        elif file.startswith(("/dev/", "/proc/")):
            app.notes.append(f"{stream}_logfile = {file}: its output is in pypm's logs; `pypm logs` shows it")
        elif file.upper() not in ("AUTO", "SYSLOG") and not (merged and stream == "stderr"):
            app.put(key, file)
    if merged:
        if "out_file" in app.settings:
            app.put("error_file", app.settings["out_file"], "redirect_stderr: one file for both")
        else:
            app.notes.append(
                "redirect_stderr = true: the streams have a file each; `pypm logs` shows them together"
            )
    for ours, theirs in (("logs.max_size", "maxbytes"), ("logs.retain", "backups")):
        given = [values.pop(f"{stream}_logfile_{theirs}", None) for stream in ("stdout", "stderr")]
        found = [each for each in given if each is not None]
        if found:
            app.put(ours, _bytes(found[0]) if theirs == "maxbytes" else int(found[0]))
        if len(set(found)) > 1:
            app.notes.append(
                f"{NO_EQUAL}: stderr_logfile_{theirs} = {found[1]} (one bound holds for both streams)"
            )


def _put_restarts(app: AppDraft, values: dict[str, str]) -> None:
    """supervisord's default restarts after exit codes that are not expected."""
    wanted = values.pop("autorestart", "unexpected").lower()
    codes = [int(code) for code in values.pop("exitcodes", "0").split(",") if code.strip().isdecimal()]
    if wanted != "unexpected":
        app.put("autorestart", _is_true(wanted))
    elif codes == [0]:
        app.put("autorestart", "on-failure", "unexpected")
    else:
        app.put("stop_exit_codes", codes, "the expected ones: no restart after them")
    if "startretries" in values:
        retries = values.pop("startretries")
        app.put("max_restarts", int(retries) if retries.isdecimal() else 3, "within restart_window (15m)")


def _is_true(value: str) -> bool:
    return value.strip().lower() in ("true", "yes", "on", "1")


def _put_user(app: AppDraft, value: str) -> None:
    app.put("user", value, "needs a pypm that runs as root")


def _put_signal(app: AppDraft, value: str) -> None:
    match = SIGNALS.fullmatch(value.strip())
    app.put("kill_signal", f"SIG{match[1].upper()}" if match else value)


SIMPLE: dict[str, Put] = {
    "numprocs": lambda app, value: app.put("instances", int(value)),
    "directory": lambda app, value: app.put("cwd", value),
    "autostart": lambda app, value: app.put("autostart", _is_true(value)),
    "startsecs": lambda app, value: app.put("min_uptime", seconds(float(value))),
    "stopsignal": _put_signal,
    "stopwaitsecs": lambda app, value: app.put("kill_timeout", seconds(float(value))),
    "user": _put_user,
    "umask": lambda app, value: app.put("umask", value),
}
"""Keys that stand for one of ours."""

ADVICE = {
    "priority": " (depends_on says what comes first)",
    "numprocs_start": " (instances count from 0; the command has what this asks for)",
    "process_name": " (instances are NAME:0, NAME:1 …)",
    "stopasgroup": " (signals go to the whole group; treekill = false changes that)",
    "killasgroup": " (what is left of the tree is always killed)",
}
