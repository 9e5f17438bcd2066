"""``pypm describe``."""

from __future__ import annotations

import shutil
import sys
from typing import Any

import click

from pypm.cli.env import secrets_option
from pypm.cli.options import json_option
from pypm.cli.output import print_json, say
from pypm.cli.secrets import masked_answer
from pypm.cli.session import master
from pypm.cli.targets import expanded

__all__ = ["command"]


@click.command("describe")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET…")
@secrets_option
@json_option
def command(targets: tuple[str, ...], show_secrets: bool, as_json: bool) -> int:
    """Tell all about some instances: state and why, last runs, command, logs, restart policy, processes.

    \b
    Examples:
      pypm describe worker
      pypm describe worker --format '{name} {spec.cwd} {last_exit.reason}'
      pypm describe worker:0 --json | jq '.[0].runs'
    """
    with master() as connection:
        details: list[dict[str, Any]] = connection.call("describe", targets=expanded(targets))
    if not show_secrets:
        details = masked_answer(details)
    if as_json:
        print_json(details)
        return 0
    from pypm.cli.description import sections

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    say("\n\n".join(sections(detail, width) for detail in details))
    return 0
