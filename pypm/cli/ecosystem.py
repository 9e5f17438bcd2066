"""``pypm ecosystem``."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from pypm.cli.options import json_option
from pypm.cli.output import note, print_json, say
from pypm.config import load
from pypm.config.discover import Candidate, candidates
from pypm.config.draft import AppDraft, render
from pypm.config.files import DEFAULT_NAMES
from pypm.config.units import parse_size
from pypm.core.errors import ConfigError, RequestError, UsageError

__all__ = ["command", "write_file"]

HEADER = (
    "What pypm keeps running here: an ecosystem file.",
    "",
    "    pypm validate       check this file",
    "    pypm start          start what it declares; `pypm list` shows how it is, `pypm logs` what it says",
    "    pypm apply          after a change: shows what differs, and touches nothing else",
    "",
    'Durations are milliseconds or text such as "5s" and "10m"; sizes are bytes or "300M". Paths are',
    "relative to this file. A key that pypm does not know is an error that names the nearest right one.",
    "For editors: `pypm schema > ecosystem.schema.json`, and a first line that names it: `#:schema FILE`.",
)
MORE = (
    "instances = 2                         # so many copies, worker:0 and worker:1",
    'depends_on = ["model-server"]         # started when that is ready, stopped before it',
    "wait_ready = true                     # `starting` until the program says agent.ready()",
    'env_file = ".env"                     # variables, read anew at each start',
    "",
    "[apps.health]",
    'progress_timeout = "30m"              # no progress and no sign of work for so long: stalled',
    'on_stall = ["alert", "restart after 10m"]',
    "",
    "[apps.schedule]                       # a job that runs at moments instead of all the time",
    'cron = "0 4 * * *"',
)
"""What many files have sooner or later."""
EXAMPLE = Candidate(
    "example",
    {"command": ["sh", "-c", "while :; do date; sleep 5; done"]},
    "a stand-in: put your program here",
)


@click.command("ecosystem")
@click.argument("file", default="ecosystem.toml", metavar="[FILE]")
@click.option("--yes", "-y", is_flag=True, help="Ask nothing: every program that is found.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--dry-run", is_flag=True, help="Print the file and write nothing.")
@json_option
def command(file: str, yes: bool, force: bool, dry_run: bool, as_json: bool) -> int:
    """Write a commented ecosystem file that starts what is in this folder.

    Looks for Python programs, a .venv, commands of pyproject.toml and `start` of package.json. On a terminal
    it asks a few questions, with --yes and in a pipe none. A file that is there is left alone.

    \b
    Examples:
      pypm ecosystem
      pypm ecosystem --yes && pypm start
      pypm ecosystem deploy/agents.toml --dry-run
    """
    if file == "simple":  # PM2's word for a short file, as this one is
        file = "ecosystem.toml"
    if not file.endswith(".toml"):
        raise UsageError(f"{file} is no name of a TOML file", hint="such as `pypm ecosystem ecosystem.toml`")
    folder = os.path.dirname(os.path.abspath(file))
    if not os.path.isdir(folder):
        raise RequestError(f"there is no folder {folder}", hint=f"mkdir -p {folder}")
    if os.path.lexists(file) and not force and not dry_run:
        raise RequestError(
            f"{file} is there already", hint="--force replaces it, --dry-run only prints a new one"
        )
    found = candidates(folder)
    asks = not (yes or as_json or dry_run) and _is_terminal()
    apps = _asked(found) if asks else [_draft(each) for each in found or [EXAMPLE]]
    more = "".join(f"# {line}".rstrip() + "\n" for line in MORE)
    text = f"{render(HEADER, apps)}\n\n# More that an app may have:\n#\n{more}"
    names = [app.settings["name"] for app in apps]
    if dry_run:
        if as_json:
            print_json({"file": file, "apps": names, "text": text, "written": False})
        else:
            sys.stdout.write(text)
        return 0
    write_file(file, text, force=force)
    return _tell(file, names, as_json=as_json)


def write_file(path: str, text: str, *, force: bool) -> None:
    """Write a new file; with ``force`` in place of another one. Raises RequestError where that cannot be."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with open(os.open(path, flags, 0o644), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise RequestError(f"{path} is there already", hint="--force replaces it") from None
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}") from None


def _tell(file: str, names: list[str], *, as_json: bool) -> int:
    """Say what was written, and whether it would start; gives the exit status."""
    fault = ""
    try:
        load(file, known=None)
    except ConfigError as error:
        fault = error.message
    if as_json:
        print_json({"file": file, "apps": names, "written": True, "fault": fault})
    else:
        say(f"wrote {file}: {', '.join(names)}")
    if fault:
        note(fault)
        note(f"hint: mend {file}; `pypm validate {file}` checks it")
        return 1
    if not as_json:
        others = [name for name in DEFAULT_NAMES[1:] if os.path.exists(name)]
        if others:
            note(f"pypm: {others[0]} is here too; `pypm start {others[0]}` takes it as it is")
        say(f"next: pypm start {'' if file == 'ecosystem.toml' else file}".rstrip())
    return 0


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _draft(candidate: Candidate, **more: Any) -> AppDraft:
    app = AppDraft({"name": candidate.name})
    for key, value in candidate.settings.items():
        app.put(key, value, candidate.why)
    app.put("kill_timeout", "30s", "from SIGTERM to SIGKILL: time to finish a step and save")
    memory = more.get("max_memory_restart")
    if memory:
        app.put("max_memory_restart", memory, "of the whole process tree; beyond it, it is restarted")
    if more.get("watch"):
        app.put("watch", True, "a change of the files here restarts it")
    return app


def _asked(found: list[Candidate]) -> list[AppDraft]:
    """Ask which programs, and the little that every one of them needs to have decided."""
    chosen = [each for each in found if click.confirm(f"Run {_words(each)}?", default=True)]
    if not chosen:
        question = "What command runs your program? (as in: python -m worker)"
        line = click.prompt(question, default="", show_default=False)
        first = line.split()[0] if line.split() else ""
        name = os.path.splitext(os.path.basename(first))[0] or "app"
        chosen = [Candidate(name, {"command": line}, "")] if first else [EXAMPLE]
    memory = click.prompt(
        "Restart one above how much memory? (as in 500M; empty: no limit)",
        default="", show_default=False, value_proc=_size,
    )  # fmt: skip
    watch = click.confirm("Restart on changes of files here? (for development)", default=False)
    return [_draft(each, max_memory_restart=memory, watch=watch) for each in chosen]


def _words(candidate: Candidate) -> str:
    what = next(iter(candidate.settings.values()))
    return f"{what} as {candidate.name!r}"


def _size(text: str) -> str:
    if text.strip():
        try:
            parse_size(text)
        except ConfigError as error:
            raise click.UsageError(error.message) from None
    return text.strip()
