"""``pypm logs``: what logs hold, then what is added. Reads files, needs no master."""

from __future__ import annotations

import os
import resource
import select
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pypm.cli.log_options import Words, makes_printer, makes_query, with_optional_values
from pypm.cli.options import Count, all_option
from pypm.cli.output import note
from pypm.core.errors import PypmError

if TYPE_CHECKING:
    from pypm.logs.picking import Query
    from pypm.logs.view import LogView

__all__ = ["command"]

LINES = 15
"""Last lines of each stream, where neither a number nor a time nor a run is asked for."""


class LogsCommand(click.Command):
    """A command with options whose value may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words after those values have been added."""
        return super().parse_args(ctx, with_optional_values(args))


@click.command("logs", cls=LogsCommand)
@click.argument("targets", nargs=-1, metavar="[TARGET]…")
@all_option
@click.option(
    "-n", "--lines", type=Count(min=0),
    help="Last lines of each stream. [default: 15; all with --since, --until and --run]",
)  # fmt: skip
@click.option(
    "-f",
    "--follow/--no-follow",
    " /--nostream",
    default=True,
    help="Go on with what is added. [default: follow]",
)
@click.option("--out", "only_out", is_flag=True, help="Only stdout.")
@click.option("--err", "only_error", is_flag=True, help="Only stderr.")
@click.option(
    "--since", metavar="TIME", help="From then on: 1h (ago), 10:30, yesterday 18:00, 2026-11-22 10:30."
)
@click.option("--until", metavar="TIME", help="Until then. A time that is over implies --no-follow.")
@click.option(
    "--run", metavar="last|-1|ID", help="One run only: the latest, the one before it, or by its id."
)
@click.option(
    "-g", "--grep", multiple=True, metavar="PATTERN", help="Lines that match; several: any of them."
)
@click.option("-i", "--ignore-case", is_flag=True, help="Patterns match small and capital letters alike.")
@click.option("--invert", is_flag=True, help="With --grep: lines that do not match.")
@click.option("--errors", is_flag=True, help="What looks like failures: tracebacks whole, error levels.")
@click.option("--highlight", metavar="PATTERN", help="Show matches in reverse (on a terminal).")
@click.option("--timestamp", metavar="[FORMAT]", help="Show the times; FORMAT as in YYYY-MM-DD HH:mm:ss.")
@click.option(
    "--format", "template", metavar="[TEMPLATE]", help="Lines of that form: '{time} {name} {line}'."
)
@click.option("--raw", is_flag=True, help="The very bytes, without names; those of stderr go to stderr.")
@click.option(
    "--json", "as_json", is_flag=True, help="An object a line: name, stream, line, file, time, run."
)
@click.option("--strip-ansi", "strip", is_flag=True, help="Take colours and other escape sequences out.")
def command(
    targets: tuple[str, ...],
    everything: bool,
    lines: int | None,
    follow: bool,
    only_out: bool,
    only_error: bool,
    run: str | None,
    **words: object,
) -> None:
    """Show the last lines of some targets, or of all, and follow them until Ctrl-C.

    Reads the files itself: works without a master. Lines of several agents are merged by time.

    \b
    Examples:
      pypm logs worker                     the last 15 lines of stdout and stderr, and what comes
      pypm logs 'work*' --err -n 50        stderr only, more of it
      pypm logs worker --since 1h          all of the last hour, rotated files too
      pypm logs --since 10:30 --until 11:00 --grep 'timeout|refused'
      pypm logs worker --errors -n 3       the last three failures, tracebacks whole
      pypm logs worker --run -1            the run before the present one
      pypm logs --no-follow --json         for a program
    """
    from pypm.cli.log_printers import flush
    from pypm.cli.targets import expanded
    from pypm.client.home import home_folder
    from pypm.logs.view import STREAMS, LogView

    given = Words(**words)  # type: ignore[arg-type]
    query = makes_query(given)
    printer = makes_printer(given)
    home = home_folder()
    names = ["all"] if everything else expanded(targets)
    runs, runs_go_on = (None, True) if run is None else asked_runs(home, names, run)
    over = query.until is not None and query.until <= time.time() * 1000
    whole = query.since is not None or query.until is not None or runs is not None
    view = LogView(
        home,
        names,
        printer,
        query=query,
        streams={name for name, only in (("out", only_out), ("error", only_error)) if only} or STREAMS,
        lines=lines if lines is not None or whole else LINES,
        runs=runs,
        flush=flush,
        note=note,
    )
    try:
        show(view, query, follow=follow and runs_go_on and not over)
    except BrokenPipeError:
        # The reader has seen enough. Python flushes stdout once more at its end: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise PypmError(f"{error.filename or 'logs'}: {error.strerror}") from error


def asked_runs(home: str, targets: Sequence[str], word: str) -> tuple[dict[int, str], bool]:
    """The runs that ``--run`` means, by instance id, and whether one of them goes on."""
    from pypm.cli.log_runs import runs_of
    from pypm.core.targets import match
    from pypm.logs.catalog import read_catalog

    entries = read_catalog(home)
    entries = match(targets, entries) if targets else entries
    runs = runs_of(word, entries)
    return runs, any(entry.running and runs.get(entry.id) == entry.runs[0] for entry in entries)


def show(view: LogView, query: Query, *, follow: bool) -> None:
    """Show what logs hold and, with ``follow``, go on until Ctrl-C, until nobody reads, or until the time."""
    stdout = sys.stdout.fileno()
    try:
        if follow:
            allow_many_files()
        count = view.begin(follow=follow)
        if not count:
            note("pypm: there are no apps yet" + ("; waiting for one (Ctrl-C ends)" if follow else ""))
        if view.no_notices:
            note(f"pypm: looking for changes again and again: {view.no_notices}")
        while follow and reader_is_there(stdout):
            left = None if query.until is None else query.until / 1000 - time.time()
            if left is not None and left <= 0:
                break
            view.look(stdout, left)
    except KeyboardInterrupt:
        pass  # the way to end it
    view.finish()


def reader_is_there(descriptor: int) -> bool:
    """Whether somebody reads our stdout, which we want to know also when there is nothing to write."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return not poll.poll(0)


def allow_many_files() -> None:
    """Each log that is followed is an open file, and 1,024 is what a shell commonly allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
