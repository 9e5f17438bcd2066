"""``pypm validate``."""

from __future__ import annotations

import re
from typing import Any

import click

from pypm.cli.apply import file_to_read
from pypm.cli.enforcement import refusals
from pypm.cli.options import json_option
from pypm.cli.output import names_in_words, note, print_json, say
from pypm.cli.starting import saved_or_running
from pypm.client.home import home_folder
from pypm.config import load
from pypm.config.faults import FileFaultsError
from pypm.core.errors import ConfigError

__all__ = ["command"]

NEAREST = re.compile(r'; did you mean "(.+)"\?$')


@click.command("validate")
@click.argument("files", nargs=-1, metavar="[FILE]…")
@click.option("--env", "env_name", metavar="NAME", help="Apply env_NAME too.")
@json_option
def command(files: tuple[str, ...], env_name: str | None, as_json: bool) -> int:
    """Check ecosystem files as a start does, and start nothing: unknown keys, units, missing programs.

    Tells all faults at once, each with its place and the nearest right name. Exits 1 where there is one. What
    this machine would refuse, and another one may not, is a warning.

    \b
    Examples:
      pypm validate                         the ecosystem file of this folder
      pypm validate ecosystem.toml --env production
      pypm validate *.toml --json | jq -r '.files[].faults[].text'
    """
    known = {row["app"] for row in saved_or_running(home_folder())}
    paths = [file_to_read(word) for word in files or (None,)]
    results = [_result(path, env_name, known) for path in paths]
    if as_json:
        print_json({"ok": all(result["ok"] for result in results), "files": results}, results)
    else:
        for result in results:
            _tell(result)
    return 0 if all(result["ok"] for result in results) else 1


def _result(path: str, env_name: str | None, known: set[str]) -> dict[str, Any]:
    """What is to be said of one file."""
    try:
        specs = load(path, env_name=env_name, known=known)
    except FileFaultsError as error:
        faults = [_fault(place, text) for place, text in error.faults]
    except ConfigError as error:  # no file, or none of its format: there is no place in it
        faults = [_fault("", error.message.removeprefix(f"{path}: "))]
    else:
        names, warnings = [spec.name for spec in specs], refusals(specs, home_folder())
        return {"file": path, "ok": True, "apps": names, "faults": [], "warnings": warnings}
    return {"file": path, "ok": False, "apps": [], "faults": faults, "warnings": []}


def _fault(place: str, text: str) -> dict[str, Any]:
    match = NEAREST.search(text)
    return {"place": place, "text": text, "nearest": match[1] if match else None}


def _tell(result: dict[str, Any]) -> None:
    path, faults = result["file"], result["faults"]
    if result["ok"]:
        count = len(result["apps"])
        say(f"{path}: ok, {count} app{'s' if count != 1 else ''}: {names_in_words(result['apps'])}")
        for each in result["warnings"]:
            note(f"{path}: warning: {each['key']} ({each['app']}): {each['text']}")
        return
    for fault in faults:
        note(": ".join(part for part in (path, fault["place"], fault["text"]) if part))
    note(f"pypm: {path}: {len(faults)} fault{'s' if len(faults) != 1 else ''}")
    if any("unknown key" in fault["text"] for fault in faults):
        note("hint: docs/ecosystem.md has all keys; with `pypm schema` an editor completes them")
