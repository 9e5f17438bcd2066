"""``pypm scale``."""

from __future__ import annotations

import click

from pypm.cli.options import json_option, wait_options
from pypm.cli.orders import await_up, show_change
from pypm.cli.session import master
from pypm.core.errors import NotFoundError, UsageError

__all__ = ["command"]


@click.command(
    "scale",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("app")
@click.argument("instances", metavar="N|+N|-N")
@wait_options
@json_option
def command(app: str, instances: str, wait: bool, timeout: float | None, as_json: bool) -> int:
    """Set how many instances an app has.

    \b
    Examples:
      pypm scale worker 4
      pypm scale worker +2
      pypm scale worker -1
    """
    number = _number(instances)
    with master() as client:
        if instances[0] in "+-":
            # A reload has two rows for one instance.
            present = len({row["instance"] for row in client.list() if row["app"] == app})
            if not present:
                raise NotFoundError(f"no app {app!r}", hint="`pypm list` shows what there is")
            number += present
        _check(app, number)
        change = client.scale(app, number)
        if not wait:
            return show_change(change, as_json=as_json)
        return await_up(client, change, as_json=as_json, timeout=timeout)


def _check(app: str, number: int) -> None:
    from pypm.core.spec import MOST_INSTANCES

    if number < 1:
        raise UsageError(
            f"{app} would have no instance left", hint=f"`pypm stop {app}` or `pypm delete {app}`"
        )
    if number > MOST_INSTANCES:
        raise UsageError(f"{number} instances are too many", hint=f"an app has {MOST_INSTANCES} at most")


def _number(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise UsageError(f"{word!r} is not a number of instances", hint="such as 4, +2 or -1") from None
