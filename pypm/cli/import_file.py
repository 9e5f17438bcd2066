"""``pypm import``."""

from __future__ import annotations

import os
import sys

import click

from pypm.cli.ecosystem import write_file
from pypm.cli.options import json_option
from pypm.cli.output import note, print_json, say
from pypm.config import load
from pypm.config.foreign.drafting import FileDraft
from pypm.core.errors import ConfigError, RequestError, UsageError

__all__ = ["command"]

KINDS = ("pm2", "supervisord", "procfile", "systemd", "compose")
USUAL = {
    "pm2": (
        "ecosystem.config.js", "ecosystem.config.cjs", "ecosystem.json", "ecosystem.yaml", "~/.pm2/dump.pm2",
    ),
    "supervisord": ("supervisord.conf", "/etc/supervisor/supervisord.conf", "/etc/supervisord.conf"),
    "procfile": ("Procfile",),
    "systemd": (),
    "compose": ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"),
}  # fmt: skip
"""Where it is looked for when no file is named."""
SHOWN = 20
"""Notes that are shown; the file has all."""


@click.command("import")
@click.argument("kind", type=click.Choice(KINDS), metavar="pm2|supervisord|procfile|systemd|compose")
@click.argument("files", nargs=-1, metavar="[FILE]…")
@click.option("--output", "-o", default="ecosystem.toml", metavar="FILE", help="Where to; `-`: to stdout.")
@click.option("--live", is_flag=True, help="Of pm2: what it runs now; it is taken over, app by app.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@json_option
def command(kind: str, files: tuple[str, ...], output: str, live: bool, force: bool, as_json: bool) -> int:
    """Write a commented ecosystem file from what another process manager runs.

    What has no equal here becomes a note in the file. Nothing is started, and the other one is left alone,
    but for --live: each app of the running PM2 is stopped there and started here; one that does not start
    here is started there again.

    \b
    Examples:
      pypm import procfile
      pypm import supervisord /etc/supervisor/supervisord.conf
      pypm import systemd /etc/systemd/system/agent.service -o agent.toml
      pypm import compose --output -
      pypm import pm2 ~/.pm2/dump.pm2
      pypm import pm2 --live
    """
    if output != "-" and not output.endswith(".toml"):
        raise UsageError(f"{output} is no name of a TOML file", hint="such as -o agents.toml")
    if live and (kind != "pm2" or files or output == "-"):
        raise UsageError(
            "--live takes over from PM2: it goes neither with another kind nor with a file or `-o -`"
        )
    draft = _running() if live else _read(kind, files or (_usual(kind),))
    names = [app.settings["name"] for app in draft.apps if "name" in app.settings]
    if not draft.apps:
        raise RequestError(
            "there is nothing that could be an app",
            hint=f"it says: {draft.notes[0]}" if draft.notes else None,
        )
    if output == "-":
        return _print(draft, names, as_json=as_json)
    write_file(output, draft.text(), force=force)
    fault = _fault(output)
    if live and not fault:
        return _take_over(output, draft, as_json=as_json)
    if as_json:
        print_json({"file": output, "apps": names, "notes": draft.open_points, "fault": fault})
    else:
        _tell(output, draft, fault)
    return int(live)


def _print(draft: FileDraft, names: list[str], *, as_json: bool) -> int:
    text = draft.text()
    if as_json:
        print_json({"file": None, "apps": names, "notes": draft.open_points, "fault": "", "text": text})
    else:
        sys.stdout.write(text)
    return 0


def _tell(path: str, draft: FileDraft, fault: str) -> None:
    """Say what was written, what has no equal, what is still wrong with it, and what comes next."""
    count = len(draft.apps)
    say(f"wrote {path}: {count} app{'s' if count != 1 else ''}")
    _tell_points(path, draft)
    if fault:
        note(fault)
        say(f"next: mend {path}, then `pypm validate {path}` and `pypm start {path}`")
    else:
        say(f"next: pypm start {path}")


def _tell_points(path: str, draft: FileDraft) -> None:
    """Say what has no equal, the first of it."""
    points = draft.open_points
    for point in points[:SHOWN]:
        note(f"note: {point}")
    if len(points) > SHOWN:
        note(f"note: {len(points) - SHOWN} more are in {path}")


def _running() -> FileDraft:
    from pypm.cli.take_over import read_running

    return read_running()


def _take_over(path: str, draft: FileDraft, *, as_json: bool) -> int:
    """Move the apps here; gives the exit status."""
    from pypm.cli.take_over import take_over

    os.chmod(path, 0o600)  # it has what PM2 kept of environments
    if not as_json:
        _tell_points(path, draft)
    taken, fault = take_over(path, draft)
    if as_json:
        names = [app.settings["name"] for app in draft.apps]
        print_json({"file": path, "apps": names, "notes": draft.open_points, "fault": fault, "taken": taken})
    else:
        say(f"taken over: {', '.join(taken) or 'nothing'}; they are declared in {path}")
    if fault:
        note(f"pypm: {fault}")
        note(f"hint: mend {path}; then for each `pm2 stop`, `pypm start {path} --only NAME`, `pm2 delete`")
        return 1
    if not as_json:
        say("next: `pm2 save --force` and `pm2 unstartup`, so that PM2 brings nothing back; `pypm startup`")
    return 0


def _usual(kind: str) -> str:
    for word in USUAL[kind]:
        path = os.path.expanduser(word)
        if os.path.isfile(path):
            return path
    expected = ", ".join(USUAL[kind]) or "a unit, as in /etc/systemd/system/NAME.service"
    raise UsageError(
        f"name the file to import from (looked for: {expected})", hint=f"pypm import {kind} FILE"
    )


def _read(kind: str, files: tuple[str, ...]) -> FileDraft:
    """All files in one draft; two apps of one name are a note."""
    drafts = [_read_one(kind, path) for path in files]
    whole = drafts[0]
    for draft in drafts[1:]:
        whole.source += f", {draft.source}"
        whole.apps += draft.apps
        whole.notes += [each for each in draft.notes if each not in whole.notes]
    return whole


def _read_one(kind: str, path: str) -> FileDraft:
    if kind == "pm2":
        from pypm.config.foreign.pm2 import read_pm2

        return read_pm2(path)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RequestError(f"{path} is not UTF-8 text") from None
    if kind == "procfile":
        from pypm.config.foreign.procfile import read_procfile as read
    elif kind == "supervisord":
        from pypm.config.foreign.supervisord import read_supervisord as read
    elif kind == "systemd":
        from pypm.config.foreign.systemd import read_systemd as read
    else:
        from pypm.config.foreign.compose import read_compose as read
    return read(text, path)


def _fault(path: str) -> str:
    """Why the file would not start as it is; empty if it would."""
    try:
        load(path, known=None)
    except ConfigError as error:
        return error.message
    return ""
