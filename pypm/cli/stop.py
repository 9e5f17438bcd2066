"""``pypm stop``."""

from __future__ import annotations

import click

from pypm.cli.options import all_option, all_targets, json_option, targets_argument
from pypm.cli.orders import stop
from pypm.cli.session import master

__all__ = ["command"]


@click.command("stop")
@targets_argument
@all_option
@click.option("--wait/--no-wait", "wait", default=True, help="Wait until nothing of it runs (the default).")
@json_option
def command(targets: tuple[str, ...], everything: bool, wait: bool, as_json: bool) -> int:
    """Stop instances with their whole process trees; they stay in the list.

    Each gets its `kill_signal` (SIGTERM), and SIGKILL after its `kill_timeout`.

    \b
    Examples:
      pypm stop worker
      pypm stop worker:1 'crawl*' 7
      pypm stop ecosystem.toml
      pypm stop all
    """
    names = all_targets(targets, everything)
    with master() as connection:
        return stop(connection, names, as_json=as_json, wait=wait)
