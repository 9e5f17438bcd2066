"""The words of ``pypm logs`` turned into what is asked for and how it looks."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from pypm.core.errors import UsageError

if TYPE_CHECKING:
    from pypm.cli.log_printers import Look
    from pypm.logs.picking import Query
    from pypm.logs.view import Printer

__all__ = [
    "PM2_TEMPLATE",
    "Words",
    "makes_printer",
    "makes_query",
    "template_printer",
    "wants_colour",
    "with_optional_values",
]

PM2_TEMPLATE = "timestamp={time} app={name} id={id} type={type} message={message}"
"""What PM2 prints with ``--format``."""
PM2_TIME = "YYYY-MM-DD-HH:mm:ss"
LETTERS = re.compile(r"YY|MM|DD|HH|hh|mm|ss|SSS|\b[xX]\b|%")


class Words(NamedTuple):
    """What was written, as far as it needs to be understood."""

    grep: tuple[str, ...] = ()
    ignore_case: bool = False
    invert: bool = False
    highlight: str | None = None
    since: str | None = None
    until: str | None = None
    errors: bool = False
    raw: bool = False
    as_json: bool = False
    template: str | None = None
    timestamp: str | None = None
    strip: bool = False


def with_optional_values(words: list[str]) -> list[str]:
    """Give ``--timestamp`` and ``--format`` their value where none is written.

    The word behind them is their value only if it looks like one, as PM2's users write them bare: a time's
    letters, or a template's braces.
    """
    found: list[str] = []
    looks_right = {"--timestamp": LETTERS.search, "--format": re.compile(r"\{").search}
    for place, word in enumerate(words):
        if word == "--":
            return found + words[place:]
        found.append(word)
        if word in looks_right:
            following = words[place + 1] if place + 1 < len(words) else "-"
            if following.startswith("-") or not looks_right[word](following):
                found[-1] = f"{word}="
    return found


def makes_query(words: Words) -> Query:
    """What is asked for. Raises ``UsageError`` for what cannot be understood or cannot be."""
    from pypm.logs.picking import Query

    now = datetime.now(UTC)
    since = moment("--since", words.since, now, past=True)
    until = moment("--until", words.until, now, past=False)
    if since is not None and since > now.timestamp() * 1000:
        raise UsageError(f"--since: {words.since!r} is yet to come")
    if since is not None and until is not None and since > until:
        raise UsageError("--since is later than --until")
    if words.invert and not words.grep:
        raise UsageError("--invert goes with --grep")
    patterns = tuple(pattern("--grep", text, ignore_case=words.ignore_case) for text in words.grep)
    return Query(
        since=since,
        until=until,
        patterns=patterns,
        invert=words.invert,
        errors=words.errors,
        raw=words.raw,
    )


def moment(option: str, text: str | None, now: datetime, *, past: bool) -> int | None:
    """A time in Unix milliseconds. Raises ``UsageError``."""
    if text is None:
        return None
    from pypm.logs.moments import MOMENT_FORMS, parse_moment

    try:
        return parse_moment(text, now, past=past)
    except (ValueError, OverflowError):
        raise UsageError(f"{option}: {text!r} is no time", hint=f"such as {MOMENT_FORMS}") from None


def pattern(option: str, text: str, *, ignore_case: bool) -> re.Pattern[bytes]:
    """A regular expression over bytes. Raises ``UsageError``."""
    try:
        return re.compile(os.fsencode(text), re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        raise UsageError(f"{option}: {text!r} is no regular expression: {error}") from None


def makes_printer(words: Words) -> Printer:
    """The form that is asked for. Raises ``UsageError`` for forms that exclude each other."""
    from pypm.cli.log_printers import JsonPrinter, Look, PrefixPrinter, RawPrinter

    check_forms(words)
    terminal = sys.stdout.isatty()
    look = Look(
        colour=wants_colour(),
        terminal=terminal,
        strip=words.strip,
        highlight=searched_for(words),
        write_time=time_writer(words.timestamp),
        timed=words.timestamp is not None,
    )
    if words.raw:
        return RawPrinter()
    if words.as_json:
        return JsonPrinter(Look(strip=words.strip))
    if words.template is None:
        return PrefixPrinter(look)
    return template_printer(words.template or PM2_TEMPLATE, look)


def template_printer(template: str, look: Look) -> Printer:
    """Lines of a person's own form. Raises ``UsageError`` for a field that there is not."""
    from pypm.cli.log_printers import TemplatePrinter
    from pypm.cli.templates import unescaped

    try:
        return TemplatePrinter(unescaped(template), look)
    except ValueError as error:
        raise UsageError(f"--format: {error}") from None


def check_forms(words: Words) -> None:
    """Raise ``UsageError`` for words that do not go together."""
    forms = [
        name
        for name, given in (
            ("--raw", words.raw),
            ("--json", words.as_json),
            ("--format", words.template is not None),
        )
        if given
    ]
    if len(forms) > 1:
        raise UsageError(f"{forms[0]} and {forms[1]} exclude each other")
    if words.raw and words.strip:
        raise UsageError("--raw and --strip-ansi exclude each other")
    if forms and forms[0] != "--format":
        extra = [("--timestamp", words.timestamp is not None), ("--highlight", words.highlight is not None)]
        if unfit := [name for name, given in extra if given]:
            raise UsageError(f"{forms[0]} and {unfit[0]} exclude each other")


def searched_for(words: Words) -> re.Pattern[bytes] | None:
    """What is highlighted: what is asked to be, else what is searched for."""
    if words.highlight is not None:
        return pattern("--highlight", words.highlight, ignore_case=words.ignore_case)
    if not words.grep or words.invert:
        return None
    return pattern("--grep", "|".join(f"(?:{text})" for text in words.grep), ignore_case=words.ignore_case)


def time_writer(form: str | None) -> Callable[[datetime], str] | None:
    """What writes times as ``--timestamp`` says; ``None``: as ISO 8601 has them. Raises ``UsageError``."""
    if not form:
        return None
    if "%" in form:
        return lambda moment: moment.strftime(form)
    from pypm.core.date_format import DateFormatError, compile_date_format

    try:
        return compile_date_format(form)
    except DateFormatError as error:
        raise UsageError(f"--timestamp: {error}", hint=f"such as {PM2_TIME}, or %H:%M:%S") from None


def wants_colour() -> bool:
    """Colours are for a terminal whose owner has not declined them."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
