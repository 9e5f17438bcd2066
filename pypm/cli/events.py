"""``pypm events``: the durable story. Reads files, needs no master."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from pypm.cli.options import Count, json_option
from pypm.cli.output import FORM, note
from pypm.core.errors import PypmError, UsageError

if TYPE_CHECKING:
    from pypm.logs.event_view import EventView, Told

__all__ = ["command"]

LINES = 50
"""The last events, where neither a number nor a time is asked for."""


@click.command("events")
@click.argument("targets", nargs=-1, metavar="[TARGET]…")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "-n", "--lines", type=Count(min=0), help="The last events. [default: 50; all with --since and --until]"
)
@click.option(
    "--since", metavar="TIME", help="From then on: 1h (ago), 10:30, yesterday 18:00, 2026-11-22 10:30."
)
@click.option("--until", metavar="TIME", help="Until then.")
@json_option
def command(
    targets: tuple[str, ...],
    follow: bool,
    lines: int | None,
    since: str | None,
    until: str | None,
    as_json: bool,
) -> None:
    """Show what happened under the masters of this home, oldest first: starts, ends and their causes,
    troubles, orders and who gave them.

    Reads PYPM_HOME/events.jsonl and the files before it: works without a master.

    \b
    Examples:
      pypm events                          the last 50 events
      pypm events worker --since 1h        what became of worker in the last hour
      pypm events -f                       what happens from now on, too
      pypm events --format '{time} {name} {event} {cause}'
      pypm events --since yesterday --json | jq 'select(.event == "run.ended")'
    """
    from pypm.cli.log_options import moment
    from pypm.cli.targets import expanded
    from pypm.client.home import home_folder
    from pypm.logs.event_view import EventView

    now = datetime.now(UTC)
    first, last = moment("--since", since, now, past=True), moment("--until", until, now, past=False)
    if first is not None and last is not None and first > last:
        raise UsageError("--since is later than --until")
    view = EventView(home_folder(), expanded(targets), since=first, until=last)
    most = LINES if lines is None and first is None and last is None else lines
    try:
        history = view.history(most)
        _show(history, as_json=as_json)
        if not history and not as_json:
            note("pypm: there are no such events" + (" yet" if follow else ""))
        if view.broken:
            note(f"pypm: {view.broken} lines of events.jsonl are no events")
        if follow:
            _follow(view, last, as_json=as_json)
    except KeyboardInterrupt:
        pass  # the way to end it
    except BrokenPipeError:
        # The reader has seen enough. Python flushes stdout once more at its end: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise PypmError(f"{error.filename or 'events'}: {error.strerror}") from error
    finally:
        view.close()


def _follow(view: EventView, until: int | None, *, as_json: bool) -> None:
    from pypm.cli.logs import reader_is_there

    stdout = sys.stdout.fileno()
    while reader_is_there(stdout):
        left = None if until is None else until / 1000 - time.time()
        if left is not None and left <= 0:
            return
        _show(view.wait(stdout, left), as_json=as_json)


def _show(events: list[Told], *, as_json: bool) -> None:
    from pypm.cli.event_words import event_line

    if FORM.template is not None:
        from pypm.cli.templates import filled

        sys.stdout.write(filled(FORM.template, (event for event, _ in events), sparse=True))
    else:
        sys.stdout.writelines((line if as_json else event_line(event)) + "\n" for event, line in events)
    sys.stdout.flush()
