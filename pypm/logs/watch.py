"""Waiting until something has come to one of several logs: by the kernel's notices, else by looking."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Collection

from pypm.logs.inotify import Notice, Notices

__all__ = ["LogWatch"]

LOOK_EVERY = 0.15
"""Seconds between two looks where the kernel gives no notices."""
LOOK_ANYWAY = 5.0
"""Seconds after which everything is looked at although no notice came: file systems that another machine
writes to give none."""
LOOK_FOR_FOLDERS = 1.0
"""Seconds between two looks for folders that are not there yet."""


class LogWatch:
    """Tells which of some paths may have changed: bytes added, truncated, replaced, deleted, there at last.

    Where there is no inotify, or its limits are used up, ``reason`` says so and all paths may have changed
    again and again.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        """Why the kernel gives no notices; ``None``: it does."""
        self._paths: dict[str, list[int]] = {}
        """Watches of the file that has the name and of the one before it, into which one may still write."""
        self._by_watch: dict[int, set[str]] = {}
        self._folders: dict[str, int] = {}
        self._names: dict[tuple[int, str], set[str]] = {}
        self._waiting: set[str] = set()
        """Paths of which a folder is not there."""
        self._notices: Notices | None = None
        try:
            self._notices = Notices()
        except OSError as error:
            self._give_up(error)

    def add(self, path: str) -> None:
        """Watch a path, whether there is a file of that name or not."""
        if self._notices is not None and path not in self._paths:
            self._paths[path] = []
            self._renew(path)

    def wait(self, seconds: float | None = None, ending: int | None = None) -> Collection[str] | None:
        """Wait for a change, at most ``seconds``; gives the paths that may have changed; ``None``: all.

        ``ending`` is a descriptor of which the end of its reader ends the wait too, with no path.
        """
        longest = LOOK_EVERY if self._notices is None else LOOK_ANYWAY
        if self._waiting:
            longest = min(longest, LOOK_FOR_FOLDERS)
        poll = select.poll()
        if self._notices is not None:
            poll.register(self._notices.descriptor, select.POLLIN)
        if ending is not None:
            poll.register(ending, 0)
        asked = longest if seconds is None else max(min(seconds, longest), 0.0)
        ready = poll.poll(asked * 1000)
        if self._notices is None:
            return None
        changed = self._changed(self._notices.read())
        if changed is not None and not ready and asked == longest:
            return self._look_anyway()
        return changed

    def close(self) -> None:
        """Watch nothing any more."""
        if self._notices is not None:
            self._notices.close()
            self._notices = None

    def _look_anyway(self) -> Collection[str] | None:
        for path in list(self._waiting):
            self._renew(path)
        return None

    def _changed(self, notices: list[Notice]) -> set[str] | None:
        changed: set[str] = set()
        renewed: set[str] = set()
        for notice in notices:
            if notice.watch == -1:
                return None
            if notice.gone:
                self._drop(notice.watch)
            elif notice.name:
                renewed |= self._names.get((notice.watch, notice.name), set())
            elif notice.watch in self._by_watch:
                changed |= self._by_watch[notice.watch]
        for path in renewed:
            self._renew(path)
        return changed | renewed

    def _drop(self, watch: int) -> None:
        """A watch has ended, because its file or folder is gone."""
        for path in self._by_watch.pop(watch, ()):
            self._paths[path].remove(watch)
        for folder, number in list(self._folders.items()):
            if number == watch:
                del self._folders[folder]
                for key in [key for key in self._names if key[0] == watch]:
                    self._waiting |= self._names.pop(key)

    def _renew(self, path: str) -> None:
        """Watch the file that has the name now, and the name."""
        if self._notices is None:
            return
        try:
            # A link's own name and that of the real file may both be given to other files.
            real = os.path.realpath(path)
            missing = [name for name in {path, real} if not self._watch_name(path, name)]
            (self._waiting.add if missing else self._waiting.discard)(path)
            self._watch_file(path, real)
        except OSError as error:
            self._give_up(error)

    def _watch_name(self, path: str, name: str) -> bool:
        """Whether the folder of ``name`` is watched by now; raises ``OSError`` where no more can be."""
        assert self._notices is not None
        folder, base = os.path.split(name)
        if folder not in self._folders:
            try:
                self._folders[folder] = self._notices.watch_folder(folder)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.ENOMEM):
                    raise
                return False
        self._names.setdefault((self._folders[folder], base), set()).add(path)
        return True

    def _watch_file(self, path: str, real: str) -> None:
        assert self._notices is not None
        files = self._paths[path]
        try:
            number = self._notices.watch_file(real)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.ENOMEM):
                raise
            return  # not there, or not to be read: then reading it will tell
        if number not in files:
            files.append(number)
            self._by_watch.setdefault(number, set()).add(path)
        for old in files[:-2]:
            files.remove(old)
            self._by_watch[old].discard(path)
            if not self._by_watch[old]:
                del self._by_watch[old]
                self._notices.forget(old)

    def _give_up(self, error: OSError) -> None:
        self.close()
        self.reason = error.strerror or str(error)
        if error.errno == errno.ENOSPC:
            self.reason = "the limit of fs.inotify.max_user_watches is used up"
        elif error.errno == errno.EMFILE:
            self.reason = "the limit of fs.inotify.max_user_instances is used up"
