"""Keeps all logs within their bounds: what is too old or too much goes, what is rotated is compressed.

It looks a moment after a rotation (at the logs of that app) and a minute after something was written (at all
logs), so where nothing is written nothing is done. The looking and the deciding happen in a thread; files are
renamed and deleted in the loop, as rotations are, so that no two changes of names cross.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence

from pypm.config.home_settings import HomeSettings, read_home_settings
from pypm.core.errors import ConfigError
from pypm.core.instance import Instance
from pypm.core.spec import AppSpec
from pypm.logs.bounds import Deletion, deletions, next_expiry, to_compress
from pypm.logs.inventory import Inventory, LogRules, take_inventory
from pypm.logs.mounts import Mounts
from pypm.logs.paths import log_files
from pypm.logs.registry import LogRegistry
from pypm.logs.rotation import (
    Compression,
    Generation,
    Identity,
    find,
    heal_indexes,
    remove,
    remove_rotated,
)
from pypm.logs.threaded import ThreadedLogFile
from pypm.logs.writer import LogFile
from pypm.master.compressor import Compressor
from pypm.master.rotation_times import RotationTimes
from pypm.master.slow_logs import SlowLogs
from pypm.system.home import Home

__all__ = ["LogKeeper"]

log = logging.getLogger(__name__)

NO_BOUND = HomeSettings(logs_total_size=0)
"""What holds before the home's settings have been read."""
FIRST_LOOK = 2.0
"""Seconds after a master's beginning: what an earlier one has left unfinished is put in order."""
AFTER_ROTATION = 0.2
"""Seconds within which rotations are looked at together."""
WHILE_WRITING = 60.0
"""Seconds between two looks at all logs while something is written."""
LONGEST_WAIT = 86400.0
SHARE = 0.005
"""Seconds of one turn of the loop that deleting may take."""


class LogKeeper:
    """Keeps the logs of one home. ``instances`` gives all that are declared."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        home: Home,
        registry: LogRegistry,
        instances: Callable[[], Iterable[Instance]],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._loop = loop
        self._home = home
        self._registry = registry
        self._instances = instances
        self._wall = wall
        self._times = RotationTimes(loop, wall)
        self._compressor = Compressor(loop, self._compressed, self._carry_out)
        self._slow = SlowLogs(lambda plain: loop.call_soon_threadsafe(self._slow_found, plain))
        self._mounts = Mounts()
        self._settings = NO_BOUND
        self._settings_fault = ""
        self._apps: dict[LogFile, str] = {}
        self._rotated: set[str] = set()
        """Apps whose logs were rotated since the last look."""
        self._waiting: dict[Identity, tuple[Generation, Compression]] = {}
        """Files that are to be compressed, in this order."""
        self._full_look: asyncio.TimerHandle | None = None
        self._quick_look: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None
        self._closed = False
        registry.on_kept, registry.on_released = self._kept, self._released

    def start(self) -> None:
        """Begin to look."""
        self._look_within(FIRST_LOOK)

    def settings_changed(self) -> HomeSettings:
        """Take up the home's settings at once. Raises ConfigError where they are wrong."""
        settings = read_home_settings(os.path.join(self._home.path, "config.toml"))
        self._look_within(0.0)
        return settings

    def close(self) -> None:
        """Look no more; what is half done is begun anew by the next master."""
        self._closed = True
        for timer in (self._full_look, self._quick_look):
            if timer is not None:
                timer.cancel()
        if self._looking is not None:
            self._looking.cancel()
        self._times.close()
        self._compressor.close()

    # --- what happens to files ---

    def _kept(self, file: LogFile, spec: AppSpec) -> None:
        """An app writes into ``file``."""
        self._apps[file] = spec.name
        file.on_noted, file.on_rotated = self._noted, self._was_rotated
        self._times.keep(file, spec.logs)

    def _released(self, file: LogFile) -> None:
        self._apps.pop(file, None)
        self._times.forget(file)

    def _noted(self, file: LogFile) -> None:
        self._times.noted(file)
        self._look_within(WHILE_WRITING)

    def _was_rotated(self, file: LogFile) -> None:
        self._times.rotated(file)
        if file not in self._apps:
            return
        self._rotated.add(self._apps[file])
        if self._quick_look is None and not self._closed:
            self._quick_look = self._loop.call_later(AFTER_ROTATION, self._look_at_rotated)

    # --- looking ---

    def _look_within(self, delay: float) -> None:
        """Look at all logs in so many seconds, or earlier if that is planned."""
        if self._full_look is not None:
            if self._full_look.when() <= self._loop.time() + delay:
                return
            self._full_look.cancel()
        if not self._closed:
            self._full_look = self._loop.call_later(delay, self._look_at_all)

    def _look_at_all(self) -> None:
        if self._is_looking(self._look_at_all):
            return
        self._full_look = None
        self._looking = self._loop.create_task(self._look(None))

    def _look_at_rotated(self) -> None:
        if self._is_looking(self._look_at_rotated):
            return
        self._quick_look = None
        apps, self._rotated = self._rotated, set()
        self._looking = self._loop.create_task(self._look(apps))

    def _is_looking(self, again: Callable[[], None]) -> bool:
        """Whether a look is under way, after which ``again`` is called."""
        if self._looking is None or self._looking.done():
            return False
        self._looking.add_done_callback(lambda _: None if self._closed else again())
        return True

    async def _look(self, apps: set[str] | None) -> None:
        """Look at the logs of some apps, or of all of them and of the home, and do what follows."""
        instances = [each for each in self._instances() if apps is None or each.app in apps]
        self._look_at_slow(instances)
        # Not at a low priority: who is put aside while it holds the interpreter's lock stops the loop.
        found, gone = await asyncio.to_thread(self._examine, instances, whole=apps is None)
        self._put_in_order(found)
        home = [each.file.size for each in gone if each.reason == "home"]
        if home:
            log.warning("the logs are too large together: deleting %s files, %s bytes", len(home), sum(home))
        await self._delete([each.file for each in gone])
        if apps is None:
            self._waiting.clear()
            if (expiry := next_expiry(found.logs)) is not None:
                self._look_within(min(max(expiry - self._wall() + 1.0, 1.0), LONGEST_WAIT))
        self._waiting |= {file.identity: (file, kind) for file, kind in to_compress(found.logs)}
        self._compress_next()

    def _look_at_slow(self, instances: Sequence[Instance]) -> None:
        """Look at the logs on file systems that may let us wait, which only their own threads do."""
        slow = {file.path: file for file in self._apps if isinstance(file, ThreadedLogFile)}
        rules = {path: rule for each in instances for path, rule in self._rules(each) if path in slow}
        if rules:
            sizes = {each.app: each.spec.logs.total_size for each in instances}
            self._slow.look(rules, sizes, slow, self._wall(), self._compressor.partial)

    def _slow_found(self, plain: list[tuple[Generation, Compression]]) -> None:
        """These files on slow file systems are to be compressed."""
        self._waiting |= {file.identity: (file, kind) for file, kind in plain}
        if not self._closed:
            self._compress_next()

    def _examine(self, instances: Sequence[Instance], *, whole: bool) -> tuple[Inventory, list[Deletion]]:
        """What there is and what has to go. In a thread."""
        sizes = {each.app: each.spec.logs.total_size for each in instances}
        rules = {path: rule for each in instances for path, rule in self._rules(each)}
        if whole:
            others = (self._home.master_log, self._home.events_file)
            found = take_inventory(self._home.logs_folder, rules, others, self._local)
        else:
            found = take_inventory(None, rules, (), self._local)
        bound = self._read_settings().logs_total_size if whole else 0
        return found, deletions(found.logs, sizes, bound, self._wall())

    def _local(self, path: str) -> str | None:
        """The real path of what is on this machine; ``None`` for what may let us wait."""
        real, is_local = self._mounts.resolve(path)
        return real if is_local else None

    def _rules(self, instance: Instance) -> Iterable[tuple[str, LogRules]]:
        logs = instance.spec.logs
        rules = LogRules(instance.app, logs.retain, logs.retain_age, logs.compress)
        files = log_files(self._home.logs_folder, instance.spec, instance.index)
        return [(path, rules) for path in (files.out, files.error, files.combined) if path is not None]

    def _read_settings(self) -> HomeSettings:
        """The home's settings, or the last ones that were right; a fault in them is told once.

        A master that has never seen right ones deletes nothing: the file may have said more than the default.
        """
        path = os.path.join(self._home.path, "config.toml")
        try:
            self._settings = read_home_settings(path)
            self._settings_fault = ""
        except ConfigError as error:
            if error.message != self._settings_fault:
                held = (
                    "no bound holds for the home"
                    if self._settings is NO_BOUND
                    else "what held before holds on"
                )
                log.warning("%s; %s", error.message, held)
            self._settings_fault = error.message
        return self._settings

    # --- doing ---

    def _put_in_order(self, found: Inventory) -> None:
        """Finish or undo what a master that was killed has left half done."""
        with contextlib.suppress(OSError):
            for file in found.doubles:
                if (now := find(file)) is not None:
                    remove(now.path)
            for path in found.unfinished:
                if not self._compressor.partial or not path.startswith(self._compressor.partial):
                    os.unlink(path)
        for path in found.astray:
            heal_indexes(path)

    async def delete_rotated(self, paths: Sequence[str]) -> list[str]:
        """Delete the rotated files of these logs, compressed or not; gives the paths of what was deleted."""
        found = await asyncio.to_thread(take_inventory, None, {}, paths, self._local)
        for log_file in self._apps:
            if isinstance(log_file, ThreadedLogFile) and log_file.path in paths:
                log_file.do(functools.partial(remove_rotated, log_file.path))
        return await self._delete([*found.doubles, *(file for each in found.logs for file in each.rotated)])

    async def _delete(self, files: Iterable[Generation]) -> list[str]:
        """Delete rotated files, a share at a time; gives the paths of those that are deleted."""
        deleted: list[str] = []
        end = time.monotonic() + SHARE
        for file in files:
            try:
                deleted += self._unlink(file)
            except OSError as error:
                log.warning("%s could not be deleted: %s", file.path, error)
            if time.monotonic() >= end:
                await asyncio.sleep(0)
                end = time.monotonic() + SHARE
        return deleted

    def _unlink(self, file: Generation) -> list[str]:
        """Delete a rotated file, whatever its number is by now; gives its path, if it was there."""
        now = find(file)
        if now is None:
            return []
        # Who closes a deleted file last waits until its blocks are free: that is not to be the loop.
        descriptor = os.open(now.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            remove(now.path)
        finally:
            self._loop.run_in_executor(None, os.close, descriptor)
        return [now.path]

    def _compress_next(self) -> None:
        """Begin with the next file that is to be compressed, if none is being compressed."""
        while self._waiting and not (self._compressor.busy or self._closed):
            waiting, kind = self._waiting.pop(next(iter(self._waiting)))
            try:
                file = waiting if self._slow.log_of(waiting) else find(waiting)
                # Somebody else may have renamed what we still write to; within a second that is noticed.
                if file is not None and file.identity not in self._registry.identities():
                    self._compressor.start(file, kind)
            except OSError as error:
                log.warning("%s was not compressed: %s", waiting.path, error)

    def _carry_out(self, file: Generation, work: Callable[[], None]) -> None:
        """Change the names of a log's files where that crosses no rotation."""
        log_file = self._slow.log_of(file)
        if log_file is None:
            work()
        else:
            log_file.do(work)

    def _compressed(self) -> None:
        """A file was compressed, or could not be, which is tried again after the next look at all."""
        if not self._closed:
            self._compress_next()
