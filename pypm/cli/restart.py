"""``pypm restart``."""

from __future__ import annotations

import click

from pypm.cli.attached import check_attach, follow
from pypm.cli.options import Count, all_option, all_targets, json_option, targets_argument, wait_options
from pypm.cli.orders import restart
from pypm.cli.session import master, origin

__all__ = ["command"]


@click.command("restart")
@targets_argument
@all_option
@click.option(
    "--parallel", type=Count(min=1), metavar="N",
    help="Restart so many instances at the same time (32).",
)  # fmt: skip
@click.option("--update-env", "-a", "-u", is_flag=True, help="Give them the environment of this shell.")
@click.option("--attach", is_flag=True, help="Then follow their logs.")
@wait_options
@json_option
def command(
    targets: tuple[str, ...],
    everything: bool,
    parallel: int | None,
    update_env: bool,
    attach: bool,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Restart instances, also those that are stopped or have failed.

    To take up what has changed in an ecosystem file, `pypm start` the file.

    \b
    Examples:
      pypm restart worker
      pypm restart all --parallel 4
      API_KEY=… pypm restart worker --update-env
    """
    names = all_targets(targets, everything)
    check_attach(attach, as_json)
    with master() as connection:
        status = restart(
            connection, names, as_json=as_json, wait=wait, timeout=timeout, parallel=parallel,
            origin=origin() if update_env else None,
        )  # fmt: skip
    return follow(names, status) if attach else status
