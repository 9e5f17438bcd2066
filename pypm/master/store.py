"""Group commits: what changed in one turn of the loop is one atomic, durable write, off the loop's path.

While a commit is being written, further changes wait for the next one. A disk that refuses is reported once
and tried again; agents run on.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from pypm.core.instance import Instance
from pypm.core.state import App, assemble, encode_app, encode_instance, encode_origin
from pypm.system.clock import boot_id, boot_time, wall_time
from pypm.system.files import replace_file

__all__ = ["Store"]

log = logging.getLogger(__name__)

SPACING = 0.02
"""Seconds between the beginnings of two commits: a storm of changes does not become one of writes."""
PATIENCE = 1.0
"""Seconds that a change may wait which need not be saved soon."""
RETRY = 1.0
"""Seconds until a commit that the disk refused is tried again."""


class Store:
    """Keeps the state file equal to what it is told. ``write`` is replaced in tests."""

    def __init__(
        self,
        path: str,
        loop: asyncio.AbstractEventLoop,
        write: Callable[[str, bytes], None] = replace_file,
    ) -> None:
        self.noted: Callable[[], int] = lambda: 0
        """How many runs have been noted elsewhere because they are not saved; asked when a commit begins."""
        self.on_saved: Callable[[int], None] = lambda _: None
        """Told that number when the commit is on the disk."""
        self.receipts: Callable[[], Iterable[bytes]] = tuple
        """Receipts of requests as they are to be saved; asked when a commit begins."""
        self.is_lost: Callable[[], bool] = lambda: False
        """Whether the file is another master's by now; asked when a commit begins."""
        self.trouble: str | None = None
        """Why the last commit failed; None if it did not."""
        self._path = path
        self._loop = loop
        self._write = write
        self._boot_id = boot_id()
        self._apps: dict[str, bytes] = {}
        self._origins: dict[bytes, str] = {}
        """Key of each environment that apps have inherited, by its encoded form."""
        self._origin_keys = count()
        self._origin_of: dict[str, str] = {}
        self._instances: dict[int, bytes] = {}
        self._dirty: dict[int, Instance] = {}
        self._next_id = 0
        self._changes = 0
        self._committed = 0
        self._last_begin = float("-inf")
        self._handle: asyncio.Handle | None = None
        self._patient: asyncio.TimerHandle | None = None
        """Begins a commit of what need not be saved soon."""
        self._writing = False
        self._held = False
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")

    def hold(self) -> None:
        """Begin no commit until ``go_on``: a master that is not in charge yet leaves the file as it is."""
        self._held = True

    def go_on(self) -> None:
        """Commit what has changed since ``hold``, and from now on what changes."""
        self._held = False
        if self._changes > self._committed:
            self._schedule()

    def put_app(self, app: App) -> None:
        """An app is new or has changed."""
        encoded = encode_origin(app.origin)
        origin = self._origins.get(encoded)
        if origin is None:
            origin = self._origins[encoded] = str(next(self._origin_keys))
        self._origin_of[app.spec.name] = origin
        self._apps[app.spec.name] = encode_app(app, origin)
        self._changed()

    def drop_app(self, name: str) -> None:
        """An app is gone."""
        self._apps.pop(name, None)
        self._origin_of.pop(name, None)
        self._changed()

    def put_instance(self, instance: Instance, *, soon: bool = True) -> None:
        """An instance is new or has changed; it is encoded when the commit is made.

        What need not be ``soon`` is part of the next commit, which comes within a second.
        """
        self._dirty[instance.id] = instance
        if soon:
            self._changed()
        elif self._patient is None and self._handle is None:
            self._patient = self._loop.call_later(PATIENCE, self._changed)

    def drop_instance(self, instance_id: int) -> None:
        """An instance is gone."""
        self._dirty.pop(instance_id, None)
        self._instances.pop(instance_id, None)
        self._changed()

    def put_next_id(self, next_id: int) -> None:
        """The id that the next new instance gets."""
        self._next_id = next_id
        self._changed()

    def when_committed(self, then: Callable[[], None]) -> None:
        """Call ``then`` when all changes so far are on the disk, or the disk has refused them."""
        if self._committed >= self._changes:
            then()
            return
        future: asyncio.Future[None] = self._loop.create_future()
        future.add_done_callback(lambda _: then())
        self._waiters.append((self._changes, future))

    async def committed(self) -> None:
        """Return when all changes so far are on the disk, or the disk has refused them (``trouble``)."""
        if self._patient is not None:
            self._changed()
        if self._committed >= self._changes:
            return
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append((self._changes, future))
        await future

    @property
    def written(self) -> tuple[int, int]:
        """What tells the present state file from any other: its inode and time of change; zeros if none."""
        try:
            status = os.stat(self._path)
        except OSError:
            return (0, 0)
        return (status.st_ino, status.st_mtime_ns)

    def written_by_others(self, written: tuple[int, int]) -> bool:
        """Whether the state file is another one than it was."""
        return self.written != written

    def write_anew(self) -> None:
        """Write the file again: it has been removed, or ``receipts`` are others than they were."""
        self._changed()

    def abandon(self) -> None:
        """The file is another's now: nothing is written any more."""
        self._write = write_nothing

    async def close(self) -> None:
        """Commit what is left and end the thread."""
        await self.committed()
        if self._handle is not None:
            self._handle.cancel()
        self._thread.shutdown()

    def _changed(self) -> None:
        self._changes += 1
        if self._handle is None and not self._writing and not self._held:
            self._schedule()

    def _schedule(self) -> None:
        """Begin a commit after the callbacks of this turn, so that one turn is one commit, or a bit later."""
        wait = self._last_begin + SPACING - self._loop.time()
        begin_later = (
            self._loop.call_later(wait, self._begin) if wait > 0 else self._loop.call_soon(self._begin)
        )
        self._handle = begin_later

    def _begin(self) -> None:
        # Not for good: of a home that was put back from elsewhere the lock is another one, and nobody's.
        write = write_nothing if self.is_lost() else self._write
        self._handle = None
        self._writing = True
        if self._patient is not None:
            self._patient.cancel()
            self._patient = None
        self._last_begin = self._loop.time()
        for instance_id, instance in self._dirty.items():
            self._instances[instance_id] = encode_instance(instance)
        self._dirty.clear()
        used = set(self._origin_of.values())
        self._origins = {origin: key for origin, key in self._origins.items() if key in used}
        data = assemble(
            self._boot_id,
            boot_time(),
            wall_time(),
            self._next_id,
            {key: origin for origin, key in self._origins.items()},
            self._apps.values(),
            self._instances.values(),
            self.receipts(),
        )
        changes, noted = self._changes, self.noted()
        future = self._loop.run_in_executor(self._thread, write, self._path, data)
        future.add_done_callback(lambda done: self._end(changes, noted, done.exception()))

    def _end(self, changes: int, noted: int, error: BaseException | None) -> None:
        self._writing = False
        if error is None:
            self.on_saved(noted)
            if self.trouble is not None:
                log.warning("the state can be saved again")
            self.trouble = None
            self._committed = changes
        else:
            self._report(error)
        for number, future in self._waiters:
            if (number <= changes or error is not None) and not future.done():
                future.set_result(None)
        self._waiters = [each for each in self._waiters if not each[1].done()]
        if error is not None:
            self._handle = self._loop.call_later(RETRY, self._begin)
        elif self._changes > self._committed:
            self._schedule()

    def _report(self, error: BaseException) -> None:
        trouble = f"cannot save the state to {self._path}: {error}"
        if self.trouble is None:
            log.error("%s; it is tried again each second", trouble)
        self.trouble = trouble


def write_nothing(_path: str, _data: bytes) -> None:
    """What is done with a state whose file is another master's."""
