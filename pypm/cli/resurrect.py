"""``pypm resurrect``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from pypm.cli.options import json_option, wait_options
from pypm.cli.orders import await_up, show_change
from pypm.cli.output import names_in_words, note, print_json, say
from pypm.cli.session import master
from pypm.core.errors import UsageError

__all__ = ["command"]


@click.command("resurrect")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--list", "listing", is_flag=True, help="Show which snapshots there are.")
@wait_options
@json_option
def command(name: str | None, listing: bool, wait: bool, timeout: float | None, as_json: bool) -> int:
    """Bring back the apps of a snapshot: `dump`, or NAME.

    What is gone is declared again, what is down and was up is started, what was stopped stays stopped, and
    what runs is left as it is.

    \b
    Examples:
      pypm resurrect
      pypm resurrect before-upgrade
      pypm resurrect --list
    """
    if listing and (name is not None or not wait or timeout is not None):
        raise UsageError("--list goes alone")
    with master() as client:
        if listing:
            _show(client.snapshots(), as_json=as_json)
            return 0
        change = client.resurrect(name)
        if not wait:
            return show_change(change, as_json=as_json)
        if not as_json:
            _tell(change)
        return await_up(client, change, as_json=as_json, timeout=timeout)


def _tell(change: Mapping[str, Any]) -> None:
    """Say on stderr what is brought back: the list that follows shows how it is and not what it was."""
    for action, words in (("added", "brought back"), ("started", "started again")):
        if names := [entry["name"] for entry in change["instances"] if entry["action"] == action]:
            note(f"{words}: {names_in_words(names)}")
    if not change["instances"]:
        note("the snapshot is empty")
    elif all(entry["action"] == "unchanged" for entry in change["instances"]):
        note("everything in it is there already, and stays as it is")


def _show(snapshots: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(snapshots)
    elif not snapshots:
        say("there is no snapshot; `pypm save` makes one")
    else:
        width = max(len(entry["name"]) for entry in snapshots)
        for entry in snapshots:
            say(f"{entry['name']:<{width}}  {entry['fault'] or _content(entry)}")


def _content(entry: Mapping[str, Any]) -> str:
    time = datetime.fromtimestamp(entry["saved_at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{time}  {names_in_words(entry['apps'])}".rstrip()
