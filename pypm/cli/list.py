"""``pypm list``."""

from __future__ import annotations

import sys
from typing import Any

import click

from pypm.cli.listing import COLUMNS, row_cells
from pypm.cli.options import check_format, format_option, json_option
from pypm.cli.reads import show_list
from pypm.cli.session import master
from pypm.cli.sorting import sorted_rows
from pypm.cli.targets import expanded
from pypm.cli.templates import filled

__all__ = ["command"]


@click.command("list")
@click.argument("targets", nargs=-1, metavar="[TARGET]…")
@click.option("--sort", metavar="FIELD[:desc]", help="By id, name, cpu, memory, uptime, restarts, status …")
@click.option("--mini-list", "-m", "mini", is_flag=True, help="A few lines an instance, as PM2 has them.")
@format_option
@json_option
def command(
    targets: tuple[str, ...], sort: str | None, mini: bool, template: str | None, as_json: bool
) -> int:
    """Show all instances, or those of some targets.

    \b
    Examples:
      pypm list
      pypm list worker 'api*'
      pypm list --sort memory:desc
      pypm list --format '{name:<20} {status} {cpu} {memory}'
      pypm list --json | jq '.[] | select(.status == "errored") | .name'
    """
    check_format(template, as_json or mini)
    with master() as connection:
        if template is not None:
            rows = connection.call("list", targets=expanded(targets) or None)
            sys.stdout.write(filled(template, map(with_words, sorted_rows(rows, sort or "id"))))
            return 0
        return show_list(connection, expanded(targets), as_json=as_json, sort=sort or "", mini=mini)


def with_words(row: dict[str, Any]) -> dict[str, Any]:
    """Give a row with what the table says of it beside its own fields: ``cpu``, ``memory``, ``uptime`` …"""
    words = dict(zip(COLUMNS, row_cells(row), strict=True))
    return {**words, "memory": words["mem"], **row}
