"""``pypm logs``: the last lines of logs, then what is added. Reads files, needs no master."""

from __future__ import annotations

import os
import resource
import select
import sys
from typing import TYPE_CHECKING

import click

from pypm.cli.options import Count, all_option
from pypm.cli.output import note
from pypm.core.errors import PypmError, UsageError

if TYPE_CHECKING:
    from pypm.cli.log_printers import Printer
    from pypm.cli.log_view import LogView

__all__ = ["command"]

LOOK_EVERY = 0.15
"""Seconds between two looks at files in which nothing has come."""


@click.command("logs")
@click.argument("targets", nargs=-1, metavar="[TARGET]…")
@all_option
@click.option(
    "-n",
    "--lines",
    type=Count(min=0),
    default=15,
    show_default=True,
    help="Last lines of each stream.",
)
@click.option(
    "-f",
    "--follow/--no-follow",
    " /--nostream",
    default=True,
    help="Go on with what is added. [default: follow]",
)
@click.option("--out", "only_out", is_flag=True, help="Only stdout.")
@click.option("--err", "only_error", is_flag=True, help="Only stderr.")
@click.option("--raw", is_flag=True, help="The very bytes, without names; those of stderr go to stderr.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: name, stream, line, file.")
def command(
    targets: tuple[str, ...],
    everything: bool,
    lines: int,
    follow: bool,
    only_out: bool,
    only_error: bool,
    raw: bool,
    as_json: bool,
) -> None:
    """Show the last lines of some targets, or of all, and follow them until Ctrl-C.

    Reads the files itself: works without a master.

    \b
    Examples:
      pypm logs worker               the last 15 lines of stdout and stderr, and what comes
      pypm logs 'work*' --err -n 50  stderr only, more of it
      pypm logs --no-follow --json   for a program
    """
    if raw and as_json:
        raise UsageError("--raw and --json exclude each other")
    from pypm.cli.log_view import STREAMS, LogView
    from pypm.cli.targets import expanded
    from pypm.client.home import home_folder

    wanted = {name for name, only in (("out", only_out), ("error", only_error)) if only}
    names = ["all"] if everything else expanded(targets)
    form = printer(raw=raw, as_json=as_json)
    view = LogView(home_folder(), names, form, streams=wanted or STREAMS, lines=lines)
    try:
        show(view, follow=follow)
    except BrokenPipeError:
        # The reader has seen enough. Python flushes stdout once more at its end: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise PypmError(f"{error.filename or 'logs'}: {error.strerror}") from error


def show(view: LogView, *, follow: bool) -> None:
    """Show the ends of the logs and, with ``follow``, go on until Ctrl-C or until nobody reads."""
    try:
        if follow:
            allow_many_files()
        count = view.begin(follow=follow)
        if follow and not count:
            note("pypm: there are no apps yet; waiting for one (Ctrl-C ends)")
        while follow and (view.look() or reader_is_there(LOOK_EVERY)):
            pass
    except KeyboardInterrupt:
        pass  # the way to end it
    view.finish()


def reader_is_there(seconds: float) -> bool:
    """Wait; ``False``, at once, when whoever reads our stdout has gone, even if we have nothing to write."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return not poll.poll(seconds * 1000)


def allow_many_files() -> None:
    """Each log that is followed is an open file, and 1,024 is what a shell commonly allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def printer(*, raw: bool, as_json: bool) -> Printer:
    """The form that is asked for."""
    from pypm.cli.log_printers import JsonPrinter, PrefixPrinter, RawPrinter

    if raw:
        return RawPrinter()
    if as_json:
        return JsonPrinter()
    return PrefixPrinter(colour=wants_colour())


def wants_colour() -> bool:
    """Colours are for a terminal whose owner has not declined them."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
