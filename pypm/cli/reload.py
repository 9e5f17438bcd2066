"""``pypm reload``."""

from __future__ import annotations

from typing import Any

import click

from pypm.cli.attached import check_attach, follow
from pypm.cli.going import going, is_renewed
from pypm.cli.options import Count, all_option, all_targets, json_option, targets_argument
from pypm.cli.orders import show_warnings
from pypm.cli.output import FORM, names_in_words, note, plain, print_json
from pypm.cli.session import master, origin
from pypm.client.connection import Connection

__all__ = ["command", "reload", "tell_reload"]


@click.command("reload")
@targets_argument
@all_option
@click.option(
    "--max-unavailable", type=Count(min=0), metavar="N",
    help="Instances of an app that may be missing meanwhile (as the app declares; 0).",
)  # fmt: skip
@click.option("--parallel", type=Count(min=1), metavar="N", help="Apps that are reloaded at a time (2).")
@click.option("--update-env", "-a", "-u", is_flag=True, help="Give them the environment of this shell.")
@click.option("--attach", is_flag=True, help="Then follow their logs.")
@json_option
def command(
    targets: tuple[str, ...],
    everything: bool,
    max_unavailable: int | None,
    parallel: int | None,
    update_env: bool,
    attach: bool,
    as_json: bool,
) -> int:
    """Renew instances one after another: each is up and ready before the next one has its turn.

    When a new one fails, the reload stops, the others go on as they were, and the exit status is 1.

    \b
    Examples:
      pypm reload api
      pypm reload all --max-unavailable 1
      pypm reload ecosystem.toml
    """
    names = all_targets(targets, everything)
    check_attach(attach, as_json)
    given = {"max_unavailable": max_unavailable, "parallel": parallel}
    with master() as connection:
        status = reload(connection, names, as_json=as_json, origin=origin() if update_env else None, **given)
    return follow(names, status) if attach else status


def reload(connection: Connection, targets: list[str], *, as_json: bool, **params: Any) -> int:
    """Reload ``targets`` and tell what became of it; ``params`` as the method has them. Gives the status."""
    with going(connection, "reloaded", targets, is_renewed):
        change = connection.call_patiently("reload", targets=targets, **params)
    return tell_reload(connection, change, as_json=as_json)


def tell_reload(connection: Connection, change: dict[str, Any], *, as_json: bool) -> int:
    """Tell what became of a reload, the answer of the method; give the exit status."""
    failures: list[dict[str, Any]] = change["failures"]
    if as_json:
        if FORM.template is not None:
            show_warnings(change)
        print_json(change)
    else:
        from pypm.cli.listing import show_table

        show_warnings(change)
        show_table(connection.call("list"))
    for failure in failures:
        note(f"pypm: {plain(failure['name'])} failed: {plain(failure['reason'])}")
    if failures:
        kept = [each["name"] for each in change["instances"] if each["action"] == "unchanged"]
        if kept:
            note(f"pypm: the reload has stopped; {names_in_words(kept)} as before")
        note(f"hint: `pypm why {failures[0]['name']}` and `pypm logs {failures[0]['name']}` tell more")
    return 1 if failures else 0
