"""``pypm delete``."""

from __future__ import annotations

import click

from pypm.cli.going import going, has_ended
from pypm.cli.options import all_option, all_targets, json_option, targets_argument
from pypm.cli.orders import show_change
from pypm.cli.session import master

__all__ = ["command"]


@click.command("delete")
@targets_argument
@all_option
@json_option
def command(targets: tuple[str, ...], everything: bool, as_json: bool) -> int:
    """Stop instances and forget them. Their log files stay.

    \b
    Examples:
      pypm delete worker
      pypm delete ecosystem.toml
    """
    names = all_targets(targets, everything)
    with master() as client:
        with going(client, "deleted", names, has_ended):
            change = client.delete(*names)
        return show_change(change, as_json=as_json)
