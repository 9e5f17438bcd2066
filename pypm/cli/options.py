"""The options and arguments that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from pypm.cli.output import FORM
from pypm.core.errors import UsageError

__all__ = [
    "MAX_TIMEOUT",
    "Count",
    "Seconds",
    "all_option",
    "all_targets",
    "json_option",
    "targets_argument",
    "wait_options",
]

MAX_TIMEOUT = 10.0**9
"""Seconds, some thirty years: what is more is a slip, and infinity is no number in JSON."""


class Seconds(click.FloatRange):
    """A time."""

    name = "number of seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Give the number; not a number, in the sense of IEEE 754, is none."""
        number = super().convert(value, param, ctx)
        if number != number:  # NaN is in every range
            self.fail(f"{value!r} is not a valid {self.name}.", param, ctx)
        return number


class Count(click.IntRange):
    """How many."""

    name = "whole number"


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

FORMAT = "A line each of that form, as in '{name} {status}'."


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json`` and ``--format``: ``command`` is told with ``as_json`` that a program reads it.

    What it prints by :func:`pypm.cli.output.print_json` has the form that is asked for.
    """

    @wraps(command)
    def formed(*args: Any, as_json: bool, template: str | None, **words: Any) -> Any:
        if template is None:
            return command(*args, as_json=as_json, **words)
        check_template(template, as_json)
        FORM.template = template
        try:
            return command(*args, as_json=True, **words)
        finally:
            FORM.template = None

    form = click.option("--format", "template", metavar="TEMPLATE", help=FORMAT)
    return form(click.option("--json", "as_json", is_flag=True, help="Print only JSON on stdout.")(formed))


def check_template(template: str, is_other_form: bool) -> None:
    """Raise :class:`UsageError` for what is no template, before anything is done, or stands beside --json."""
    from pypm.cli.templates import parsed

    if is_other_form:
        raise UsageError("--format goes neither with --json nor with another form")
    parsed(template)


all_option: Decorator = click.option("--all", "everything", is_flag=True, help="As the target `all`.")

targets_argument: Decorator = click.argument("targets", nargs=-1, metavar="TARGET…")


def wait_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--wait/--no-wait`` and ``--timeout``."""
    command = click.option(
        "--timeout", type=Seconds(min=0, max=MAX_TIMEOUT), metavar="SECONDS",
        help="Wait at most so long; then exit 1. The agents go on.",
    )(command)  # fmt: skip
    return click.option(
        "--wait/--no-wait", "wait", default=True,
        help="Wait until every instance is online or has failed (the default).",
    )(command)  # fmt: skip


def all_targets(targets: tuple[str, ...], everything: bool) -> list[str]:
    """Give what the protocol takes as targets; raises :class:`UsageError` when nothing is named.

    The apps of an ecosystem file stand for the file.
    """
    from pypm.cli.targets import expanded

    if everything:
        return ["all"]
    if not targets:
        raise UsageError("name at least one target, or `all`", hint="`pypm list` shows what there is")
    return expanded(targets)
