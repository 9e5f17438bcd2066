"""Which run ``pypm logs --run`` means: ``last``, ``-1``, or an id or its beginning."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pypm.core.errors import NotFoundError, UsageError
from pypm.logs.catalog import CatalogEntry

__all__ = ["runs_of"]

BACK = re.compile(r"-[0-9]{1,3}")
ID = re.compile(r"[0-9a-f]{1,12}")
SHOWN = 12


def runs_of(word: str, entries: Sequence[CatalogEntry]) -> dict[int, str]:
    """The run that ``word`` means of each of these instances, by instance id; without those that have none.

    Raises ``UsageError`` for a word of no form and for a beginning of several runs; ``NotFoundError`` where
    no instance has such a run, or it cannot be told apart from others in the same file.
    """
    word = word.lower()
    if word == "last":
        word = "-0"
    if BACK.fullmatch(word):
        place = int(word[1:])
        found = {entry.id: entry.runs[place] for entry in entries if place < len(entry.runs)}
    elif ID.fullmatch(word):
        found = by_beginning(word, entries)
    else:
        raise UsageError(f"no run is called {word!r}", hint="`last`, `-1` (the one before it), or a run id")
    if not found:
        raise NotFoundError(f"no run {word!r} is known", hint=known(entries))
    for entry in entries:
        if entry.id in found and entry.merged and entry.form == "raw":
            raise NotFoundError(
                f"{entry.app}: several instances write to one file, which does not tell their runs",
                hint='format = "text" or "json" in [apps.logs] has the run in each line',
            )
    return found


def by_beginning(word: str, entries: Sequence[CatalogEntry]) -> dict[int, str]:
    """The instances with a run whose id begins so."""
    found = {entry.id: run for entry in entries for run in entry.runs if run.startswith(word)}
    several = sorted({run for entry in entries for run in entry.runs if run.startswith(word)})
    if len(several) > 1:
        raise UsageError(f"several runs begin with {word!r}", hint=", ".join(several[:SHOWN]))
    return found


def known(entries: Sequence[CatalogEntry]) -> str:
    """A sentence that names the runs that are known."""
    names = [f"{run} ({entry.name})" for entry in entries for run in entry.runs]
    if not names:
        return "there was no run yet"
    return "known are " + ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
