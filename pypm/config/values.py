"""Raw values of a file to typed ones, one converter a type. Each raises ConfigError with what it expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pypm.config.faults import nearest
from pypm.config.units import parse_size, shown
from pypm.core.date_format import DateFormatError, compile_date_format
from pypm.core.errors import ConfigError
from pypm.core.redaction import RedactionError, check_redactions
from pypm.core.spec import LEAST_LINE, MOST_INSTANCES, MOST_LINE

__all__ = [
    "OneOf",
    "Whole",
    "arguments",
    "autorestart",
    "boolean",
    "command",
    "date_format",
    "environment",
    "exit_codes",
    "filter_env",
    "instances",
    "line_size",
    "memory_limit",
    "name",
    "redactions",
    "restarts",
    "scalar_text",
    "signal_name",
    "sockets",
    "text",
    "texts",
    "variable",
    "venv",
    "watch",
    "whole",
]

LONGEST_NAME = 100
LEAST_MEMORY = 64 * 1024


def text(value: object) -> str:
    """Text that a path, an argument or a variable can be: not empty, UTF-8, without NUL."""
    if not isinstance(value, str):
        raise ConfigError(f"{shown(value)} is {kind(value)}: expected text")
    if not value.strip():
        raise ConfigError("is empty")
    return checked(value)


def checked(value: str) -> str:
    """The text itself; ConfigError if the kernel or a JSON file cannot hold it."""
    if "\0" in value:
        raise ConfigError(f"{shown(value)} contains a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{shown(value)} is not valid UTF-8 text") from None
    return value


def boolean(value: object) -> bool:
    """``true`` or ``false``, and nothing that merely looks like it."""
    if not isinstance(value, bool):
        raise ConfigError(f"{shown(value)} is {kind(value)}: expected true or false, without quotes")
    return value


def integer(value: object) -> int | None:
    """A whole number, also as PM2 takes it: ``4.0`` or ``"4"``; ``None`` for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        digits = value.strip().removeprefix("-")
        return int(value) if digits.isdecimal() and digits.isascii() and len(digits) < 19 else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) else None


class Whole:
    """A converter for whole numbers within bounds."""

    def __init__(self, minimum: int, maximum: int) -> None:
        self.minimum = minimum
        self.maximum = maximum

    def __call__(self, value: object) -> int:
        """Give the number."""
        number = integer(value)
        if number is None or not self.minimum <= number <= self.maximum:
            raise ConfigError(
                f"{shown(value)}: expected a whole number from {self.minimum} to {self.maximum}"
            )
        return number


def whole(minimum: int, maximum: int) -> Whole:
    """A converter for whole numbers within bounds."""
    return Whole(minimum, maximum)


class OneOf:
    """A converter for one of a few words."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self.words = words

    def __call__(self, value: object) -> str:
        """Give the word."""
        if not isinstance(value, str) or value not in self.words:
            raise ConfigError(f"{shown(value)}: expected {', '.join(self.words[:-1])} or {self.words[-1]}")
        return value


def one_of(*words: str) -> OneOf:
    """A converter for one of a few words."""
    return OneOf(words)


def date_format(value: object) -> str:
    """A format of times in moment.js' letters."""
    word = text(value)
    try:
        compile_date_format(word)
    except DateFormatError as error:
        raise ConfigError(str(error)) from None
    return word


def line_size(value: object) -> int:
    """Bytes of a line: so many that a record has more of the line than of a frame."""
    size = parse_size(value)
    if not LEAST_LINE <= size <= MOST_LINE:
        raise ConfigError(f"{shown(value)}: expected {LEAST_LINE} bytes to {MOST_LINE // 1024**2}M")
    return size


def redactions(value: object) -> tuple[str, ...]:
    """What is masked in logs: regular expressions, and ``ENV:NAME``. One may be written without a list."""
    entries = tuple(text(each) for each in (value if isinstance(value, list) else [value]))
    try:
        check_redactions(entries)
    except RedactionError as error:
        raise ConfigError(str(error)) from None
    return entries


def name(value: object) -> str:
    """A name that can be a target, part of a file's name, and part of ``name:0``."""
    word = text(value)
    fault = ""
    if word == "all":
        fault = "means every app; choose another one"
    elif word.startswith("-"):
        fault = "begins with a dash, as options do"
    elif any(sign in word for sign in "/:"):
        fault = 'contains "/" or ":"'
    elif not word.isprintable() or word != word.strip():
        fault = "contains a line break or another character that does not print, or blanks at its ends"
    elif len(word) > LONGEST_NAME or len(word.encode()) > 2 * LONGEST_NAME:
        fault = f"is longer than {LONGEST_NAME} characters"
    if fault:
        raise ConfigError(f"the name {shown(word)} {fault}")
    return word


def variable(value: object) -> str:
    """The name of an environment variable."""
    word = text(value)
    if "=" in word:
        raise ConfigError(f'{shown(word)} contains "=": it cannot name an environment variable')
    return word


def scalar_text(value: object) -> str:
    """Text, number or boolean as text, the way JavaScript writes it (``true``, ``1`` for ``1.0``)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return checked(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value - value == 0:
        return _float_text(value)
    raise ConfigError(f"{shown(value)} is {kind(value)}: expected text, a number, true or false (use quotes)")


def _float_text(value: float) -> str:
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    written = repr(value)
    if "e" not in written:
        return written
    if abs(value) >= 1e-6 and abs(value) < 1e21:
        from decimal import Decimal

        return f"{Decimal(written):f}"
    return written.replace("e-0", "e-")


def environment(value: object) -> dict[str, str]:
    """Environment variables: values become text; tables and lists become JSON, as in PM2."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{shown(value)} is {kind(value)}: expected a table of environment variables")
    return {variable(key): _variable_text(key, entry) for key, entry in value.items()}


def _variable_text(key: str, value: object) -> str:
    try:
        if isinstance(value, Mapping | list):
            import json

            return checked(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
        return scalar_text(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{key} cannot be written as JSON: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{key}: {error.message}") from error


def split(words: str) -> list[str]:
    """Split as a shell does; a word that begins with ``~/`` gets the home folder."""
    import os
    import shlex

    try:
        parts = shlex.split(words)
    except ValueError as error:
        fault = "a quote is not closed" if "quotation" in str(error) else "nothing follows the last backslash"
        raise ConfigError(f"{shown(words)}: {fault}") from error
    return [os.path.expanduser(part) if part.startswith("~/") else part for part in parts]


def arguments(value: object) -> tuple[str, ...]:
    """Arguments: a list, or text that is split as a shell does."""
    if isinstance(value, str):
        return tuple(split(checked(value)))
    if isinstance(value, list | tuple):
        return tuple(scalar_text(word) for word in value)
    raise ConfigError(f"{shown(value)} is {kind(value)}: expected text or a list of texts")


def command(value: object) -> str | tuple[str, ...]:
    """A command: text, or an argument vector whose first word is not empty."""
    if not isinstance(value, list | tuple):
        return text(value)
    words = arguments(value)
    if not words or not words[0].strip():
        raise ConfigError("the list has no first word, which is the program")
    return words


def texts(value: object) -> tuple[str, ...]:
    """One text or a list of them."""
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(text(entry) for entry in values)


def sockets(value: object) -> tuple[str, ...]:
    """One address of a socket or a list of them."""
    from pypm.core.addresses import parse_address

    addresses = texts(value)
    for each in addresses:
        try:
            parse_address(each)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    return addresses


def venv(value: object) -> str | Literal[False]:
    """A folder with a virtual environment; ``False``: look for none."""
    return False if value is False else text(value)


def filter_env(value: object) -> tuple[str, ...] | Literal[True]:
    """What of the shell's environment is dropped: all, nothing, or the names that contain one of these."""
    if isinstance(value, bool):
        return value or ()
    return texts(value)


def autorestart(value: object) -> str:
    """``always``, ``on-failure`` or ``never``; ``true`` and ``false`` are the first and the last."""
    if isinstance(value, bool):
        return "always" if value else "never"
    if value in ("always", "on-failure", "never"):
        return str(value)
    raise ConfigError(f'{shown(value)}: expected true, false or "on-failure"')


def exit_codes(value: object) -> tuple[int, ...]:
    """One exit code or a list of them."""
    code = whole(0, 255)
    return tuple(code(entry) for entry in (value if isinstance(value, list | tuple) else [value]))


def restarts(value: object) -> int | None:
    """How many restarts are allowed; ``None``: no limit."""
    number = integer(value)
    if value == "unlimited":
        return None
    if number is None or number < 0:
        raise ConfigError(f'{shown(value)}: expected a whole number, 0 or more, or "unlimited"')
    return number


def instances(value: object) -> int:
    """How many instances: a number, ``"max"`` or 0 for one a CPU, ``-1`` for one less than that."""
    import os

    number = 0 if value == "max" else integer(value)
    if number is None or number > MOST_INSTANCES:
        raise ConfigError(f'{shown(value)}: expected a whole number up to {MOST_INSTANCES}, or "max"')
    return number if number > 0 else max(1, len(os.sched_getaffinity(0)) + number)


def memory_limit(value: object) -> int | None:
    """Bytes; ``None`` for 0: no limit. A bare number that no program can be small enough for is a mistake."""
    size = parse_size(value)
    if 0 < size < LEAST_MEMORY and integer(value) is not None:
        raise ConfigError(f'{shown(value)} is a number of bytes; did you mean "{size}M"?')
    return size or None


def signal_name(value: object) -> str:
    """A signal's canonical name, from its name with or without SIG, or its number."""
    import signal

    number = integer(value)
    if number is not None:
        word = next((entry.name for entry in signal.Signals if entry.value == number), "")
    else:
        word = value.strip().upper() if isinstance(value, str) else ""
        word = word if word.startswith("SIG") else f"SIG{word}"
    if word not in signal.Signals.__members__:
        hint = nearest(word, signal.Signals.__members__)
        raise ConfigError(f'{shown(value)} is not a signal: expected such as "SIGTERM", "INT" or 2{hint}')
    return signal.Signals[word].name


def watch(value: object) -> tuple[str, ...] | None:
    """``true`` or an empty list: the app's folder; paths; ``None``: nothing is watched (``false``)."""
    if isinstance(value, bool):
        return (".",) if value else None
    if isinstance(value, list) and not value:
        return (".",)
    return tuple(texts(value))


def kind(value: object) -> str:
    """What a value is, in the words of the file formats."""
    kinds: list[tuple[Any, str]] = [
        (bool, "true or false"),
        (int | float, "a number"),
        (str, "text"),
        (list | tuple, "a list"),
        (Mapping, "a table"),
    ]
    if value is None:
        return "nothing"
    return next((word for types, word in kinds if isinstance(value, types)), f"a {type(value).__name__}")
