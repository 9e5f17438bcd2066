"""What files the logs of a home have, found with one look at each folder.

A listing per log would read the folder of a thousand logs a thousand times.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping

import msgspec

from pypm.logs.bounds import KeptLog
from pypm.logs.rotation import COMPRESSIONS, INDEX, Compression, Generation, twins

__all__ = ["PARTIAL", "Inventory", "LogRules", "partial_path", "take_inventory"]

ROTATED = re.compile(r"(.+)\.([1-9][0-9]{0,4})(\.gz|\.zst|)")
PARTIAL = ".partial"
UNFINISHED = re.compile(r"(.+)\.[1-9][0-9]{0,4}\.(?:gz|zst)\.partial(?:\.index)?")


class LogRules(msgspec.Struct, frozen=True):
    """What an app wants of a log."""

    app: str
    retain: int
    retain_age: float | None = None
    compress: Compression = "none"


class Inventory(msgspec.Struct, frozen=True):
    """What was found."""

    logs: list[KeptLog]
    doubles: list[Generation]
    """Plain files whose compressed twin is there: something ended between its making and their deletion."""
    unfinished: list[str]
    """Files of a compression that may have been given up."""
    astray: list[str]
    """Logs that have an index without its file."""


class Folder:
    """One folder: which logs are looked for, and what was found of them."""

    def __init__(self, every_log: bool) -> None:
        self.every_log = every_log
        self.rules: dict[str, LogRules | None] = {}
        self.found: dict[str, list[Generation]] = {}
        self.indexed: list[str] = []
        self.unfinished: list[str] = []

    def take(self, entry: os.DirEntry[str]) -> None:
        """Note a file, if it is one of a log's."""
        name = entry.name
        if unfinished := UNFINISHED.fullmatch(name):
            if self.is_wanted(unfinished[1]):
                self.unfinished.append(entry.path)
            return
        if name.endswith(INDEX):
            self.indexed.append(name.removesuffix(INDEX))
            return
        base, number, suffix = self.parts(name)
        if not self.is_wanted(base):
            return
        with contextlib.suppress(OSError):
            status = entry.stat()
            if stat.S_ISREG(status.st_mode):
                generation = Generation(
                    entry.path,
                    number,
                    (status.st_dev, status.st_ino),
                    status.st_size,
                    status.st_mtime_ns,
                    COMPRESSIONS[suffix],
                )
                self.found.setdefault(base, []).append(generation)

    def is_wanted(self, base: str) -> bool:
        """Whether this is the name of a log."""
        return base in self.rules or (self.every_log and base.endswith(".log"))

    def parts(self, name: str) -> tuple[str, int, str]:
        """A log's name, rotation number and suffix in a file's name."""
        rotated = None if name in self.rules else ROTATED.fullmatch(name)
        return (rotated[1], int(rotated[2]), rotated[3]) if rotated else (name, 0, "")

    def astray(self) -> set[str]:
        """Names of the logs that have an index without its file."""
        there = {os.path.basename(file.path) for files in self.found.values() for file in files}
        bases = {self.parts(name)[0] for name in self.indexed if name not in there}
        return {base for base in bases if self.is_wanted(base)}


def take_inventory(
    folder: str | None,
    rules: Mapping[str, LogRules],
    others: Iterable[str],
    resolve: Callable[[str], str | None] = os.path.realpath,
) -> Inventory:
    """The files of all logs of apps (``rules``, by path), of ``others``, and of every log in ``folder``.

    What cannot be read is not there; nor is that of which ``resolve`` says ``None`` instead of a real path.
    """
    folders: dict[str, Folder] = {}
    if folder is not None and (place := resolve(folder)) is not None:
        folders[place] = Folder(every_log=True)
    resolved: dict[str, str | None] = {}
    for path in (*others, *rules):
        parent, name = os.path.split(path)
        if parent not in resolved:
            resolved[parent] = resolve(parent)
        real = resolved[parent]
        if real is not None and os.path.islink(os.path.join(real, name)):
            target = resolve(path)
            real, name = (None, "") if target is None else os.path.split(target)
        if real is None:
            continue
        folders.setdefault(real, Folder(every_log=False)).rules[name] = rules.get(path)
    for path, each in folders.items():
        with contextlib.suppress(OSError), os.scandir(path) as entries:
            for entry in entries:
                each.take(entry)
    return summary(folders)


def summary(folders: Mapping[str, Folder]) -> Inventory:
    """The inventory of what was found in some folders."""
    logs: list[KeptLog] = []
    doubles: list[Generation] = []
    for path, folder in folders.items():
        for base, files in folder.found.items():
            files.sort(key=lambda file: (-file.number, file.compression))
            double = {file.path for file in twins(files)}
            doubles += [file for file in files if file.path in double]
            kept = tuple(file for file in files if file.path not in double)
            rules = folder.rules.get(base)
            log_path = os.path.join(path, base)
            if rules is None:
                logs.append(KeptLog(log_path, kept))
            else:
                logs.append(
                    KeptLog(log_path, kept, rules.app, rules.retain, rules.retain_age, rules.compress)
                )
    return Inventory(
        logs,
        doubles,
        [path for folder in folders.values() for path in folder.unfinished],
        [os.path.join(path, base) for path, folder in folders.items() for base in folder.astray()],
    )


def partial_path(generation: Generation, suffix: str) -> str:
    """Where the compressed content of a rotated file is until it has its own name."""
    return f"{generation.path}{suffix}{PARTIAL}"
