"""Watched apps: a change of their files restarts them. One watcher for each app, however many its instances.

The kernel's notices come through watchfiles (inotify; it is loaded with the first watched app). What a
person never means is left out: version control, environments, caches, editors' files, pypm's own logs, and
what the ``.gitignore`` of the watched folder names.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterable
from typing import Protocol

from pypm.core.instance import Desired, Instance, Status
from pypm.core.spec import AppSpec, WatchSpec
from pypm.logs.paths import log_files

__all__ = ["Watches", "ignored_by"]

log = logging.getLogger(__name__)

NEVER_MEANT = (
    *(".git/", ".hg/", ".svn/", ".jj/", ".venv/", "venv/", "node_modules/", "__pycache__/", "*.py[co]"),
    *(".mypy_cache/", ".ruff_cache/", ".pytest_cache/", ".tox/", ".nox/", ".cache/", ".idea/", ".vscode/"),
    *("*.log", "*.log.*", "*.swp", "*.swx", "*~", ".#*", "#*#", "4913", ".DS_Store", "*.tmp", ".*.kate-swp"),
)
"""Patterns as in a ``.gitignore``."""
STEP = 50
"""Milliseconds of quiet after which what has changed is told."""
LONGEST_BURST = 1600
"""Milliseconds after which it is told although it goes on."""
AGAIN = 30.0
"""Seconds after which a watch that failed is tried again."""
WATCHED = (Status.STARTING, Status.ONLINE, Status.BACKOFF, Status.HELD, Status.ERRORED, Status.EXITED)

Ignored = Callable[[str], bool]


class Owner(Protocol):
    """What the watches act on."""

    def instances_of(self, name: str) -> list[Instance]:
        """An app's instances, by index."""


class Watches:
    """Keeps a watcher for each app that wants one, and tells whose files have changed.

    ``restart`` is called with an instance and the reason; ``tell`` with an event's name and its facts.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        apps: Owner,
        home: str,
        restart: Callable[[Instance, str], None],
        tell: Callable[..., None],
    ) -> None:
        self._loop = loop
        self._apps = apps
        self._home = home
        self._restart = restart
        self._tell = tell
        self._tasks: dict[str, tuple[WatchSpec, asyncio.Task[None]]] = {}

    def declared(self, name: str, spec: AppSpec | None) -> None:
        """An app is there, or has changed: watch its files as it says now; None: it is gone."""
        if spec is None:
            self.forget(name)
            return
        present = self._tasks.get(name)
        if present is not None:
            if present[0] == spec.watch:
                return
            self.forget(name)
        if spec.watch is not None:
            task = self._loop.create_task(self._watch(spec, spec.watch))
            self._tasks[name] = (spec.watch, task)

    def forget(self, name: str) -> None:
        """An app is gone, or is not watched any more."""
        present = self._tasks.pop(name, None)
        if present is not None:
            present[1].cancel()

    async def close(self) -> None:
        """End all watchers."""
        tasks = [task for _, task in self._tasks.values()]
        for name in list(self._tasks):
            self.forget(name)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, spec: AppSpec, watch: WatchSpec) -> None:
        failed = False
        while True:
            try:
                await self._watch_once(spec, watch)
            except Exception as error:
                if not failed:
                    log.warning("%s: its files cannot be watched: %s", spec.name, error)
                    self._tell("watch.failed", name=spec.name, reason=str(error))
                failed = True
            await asyncio.sleep(AGAIN)

    async def _watch_once(self, spec: AppSpec, watch: WatchSpec) -> None:
        if (
            sys.modules.get("ssl", asyncio) is None
        ):  # left out for its size (see __main__), and imported by anyio
            del sys.modules["ssl"]
        from watchfiles import awatch

        logging.getLogger("watchfiles").setLevel(logging.WARNING)
        logs = (log_files("", spec, index) for index in range(spec.instances))
        own = [path for each in logs for path in (each.out, each.error, each.combined) if path]
        ignored = await self._loop.run_in_executor(None, ignored_by, watch, [self._home + "/", *own])
        changes = awatch(
            *watch.paths,
            watch_filter=lambda _, path: not ignored(path),
            step=STEP,
            debounce=LONGEST_BURST,
            ignore_permission_denied=True,
        )
        async for some in changes:
            if watch.delay:
                await asyncio.sleep(watch.delay)
            self._changed(spec.name, watch, sorted(path for _, path in some))

    def _changed(self, name: str, watch: WatchSpec, paths: list[str]) -> None:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        reason = f"{shortened(paths[0], watch.paths)}{more} changed"
        log.info("%s: %s", name, reason)
        for instance in self._apps.instances_of(name):
            if instance.desired is Desired.UP and instance.status in WATCHED:
                self._restart(instance, reason)


def shortened(path: str, roots: Iterable[str]) -> str:
    """A path as seen from the watched folder it is in."""
    inside = [root for root in roots if path.startswith(root.rstrip("/") + "/")]
    return os.path.relpath(path, max(inside, key=len)) if inside else path


def ignored_by(watch: WatchSpec, own: Iterable[str]) -> Ignored:
    """Whether a change of an absolute path is left out; reads each watched folder's ``.gitignore``.

    What begins with one of ``own`` is pypm's: its home, and the app's logs with their rotated files.
    """
    from pathspec import GitIgnoreSpec

    rules: list[tuple[str, GitIgnoreSpec]] = []
    for root in watch.paths:
        folder = root if os.path.isdir(root) else os.path.dirname(root)
        lines = [*NEVER_MEANT, *_gitignore(folder), *watch.ignore]
        rules.append((folder.rstrip("/") + "/", GitIgnoreSpec.from_lines(lines)))
    prefixes = tuple(own)

    def ignored(path: str) -> bool:
        if path.startswith(prefixes):
            return True
        kind = "/" if os.path.isdir(path) else ""
        return all(
            not path.startswith(folder) or spec.match_file(path[len(folder) :] + kind)
            for folder, spec in rules
        )

    return ignored


def _gitignore(folder: str) -> list[str]:
    try:
        with open(os.path.join(folder, ".gitignore"), encoding="utf-8", errors="replace") as file:
            return file.read(65536).splitlines()
    except OSError:
        return []
