"""The output of instances: their pipes, which live across their runs, and the pumps from there into logs.

A pipe belongs to an instance's stream, not to a run: what a run wrote before it ended is in the pipe and is
read, whoever else still holds the pipe open; and the next master can be handed the same pipes.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Protocol

from pypm.core.instance import Instance
from pypm.core.redaction import variables_of
from pypm.core.spec import AppSpec
from pypm.logs.index import run_number
from pypm.logs.paths import log_files
from pypm.logs.record_pump import Settings
from pypm.logs.registry import LogRegistry
from pypm.logs.room import make_room
from pypm.logs.trouble import dropped_marker, dropped_record
from pypm.logs.writer import LogFile
from pypm.master.forms import NO_RUN, make_settings, warn_of_unmasked
from pypm.master.pipe_sizes import PipeSizes
from pypm.master.stream import Keeper, Stream, find_pipe
from pypm.system.environment_of import environment_of

__all__ = ["InstanceOutput", "Outputs"]

log = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds that a master which ends waits for logs on file systems that do not answer."""
LOOK_AGAIN = 0.02


class Recorder(Protocol):
    """Records events."""

    def record(self, event: str, **facts: object) -> None:
        """Record one event with its facts."""


class InstanceOutput:
    """Both streams of one instance, and the files they go to. Without files a stream has no pipe."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        registry: LogRegistry,
        folder: str,
        keeper: Keeper,
        sizes: PipeSizes,
        events: Recorder,
    ) -> None:
        self._loop = loop
        self._registry = registry
        self._folder = folder
        self._keeper = keeper
        self._sizes = sizes
        self._events = events
        self._declared: object = None
        self._instance: Instance
        self._run_id = NO_RUN
        self._variables: dict[str, str] = {}
        """Those of the run's environment that are to be masked."""
        self._known: frozenset[str] = frozenset()
        """The names for which that is known."""
        self._streams: dict[str, Stream] = {}
        self._files: dict[str, list[LogFile]] = {}

    def arrange(self, instance: Instance) -> None:
        """Let the streams go where the instance's spec says; costs nothing while that is unchanged."""
        spec = instance.spec
        declared = (spec.logs, spec.instances)
        # A run that the last master had begun and not saved is found after its streams were arranged.
        is_known = instance.run is None or instance.run.run_id == self._run_id
        if declared == self._declared and is_known:
            return
        self._know(instance)
        paths = log_files(self._folder, spec, instance.index)
        for name, path in (("out", paths.out), ("error", paths.error)):
            wanted = [each for each in (path, paths.combined) if each is not None]
            key = f"{name}:{instance.id}"
            if name not in self._streams and (wanted or self._keeper.holds(key)):
                lost = None if self._keeper.holds(key) else find_pipe(instance.run, name)
                stream = self._streams[name] = Stream(self._loop, self._keeper, self._sizes, key, lost)
                self._files[name] = stream.recover(self._open_files)
            logs = spec.logs
            files = [self._registry.open(each, logs.max_size, logs.retain, logs.on_full) for each in wanted]
            for file in files:
                file.make_room = functools.partial(self._make_room, spec, file.path)
                file.marker = dropped_record if logs.form == "json" else dropped_marker
                self._registry.on_kept(file, spec)
            old = self._files.get(name, [])
            self._files[name] = files
            if name in self._streams:
                self._streams[name].arrange(files, self._settings(name))
            for file in old:
                self._registry.release(file)
        if instance.run is not None:
            self._mark(instance.run.run_id)
        # Only now: where there was no descriptor for a pipe, the next start tries again.
        self._declared = declared

    def _know(self, instance: Instance) -> None:
        """Learn of the run that is there what is not known yet: another master may have begun it."""
        self._instance = instance
        run = instance.run
        names = variables_of(instance.spec.logs.redact)
        if run is not None and (run.run_id != self._run_id or not self._known.issuperset(names)):
            self._run_id = run.run_id
            self._keep_variables(environment_of(run.main_pid) if names else {})

    def _keep_variables(self, variables: Mapping[str, str]) -> None:
        self._known = frozenset(variables_of(self._instance.spec.logs.redact))
        self._variables = {name: variables[name] for name in self._known if name in variables}

    def _settings(self, name: str) -> Settings | None:
        return make_settings(self._instance, name, self._run_id, self._variables)

    def _open_files(self, paths: Iterable[str]) -> list[LogFile]:
        logs = self._instance.spec.logs
        return [self._registry.open(path, logs.max_size, logs.retain, logs.on_full) for path in paths]

    def begin_run(self, run_id: str, variables: Mapping[str, str]) -> None:
        """What comes from now on is the output of this run, whose environment ``variables`` is."""
        self._run_id = run_id
        self._keep_variables(variables)
        self._mark(run_id)
        warn_of_unmasked(self._instance, variables)
        for name, stream in self._streams.items():
            stream.begin_run(self._settings(name))

    def mark_anew(self) -> None:
        """Another one that wrote into the same files is gone."""
        self._mark(self._run_id)

    def _mark(self, run_id: str) -> None:
        """The files' indexes say whose output follows. A file of several instances belongs to no run."""
        used = [file for files in self._files.values() for file in files]
        for file in used:
            file.run = run_number(run_id) if used.count(file) == file.users else 0

    def _make_room(self, spec: AppSpec, path: str, needed: int) -> bool:
        """Delete the oldest rotated logs of the app for ``needed`` bytes of one of its logs."""
        paths = (log_files(self._folder, spec, index) for index in range(spec.instances))
        logs = [each for files in paths for each in (files.out, files.error, files.combined) if each]
        deleted = make_room(path, logs, needed)
        if deleted:
            freed = sum(file.size for file in deleted)
            self._events.record(
                "log.made_room", path=path, freed_bytes=freed, deleted=[f.path for f in deleted]
            )
            log.warning("%s: the disk is full; deleted %s", path, ", ".join(f.path for f in deleted))
        return bool(deleted)

    def open_writers(self) -> tuple[int, int]:
        """Descriptors for stdout and stderr of one run, to be closed after the spawn."""
        out = self._open_writer("out")
        try:
            return out, self._open_writer("error")
        except OSError:
            os.close(out)
            raise

    def _open_writer(self, name: str) -> int:
        if self._files.get(name):
            return self._streams[name].open_writer()
        return os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)

    def inodes(self) -> tuple[int, int]:
        """Inode numbers of the pipes for stdout and stderr; 0 where there is none."""
        out, error = (self._streams.get(name) for name in ("out", "error"))
        return (0 if out is None else out.inode, 0 if error is None else error.inode)

    @property
    def moved(self) -> int:
        """Bytes that this master has moved from the pipes."""
        return sum(stream.pump.moved for stream in self._streams.values())

    def drain(self) -> None:
        """Move what a run has left in the pipes: its last words are in the files before its end is told."""
        for stream in self._streams.values():
            stream.drain()

    @property
    def is_slow(self) -> bool:
        """Something is still under way to a log on a slow file system."""
        return any(stream.is_slow for stream in self._streams.values())

    def settle(self) -> None:
        """Move what is in the pipes."""
        for stream in self._streams.values():
            stream.settle()

    def resume(self) -> None:
        """Go on after another master has had the pipes, and is gone."""
        for stream in self._streams.values():
            stream.resume()

    def flush(self) -> list[str]:
        """Truncate the files; returns their paths."""
        self.settle()
        files = {file.path: file for files in self._files.values() for file in files}
        for file in files.values():
            file.truncate()
        return list(files)

    def close(self) -> None:
        """Read what is left and give everything back."""
        for stream in self._streams.values():
            stream.close()
        for files in self._files.values():
            for file in files:
                self._registry.release(file)
        self._streams, self._files = {}, {}


class Outputs:
    """The outputs of all instances, by instance id."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        registry: LogRegistry,
        folder: str,
        keeper: Keeper,
        events: Recorder,
    ) -> None:
        self._loop = loop
        self._registry = registry
        self._folder = folder
        self._keeper = keeper
        self._events = events
        self._sizes = PipeSizes(loop)
        self._outputs: dict[int, InstanceOutput] = {}

    def of(self, instance: Instance) -> InstanceOutput:
        """The output of an instance, arranged as its spec says."""
        output = self._outputs.get(instance.id)
        if output is None:
            output = self._outputs[instance.id] = InstanceOutput(
                self._loop, self._registry, self._folder, self._keeper, self._sizes, self._events
            )
        output.arrange(instance)
        return output

    def prepare(self, instances: Iterable[Instance]) -> None:
        """Make what instances need that are about to run, together; who lacks it then learns why himself."""
        with self._keeper.holding_together():
            for instance in instances:
                with suppress(OSError):
                    self.of(instance)

    def recover(self, instance: Instance) -> None:
        """Take over the pipes that an instance had; one that never ran has none, and needs none yet."""
        held = any(self._keeper.holds(f"{name}:{instance.id}") for name in ("out", "error"))
        if held or instance.run is not None:
            try:
                self.of(instance)
            except OSError as error:  # what it prints waits in its pipes until the next change of its state
                log.error("%s: its logs cannot be taken over now: %s", instance.name, error)

    def moved(self, instance_id: int) -> int:
        """Bytes that have come from an instance; what counts is whether that has changed."""
        output = self._outputs.get(instance_id)
        return 0 if output is None else output.moved

    def drain(self, instance_id: int) -> None:
        """Move what an instance has left in its pipes."""
        output = self._outputs.get(instance_id)
        if output is not None:
            output.drain()

    def settle_all(self) -> None:
        """Move what is in all pipes, for the next master to go on."""
        for output in self._outputs.values():
            output.settle()
        self._registry.stop(PATIENCE)

    def resume_all(self) -> None:
        """Go on after a next master that has failed."""
        self._registry.go_on()
        for output in self._outputs.values():
            output.resume()

    def rearrange(self, instance: Instance) -> None:
        """Let the output of an instance be as its spec says by now, if there is any."""
        output = self._outputs.get(instance.id)
        if output is None:
            return
        try:
            output.arrange(instance)
        except OSError as error:  # no descriptor left: the next start tries again
            log.error("%s: its logs cannot be changed now: %s", instance.name, error)

    def mark_anew(self, instance_id: int) -> None:
        """Say anew whose output follows in an instance's files: it may be alone with them by now."""
        output = self._outputs.get(instance_id)
        if output is not None:
            output.mark_anew()

    def forget(self, instance_id: int) -> None:
        """Close the output of an instance that is gone."""
        output = self._outputs.pop(instance_id, None)
        if output is not None:
            output.close()

    async def finish(self) -> None:
        """Wait until slow logs have got what is in the pipes, but not long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while any(output.is_slow for output in self._outputs.values()):
                    await asyncio.sleep(LOOK_AGAIN)

    def close(self) -> None:
        """Close all, when the master ends."""
        for instance_id in list(self._outputs):
            self.forget(instance_id)
        self._registry.join(PATIENCE)
