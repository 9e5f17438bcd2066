"""Which files logs have, those of logrotate and pm2-logrotate too; many logs with one look at a folder."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Iterator

from pypm.logs.rotation import COMPRESSIONS, ROTATED, Generation, look, without_twins

__all__ = ["files_of", "files_of_all"]

TRIES = 30
"""How often folders are listed until two listings in a row agree on a log."""
DATE = r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:-[0-9]{10}|[-_T.]?[0-9]{2}(?:[-:]?[0-9]{2}){0,2})?"
DATED = re.compile(rf"(?:-|__|\.|_){DATE}")
"""What stands before or behind a log's suffix in the names that others give to rotated files."""
FOREIGN = 1_000_000
"""Numbers of files with a date in their name, which have none of their own, begin here."""


def files_of(path: str) -> list[Generation]:
    """The regular files of a log, oldest first; empty if there is none.

    Raises ``OSError`` when it is rotated faster than it can be listed, or may not be.
    """
    return files_of_all([path])[path]


def files_of_all(paths: Collection[str]) -> dict[str, list[Generation]]:
    """The files of several logs. Two listings in a row have to agree, as one can fall into a rotation.

    Raises ``OSError`` as ``files_of``.
    """
    found: dict[str, list[Generation]] = {}
    before: dict[str, list[Generation]] = {}
    rest = set(paths)
    for _ in range(TRIES):
        listed = list_all(rest)
        settled = {path for path in rest if path in before and same_files(before[path], listed[path])}
        found.update((path, ordered(listed[path])) for path in settled)
        rest -= settled
        if not rest:
            return {path: found[path] for path in paths}
        before = listed
    raise OSError(errno.EAGAIN, "rotated faster than it can be read", min(rest))


def same_files(one: list[Generation], other: list[Generation]) -> bool:
    """Whether two listings have the same files under the same names."""
    return [(file.path, file.identity) for file in one] == [(file.path, file.identity) for file in other]


def ordered(files: list[Generation]) -> list[Generation]:
    """Oldest first; files with a date go before the first numbered one that was written to later."""
    numbered = without_twins([file for file in files if file.number < FOREIGN])
    for file in sorted((file for file in files if file.number >= FOREIGN), key=lambda file: file.modified):
        later = (place for place, other in enumerate(numbered) if other.modified > file.modified)
        current = len(numbered) - 1 if numbered and numbered[-1].number == 0 else len(numbered)
        numbered.insert(next(later, current), file)
    return numbered


def list_all(paths: Collection[str]) -> dict[str, list[Generation]]:
    """One look at the files of these logs."""
    real = {path: os.path.realpath(path) for path in paths}
    by_folder: dict[str, dict[str, list[str]]] = {}
    for path in real.values():
        folder, base = os.path.split(path)
        by_folder.setdefault(folder, {})[base] = []
    for folder, names in by_folder.items():
        sort_names(folder, names)
    return {
        path: list(looks(resolved, by_folder[os.path.dirname(resolved)][os.path.basename(resolved)]))
        for path, resolved in real.items()
    }


def sort_names(folder: str, names: dict[str, list[str]]) -> None:
    """Add to each of the logs ``names`` the names of its rotated files in the folder."""
    try:
        listed = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in listed:
        base = base_of(name)
        if base in names:
            names[base].append(name)


def base_of(name: str) -> str | None:
    """The name of the log of which this is the name of a rotated file; ``None`` if it is none."""
    stem, suffix = os.path.splitext(name)
    if suffix in (".gz", ".zst"):
        stem, suffix = os.path.splitext(stem)
    if suffix[1:].isdecimal() and len(suffix) <= 6 and suffix[1] != "0":
        return stem
    if not any(sign.isdecimal() for sign in stem[-4:] + suffix[-4:]):
        return None
    whole = stem + suffix
    for match in DATED.finditer(whole):
        rest = whole[match.end() :]
        if not rest or re.fullmatch(r"\.[A-Za-z]\w*", rest):
            return whole[: match.start()] + rest
    return None


def looks(path: str, names: list[str]) -> Iterator[Generation]:
    """The files of a resolved path that are there, numbered ones first, the oldest of them first."""
    prefix, folder = len(os.path.basename(path)), os.path.dirname(path)
    numbered: list[tuple[int, str]] = []
    dated: list[str] = []
    for name in names:
        match = ROTATED.fullmatch(name, prefix) if name.startswith(os.path.basename(path)) else None
        if match:
            numbered.append((int(match[1]), match[2]))
        else:
            dated.append(name)
    for number, suffix in sorted(numbered, key=lambda end: (-end[0], end[1])):
        if (file := look(f"{path}.{number}{suffix}", number, COMPRESSIONS[suffix])) is not None:
            yield file
    if (file := look(path, 0)) is not None:
        yield file
    for place, name in enumerate(sorted(dated)):
        suffix = os.path.splitext(name)[1]
        kind = COMPRESSIONS.get(suffix, "none")
        if (file := look(os.path.join(folder, name), FOREIGN + place, kind)) is not None:
            yield file
