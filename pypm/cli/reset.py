"""``pypm reset``."""

from __future__ import annotations

import click

from pypm.cli.options import all_option, all_targets, json_option, targets_argument
from pypm.cli.orders import show_change
from pypm.cli.session import master

__all__ = ["command"]


@click.command("reset")
@targets_argument
@all_option
@json_option
def command(targets: tuple[str, ...], everything: bool, as_json: bool) -> int:
    """Set the restart counters to zero, and with them the growing delay and the brake.

    \b
    Examples:
      pypm reset worker
      pypm reset all
    """
    names = all_targets(targets, everything)
    with master() as client:
        return show_change(client.reset(*names), as_json=as_json)
