"""What the commands print: JSON or text on stdout, everything about failures on stderr.

The quick road reads this, so it imports nothing that takes time.
"""

from __future__ import annotations

import json
import os
import sys

from pypm.core.errors import PypmError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TextIO

__all__ = [
    "FORM",
    "Form",
    "guarded",
    "names_in_words",
    "note",
    "plain",
    "prepare_streams",
    "print_json",
    "report",
    "say",
]

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 + SIGINT."""

PIPE_CLOSED = 141
"""Exit status when the reader of our output has gone: 128 + SIGPIPE."""


def prepare_streams() -> None:
    """Let a name or a sign that the terminal's encoding lacks become ``?`` instead of a failure.

    Where we were started with closed descriptors (``>&-``), they become ``/dev/null``: else the next file or
    socket that is opened would get their numbers.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, _nowhere(descriptor))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _nowhere(descriptor: int) -> TextIO:
    """``/dev/null``, opened as this descriptor."""
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)
    else:
        os.set_inheritable(opened, True)
    return open(descriptor, "w" if descriptor else "r", closefd=False)


class Form:
    """The form in which a command prints what it has for programs: JSON, or the lines of a template."""

    template: str | None = None


FORM = Form()
"""That of the command that runs; :func:`pypm.cli.options.json_option` sets it."""


def print_json(value: Any, objects: Iterable[Any] | None = None) -> None:
    """Print ``value`` as one line of JSON in ASCII, the same on both roads; or as ``--format`` wants it.

    Then it is a line for each of ``objects``, which are those in ``value`` itself where they are not given.
    """
    if FORM.template is None:
        sys.stdout.write(json.dumps(value) + "\n")
        return
    from pypm.cli.templates import filled, objects_of

    sys.stdout.write(filled(FORM.template, objects_of(value if objects is None else list(objects))))


def say(text: str) -> None:
    """Tell a person a result, on stdout."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Tell a person something beside the result, on stderr, after what stdout has been told already."""
    sys.stdout.flush()
    sys.stderr.write(text + "\n")


def report(error: PypmError) -> int:
    """Tell a person on stderr what went wrong and what to do next; give the exit status."""
    note(f"pypm: {error.message}")
    if error.hint:
        note(f"hint: {error.hint}")
    return error.exit_status


def guarded(command: Callable[[list[str]], int | None], arguments: list[str]) -> int | None:
    """Run ``command(arguments)``; turn what it raises into words on stderr and an exit status."""
    try:
        status = command(arguments)
        sys.stdout.flush()
    except PypmError as error:
        return report(error)
    except KeyboardInterrupt as interrupt:
        for each in dict.fromkeys(getattr(interrupt, "__notes__", ())):
            note(f"pypm: {each}")
        return INTERRUPTED
    except BrokenPipeError:
        _give_up_stdout()
        return PIPE_CLOSED
    except OSError as error:
        # Such as a full disk behind stdout, which is nobody's bug.
        _give_up_stdout()
        note(f"pypm: {error.filename or 'cannot go on'}: {error.strerror or error}")
        return 1
    except Exception:  # whatever else it is, it is a bug, and is told as one
        from traceback import print_exc

        print_exc()
        note("pypm: this is a bug in pypm; please report it with the lines above")
        return 1
    return status


def _give_up_stdout() -> None:
    """Python flushes stdout once more at its end: give it somewhere to flush to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def plain(text: str) -> str:
    """Give ``text`` from an agent as one line that a terminal shows and does not obey."""
    if text.isprintable():
        return text
    return "".join(map(_shown, text)).rstrip()


def _shown(sign: str) -> str:
    if sign.isprintable():
        return sign
    return " " if sign.isspace() else "\ufffd"


def names_in_words(names: list[str], most: int = 10) -> str:
    """Give ``names`` as people would say them: all of a few, the first of many and how many more."""
    if len(names) <= most:
        return ", ".join(names)
    return ", ".join(names[:most]) + f" and {len(names) - most} more"
