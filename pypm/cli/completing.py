"""What a shell offers at TAB: ``pypm __complete WORD…``, which the scripts of ``pypm completion`` call.

A person waits for it at each TAB, so names come from the state file (no master is asked, none started), and
click is imported only where an option stands on the line. Nothing is said about a home that cannot be read.
"""

from __future__ import annotations

import os
import sys

from pypm.cli.verbs import ALIASES, VERBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pypm.logs.catalog import CatalogEntry

    Candidates = Iterable[tuple[str, str]]

__all__ = ["FILES", "FOLDERS", "candidates", "offer", "run_complete"]

FILES, FOLDERS = ":files", ":folders"
"""Lines that ask the shell for names of files or folders; they come first."""

TARGETS = "targets"

_POSITIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("stop", "restart", "reload", "run-now", "delete", "reset", "list", "describe"), (TARGETS,)
    ),
    **dict.fromkeys(
        ("why", "events", "logs", "flush", "pid", "id", "env", "wait", "monit", "top"), (TARGETS,)
    ),
    **dict.fromkeys(("apply", "validate", "startOrRestart", "startOrReload", "ecosystem"), ("files",)),
    "start": ("files targets",),
    "signal": ("signals", TARGETS),
    "send": (TARGETS, ""),
    "attach": (TARGETS, ""),
    "trigger": (TARGETS, ""),
    "scale": ("apps", ""),
    **dict.fromkeys(("save", "resurrect", "cleardump"), ("snapshots", "")),
}
"""Verb -> what its words are, of which the last one stands for all after it. Of others click knows."""


def run_complete(words: list[str]) -> int:
    """Print what may stand in the place of the last of ``words``, those after ``pypm``: a line each, with a
    tab before what it is."""
    try:
        lines = [f"{name}\t{text}" if text else name for name, text in candidates(words or [""])]
    except Exception:  # a fault of ours or of the home must not write into the line that a person is typing
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def candidates(words: list[str]) -> list[tuple[str, str]]:
    """Give what may stand in the place of the last of ``words``, and what each is; the rest are before it."""
    *before, current = words
    current = current.lstrip("'\"")
    if not before or before == ["help"]:
        return _first_word(current)
    verb = ALIASES.get(before[0], before[0])
    given = before[1:]
    if verb not in VERBS or ("--" in given and verb != "start"):
        return []
    if "--" in given:
        return [(FILES, "")]
    if verb in _POSITIONS and not any(word.startswith("-") for word in (*given, current)):
        return [*offer(_kind_at(verb, len(given)), current, given)]
    from pypm.cli.completing_options import of_command

    return [*of_command(verb, given, current, lambda place: _kind_at(verb, place))]


def _first_word(current: str) -> list[tuple[str, str]]:
    if current.startswith("-"):
        return _beginning(current, {"--help": "Show the commands.", "--version": "Show the version."}.items())
    # The other names are for who types them, and would only be in the way of who looks.
    others = [(name, VERBS[verb]) for name, verb in ALIASES.items()]
    others.append(("help", "Show how a command is used."))
    return _beginning(current, VERBS.items()) or _beginning(current, others)


def _kind_at(verb: str, place: int) -> str:
    kinds = _POSITIONS.get(verb, ("",))
    return kinds[min(place, len(kinds) - 1)]


def offer(kinds: str, current: str, given: Iterable[str] = ()) -> Candidates:
    """Give the names of some kinds (words with blanks between) that begin with ``current``; none twice."""
    taken = set(given)
    for kind in kinds.split():
        found = _KINDS[kind](current)
        yield from (
            (name, text) for name, text in found if name.startswith((current, ":")) and name not in taken
        )


def _beginning(current: str, offered: Candidates) -> list[tuple[str, str]]:
    return [(name, text) for name, text in offered if name.startswith(current)]


def _targets(current: str) -> Candidates:
    entries = _entries()
    if ":" in current:
        yield from ((entry.name, f"instance {entry.index} of {entry.app}") for entry in entries)
        return
    copies: dict[str, int] = {}
    for entry in entries:
        copies[entry.app] = copies.get(entry.app, 0) + 1
    yield from ((app, "app" if count == 1 else f"app, {count} instances") for app, count in copies.items())
    spaces = {entry.namespace for entry in entries} - copies.keys()
    yield from ((name, "namespace") for name in sorted(spaces))
    if entries:
        yield ("all", "everything")


def _apps(_: str) -> Candidates:
    return [(app, "app") for app in dict.fromkeys(entry.app for entry in _entries())]


def _namespaces(_: str) -> Candidates:
    return [(name, "namespace") for name in sorted({entry.namespace for entry in _entries()})]


def _snapshots(_: str) -> Candidates:
    try:
        files = sorted(os.listdir(os.path.join(_home(), "snapshots")))
    except OSError:
        return []
    return [(name.removesuffix(".json"), "snapshot") for name in files if name.endswith(".json")]


def _signals(current: str) -> Candidates:
    from signal import Signals

    names = [signal.name for signal in Signals]
    if not current.upper().startswith("SIG"):
        names = [name.removeprefix("SIG") for name in names]
    return [(name.lower() if current.islower() else name, "signal") for name in names]


def _fields(_: str) -> Candidates:
    from pypm.cli.sorting import FIELDS

    return [(name, "field") for name in FIELDS]


def _entries() -> list[CatalogEntry]:
    from pypm.core.msgspec_alone import load_msgspec

    load_msgspec()
    from pypm.logs.catalog import read_catalog

    return read_catalog(_home())


def _home() -> str:
    from pypm.client.home import home_folder

    return home_folder()


_KINDS: dict[str, Callable[[str], Candidates]] = {
    "files": lambda _: [(FILES, "")],
    "folders": lambda _: [(FOLDERS, "")],
    TARGETS: _targets,
    "apps": _apps,
    "namespaces": _namespaces,
    "snapshots": _snapshots,
    "signals": _signals,
    "fields": _fields,
}
