"""Which run ``pypm logs --run`` means: ``last``, ``-1``, or an id or its beginning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from pypm.core.errors import NotFoundError, UsageError
from pypm.logs.catalog import CatalogEntry
from pypm.logs.index import read_index
from pypm.logs.listing import files_of

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
    else:
        entries = [with_written(entry) for entry in entries]
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


def with_written(entry: CatalogEntry) -> CatalogEntry:
    """The instance with all runs whose output is in its logs, as far as their indexes tell of them.

    It remembers a few runs of its own; not that which a reload has ended, nor those from before a ``delete``.
    """
    runs = entry.runs
    if not entry.merged:
        files = entry.files
        for path in dict.fromkeys(path for path in (files.out, files.error, files.combined) if path):
            runs = woven(runs, (run for file in files_of(path) for run in read_index(file).runs()))
    return msgspec.structs.replace(entry, runs=runs)


def woven(known: Sequence[str], written: Iterable[int]) -> tuple[str, ...]:
    """Known runs, newest first, and between them others of a log, which come in their order.

    The first known one, the present or latest, stays the first.
    """
    runs = list(known)
    place = len(runs)
    for number in written:
        run = f"{number:012x}"
        if run in runs:
            place = runs.index(run)
        else:
            place = max(place, 1 if known else 0)
            runs.insert(place, run)
    return tuple(runs)


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
