"""Keeps the logs within their bounds that are on file systems which may not answer (NFS, FUSE and others).

They are looked at by a thread of their own, which may hang without keeping anybody else. Files are renamed
and deleted by the thread of their log, which rotates it too.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Mapping

from pypm.logs.bounds import deletions, to_compress
from pypm.logs.inventory import Inventory, LogRules, take_inventory
from pypm.logs.rotation import Compression, Generation, find, heal_indexes, remove
from pypm.logs.writer import LogFile

__all__ = ["SlowLogs"]


class SlowLogs:
    """Looks at slow logs, one look at a time. ``on_found`` is called, in its thread, with what is plain and
    to be compressed."""

    def __init__(self, on_found: Callable[[list[tuple[Generation, Compression]]], object]) -> None:
        self._on_found = on_found
        self._thread: threading.Thread | None = None
        self._files: dict[str, LogFile] = {}

    def log_of(self, file: Generation) -> LogFile | None:
        """The slow log of which ``file`` is a part; ``None`` where it is none of a slow log."""
        return self._files.get(file.base)

    def look(
        self,
        rules: Mapping[str, LogRules],
        sizes: Mapping[str, int],
        files: Mapping[str, LogFile],
        now: float,
        partial: str,
    ) -> None:
        """Begin to look at the logs ``rules`` (by path), unless the last look still waits for an answer.

        ``partial`` is the file into which something is being compressed now.
        """
        if self._thread is not None and self._thread.is_alive():
            return
        work = functools.partial(self._work, rules, sizes, files, now, partial)
        self._thread = threading.Thread(target=work, name="pypm-slow-logs", daemon=True)
        self._thread.start()

    def _work(
        self,
        rules: Mapping[str, LogRules],
        sizes: Mapping[str, int],
        files: Mapping[str, LogFile],
        now: float,
        partial: str,
    ) -> None:
        self._files = {os.path.realpath(path): files[path] for path in rules}
        for path, rule in rules.items():
            found = take_inventory(None, {path: rule}, ())
            files[path].do(functools.partial(put_in_order, found, partial))
        found = take_inventory(None, rules, ())
        for each in deletions(found.logs, sizes, 0, now):
            self._files[each.file.base].do(functools.partial(delete, each.file))
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._on_found(to_compress(found.logs))


def put_in_order(found: Inventory, partial: str) -> None:
    """Finish or undo what was left half done; ``partial`` is being worked on. Raises ``OSError``."""
    for file in found.doubles:
        delete(file)
    for path in found.unfinished:
        if not partial or not path.startswith(partial):
            os.unlink(path)
    for path in found.astray:
        heal_indexes(path)


def delete(file: Generation) -> None:
    """Delete a rotated file, whatever its number is by now. Raises ``OSError``."""
    now = find(file)
    if now is not None:
        remove(now.path)
