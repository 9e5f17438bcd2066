"""``pypm wait``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from pypm.cli.options import MAX_TIMEOUT, Seconds, all_option, all_targets, json_option
from pypm.cli.output import names_in_words, plain, print_json, say
from pypm.cli.session import needed_master
from pypm.cli.waiting import Progress
from pypm.client.waiting import GOALS, is_there
from pypm.core.errors import NoMasterError, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pypm.client.waiting import Goal
    from pypm.protocol.shapes import Row

__all__ = ["command"]


@click.command("wait")
@click.argument("targets", nargs=-1, metavar="TARGET…")
@all_option
@click.option(
    "--for", "goal", type=click.Choice(GOALS), default="online", show_default=True, help="What for."
)
@click.option(
    "--timeout", type=Seconds(min=0, max=MAX_TIMEOUT), metavar="SECONDS",
    help="Wait at most so long; then exit 1.",
)  # fmt: skip
@json_option
def command(
    targets: tuple[str, ...], everything: bool, goal: Goal, timeout: float | None, as_json: bool
) -> None:
    """Wait until every one of some instances is `online`, `ready` (it has said so, or need not), `healthy`
    (by its heartbeats or probes; what has neither never is) or `exited` (no run of it exists any more).

    Exits with 1 when the time is over, and at once when one of them has failed for good or was stopped, so
    that it would not come.

    \b
    Examples:
      pypm wait agent --for ready --timeout 60 && ./ask-the-agent
      pypm wait 'work*' --for exited        until all of them have ended
    """
    names = all_targets(targets, everything)
    progress = Progress(goal)

    def show(rows: list[Row]) -> None:
        late = [row["name"] for row in rows if not is_there(row, goal)]
        progress.update(len(rows) - len(late), len(rows), late)

    try:
        rows = _waited(names, goal, timeout, show)
    except TimeoutError as error:
        raise RequestError(str(error), hint="`pypm why NAME` says what it waits for") from None
    finally:
        progress.clear()
    if as_json:
        print_json(rows)
    elif rows:
        say(f"{goal}: {names_in_words([plain(row['name']) for row in rows])}")


def _waited(
    names: list[str], goal: Goal, timeout: float | None, show: Callable[[list[Row]], None]
) -> list[Row]:
    """Wait as long as there are masters, also one that follows when master and guardian were killed."""
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        with needed_master() as client:
            left = None if end is None else max(0.0, end - time.monotonic())
            try:
                return client.wait(*names, until=goal, timeout=left, on_change=show)
            except NoMasterError:  # lost: the next one is asked; or it was told to end, and there is none
                continue
