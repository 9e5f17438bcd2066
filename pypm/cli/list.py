"""``pypm list``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option
from pypm.cli.output import FORM
from pypm.cli.reads import show_list
from pypm.cli.session import master
from pypm.cli.targets import expanded
from pypm.core.errors import UsageError

__all__ = ["command"]


@click.command("list")
@click.argument("targets", nargs=-1, metavar="[TARGET]…")
@click.option("--sort", metavar="FIELD[:desc]", help="By id, name, cpu, memory, uptime, restarts, status …")
@click.option("--mini-list", "-m", "mini", is_flag=True, help="A few lines an instance, as PM2 has them.")
@json_option
def command(targets: tuple[str, ...], sort: str | None, mini: bool, as_json: bool) -> int:
    """Show all instances, or those of some targets.

    \b
    Examples:
      pypm list
      pypm list worker 'api*'
      pypm list --sort memory:desc
      pypm list --format '{name:<20} {status} {cpu} {memory}'
      pypm list --json | jq '.[] | select(.status == "errored") | .name'
    """
    if mini and FORM.template is not None:
        raise UsageError("--format goes neither with --json nor with another form")
    with master() as connection:
        return show_list(connection, expanded(targets), as_json=as_json, sort=sort or "", mini=mini)
