"""Which instances a person means: names, ids, namespaces, globs, regular expressions, ``all``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

from pypm.core.errors import NotFoundError, UsageError

__all__ = ["Entry", "match", "nearest"]


class Entry(Protocol):
    """What a target is compared with."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def app(self) -> str: ...
    @property
    def namespace(self) -> str: ...


EntryT = TypeVar("EntryT", bound=Entry)


def match(targets: Sequence[str], entries: Sequence[EntryT]) -> list[EntryT]:
    """Return the entries that the targets name, each once, in the order of ``entries``.

    A target is, first match wins: ``all``; ``/regex/`` (searched in app and instance names); an app's or an
    instance's name; an id; a namespace; a glob with ``*``, ``?`` or ``[``. An app whose name is a number is
    found before the id of that number, as in PM2; ``:3`` is the id, whatever apps are called.

    Raises NotFoundError for a target that names nothing (``all`` never does), with the nearest right names.
    """
    chosen: set[int] = set()
    for target in targets:
        found = _match_one(target, entries)
        if not found and target != "all":
            message = f"no app, instance, id or namespace {target!r}"
            raise NotFoundError(message, hint=nearest(target, entries))
        chosen.update(entry.id for entry in found)
    return [entry for entry in entries if entry.id in chosen]


def _matches_glob(entry: Entry, pattern: str) -> bool:
    return fnmatchcase(entry.app, pattern) or fnmatchcase(entry.name, pattern)


def _match_one(target: str, entries: Sequence[EntryT]) -> list[EntryT]:
    if target == "all":
        return list(entries)
    if len(target) > 2 and target.startswith("/") and target.endswith("/"):
        return _match_regex(target[1:-1], entries)
    if target.startswith(":") and target[1:].isdecimal():  # no name has a colon at its beginning
        return [entry for entry in entries if entry.id == int(target[1:])]
    found = [entry for entry in entries if target in (entry.app, entry.name)]
    if not found and target.isdecimal():
        found = [entry for entry in entries if entry.id == int(target)]
    if not found:
        found = [entry for entry in entries if entry.namespace == target]
    if not found and any(sign in target for sign in "*?["):
        found = [
            entry for entry in entries if fnmatchcase(entry.app, target) or fnmatchcase(entry.name, target)
        ]
    return found


def _match_regex(pattern: str, entries: Sequence[EntryT]) -> list[EntryT]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"/{pattern}/ is not a regular expression: {error}") from error
    return [entry for entry in entries if compiled.search(entry.app) or compiled.search(entry.name)]


def nearest(target: str, entries: Sequence[Entry]) -> str:
    """A sentence that names what comes nearest to ``target``, or what there is at all."""
    names = {name for entry in entries for name in (entry.app, entry.name, entry.namespace)} - {"default"}
    if not names:
        return "there are no apps yet; start one with: pypm start FILE"
    from difflib import get_close_matches

    close = get_close_matches(target, sorted(names), n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(close) + "?"
    some = sorted({entry.app for entry in entries})
    return "there are: " + ", ".join(some[:8]) + (" …" if len(some) > 8 else "")
