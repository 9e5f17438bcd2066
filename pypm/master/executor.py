"""Carries out what the core orders (spawns, signals, timers, commits) and tells what came of it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pypm.core.actions import Action, ArmTimer, CancelTimer, Forget, Persist, Signal, Spawn
from pypm.core.events import DeadlinePassed, Event, Exited, Spawned, SpawnFailed, TreeGone
from pypm.core.instance import Instance, Status
from pypm.core.state import App
from pypm.master.link import End
from pypm.master.output import Outputs
from pypm.master.store import Store
from pypm.master.timers import Timers
from pypm.system import process
from pypm.system.environment import build_environment
from pypm.system.home import Home
from pypm.system.reap import Death, reap
from pypm.system.spawn import Child, SpawnError, spawn

__all__ = ["SystemExecutor"]

log = logging.getLogger(__name__)

SPAWN_SHARE = 0.005
"""Seconds of one turn of the loop that spawning may take, so that a client is answered between spawns."""
LOOK_AGAIN = 0.05
"""Seconds between two looks at a tree whose main process has ended."""

INIT = 1
STATUS_PATIENCE = 1.0
"""Seconds that the guardian has to tell the status of a process that is known to have ended."""

Handle = Callable[[int, Event], None]


class Adopted(NamedTuple):
    """A run of an earlier master: whose it is, and the pidfd that tells its end."""

    instance_id: int
    run_id: str
    descriptor: int
    guarded: bool
    """The guardian, or a master that is leaving, is its parent: its status will be told."""


class SystemExecutor:
    """The executor of a real master. ``connect`` gives it the engine and the apps."""

    def __init__(
        self,
        home: Home,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        store: Store,
        outputs: Outputs,
    ) -> None:
        self.runs_by_token: dict[str, tuple[int, str]] = {}
        """Instance id and run id of every run that may speak on the agent channel."""
        self._home = home
        self._loop = loop
        self._store = store
        self._outputs = outputs
        self._timers = Timers(loop, clock, lambda key, deadline: self._handle(key, DeadlinePassed(deadline)))
        self._handle: Handle
        self._instances: Mapping[int, Instance]
        self._apps: Mapping[str, App]
        self._children: dict[int, tuple[int, str]] = {}
        self._adopted: dict[int, Adopted] = {}
        self._leaving: dict[int, tuple[int, str]] = {}
        self._look: asyncio.TimerHandle | None = None
        self._to_spawn: deque[int] = deque()
        self._null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def connect(self, handle: Handle, instances: Mapping[int, Instance], apps: Mapping[str, App]) -> None:
        """Give it the engine to report to and what there is, and begin to hear of children's ends."""
        self._handle = handle
        self._instances = instances
        self._apps = apps
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def perform(self, instance: Instance, action: Action) -> None:
        """Carry out one action."""
        match action:
            case Persist():
                self._store.put_instance(instance)
            case Spawn():
                if not self._to_spawn:
                    self._loop.call_soon(self._spawn_some)
                self._to_spawn.append(instance.id)
            case Signal():
                self._signal(instance, action)
            case ArmTimer():
                self._timers.arm(instance.id, action.deadline)
            case CancelTimer():
                self._timers.cancel(instance.id)
            case Forget():
                self._timers.cancel(instance.id)
                self._outputs.forget(instance.id)
                self._store.drop_instance(instance.id)

    # --- spawning ---

    def _spawn_some(self) -> None:
        end = self._loop.time() + SPAWN_SHARE
        while self._to_spawn and self._loop.time() < end:
            instance = self._instances.get(self._to_spawn.popleft())
            # A stop may have come since the order, or a second order for the same start.
            if instance is not None and instance.status is Status.STARTING and instance.run is None:
                self._handle(instance.id, self._spawn(instance))
        if self._to_spawn:
            self._loop.call_soon(self._spawn_some)

    def _spawn(self, instance: Instance) -> Event:
        run_id, token = os.urandom(6).hex(), os.urandom(16).hex()
        try:
            child = self._start_process(instance, run_id, token)
        except SpawnError as error:
            return SpawnFailed(str(error))
        except OSError as error:  # no descriptors left for its pipes, for example
            return SpawnFailed(error.strerror or str(error))
        self._children[child.pid] = (instance.id, run_id)
        self.runs_by_token[token] = (instance.id, run_id)
        pipes = self._outputs.of(instance).inodes()
        return Spawned(run_id, token, child.pid, child.start_ticks, pipes)

    def own_variables(self, instance: Instance) -> dict[str, str]:
        """What pypm tells every run of an instance in its environment."""
        return {
            "PYPM_HOME": self._home.path,
            "PYPM_APP": instance.app,
            "PYPM_NAME": instance.name,
            "PYPM_INSTANCE": str(instance.index),
            "PYPM_ID": str(instance.id),
            "PYPM_AGENT_ENDPOINT": f"ipc://{self._home.agents_socket}",
        }

    def _start_process(self, instance: Instance, run_id: str, token: str) -> Child:
        spec = instance.spec
        origin = self._apps[instance.app].origin
        own = self.own_variables(instance) | {"PYPM_RUN_ID": run_id, "PYPM_AGENT_TOKEN": token}
        env = build_environment(spec, instance.index, origin.env, own)
        out, error = self._outputs.of(instance).open_writers()
        try:
            return spawn(
                spec.command,
                cwd=spec.cwd,
                env=env,
                stdin=self._null,
                stdout=out,
                stderr=error,
                umask=origin.umask,
            )
        finally:
            os.close(out)
            os.close(error)

    # --- ends ---

    def adopt(self, instance: Instance) -> None:
        """Take over a run that another master has started."""
        run = instance.run
        assert run is not None
        self.runs_by_token[run.token] = (instance.id, run.run_id)
        if run.leaving is not None:
            self._leaving[run.pid] = (instance.id, run.run_id)
            self._loop.call_soon(self._look_at_leaving)
            return
        descriptor = os.pidfd_open(run.pid)
        guarded = process.parent(run.pid) != INIT
        self._adopted[run.pid] = Adopted(instance.id, run.run_id, descriptor, guarded)
        self._loop.add_reader(descriptor, self._adopted_ended, run.pid, descriptor)

    def _adopted_ended(self, pid: int, descriptor: int) -> None:
        """Its status is the guardian's to tell; if it does not know it either, nobody does."""
        self._loop.remove_reader(descriptor)
        patience = STATUS_PATIENCE if self._adopted[pid].guarded else 0.0
        self._loop.call_later(patience, self._adopted_unknown, pid, descriptor)

    def _adopted_unknown(self, pid: int, descriptor: int) -> None:
        adopted = self._adopted.get(pid)
        if adopted is not None and adopted.descriptor == descriptor:
            self._drop_adopted(pid)
            self._ended(adopted.instance_id, adopted.run_id, pid)

    def _drop_adopted(self, pid: int) -> Adopted | None:
        adopted = self._adopted.pop(pid, None)
        if adopted is not None:
            self._loop.remove_reader(adopted.descriptor)
            os.close(adopted.descriptor)
        return adopted

    def guardian_saw(self, ends: Mapping[int, End]) -> None:
        """The guardian has reaped these; what was ours has ended, the rest were orphans of agents."""
        for pid, end in ends.items():
            adopted = self._drop_adopted(pid)
            if adopted is not None:
                death = Death.from_status(pid, end.status)
                self._ended(adopted.instance_id, adopted.run_id, pid, death, end.at)
        if self._leaving:
            self._look_at_leaving()

    def _reap(self) -> None:
        for death in reap():
            child = self._children.pop(death.pid, None)
            if child is not None:  # else an orphan of some agent
                self._ended(*child, death.pid, death)
        if self._leaving:
            self._look_at_leaving()

    def _ended(
        self, instance_id: int, run_id: str, pid: int, death: Death | None = None, at: float | None = None
    ) -> None:
        """The main process of a run has ended: save its last words, look what it left behind, tell."""
        leftovers = process.group_lives(pid)
        self._outputs.drain(instance_id)
        instance = self._instances.get(instance_id)
        if instance is not None and instance.run is not None and instance.run.run_id == run_id:
            self.runs_by_token.pop(instance.run.token, None)
        if leftovers and instance is not None and instance.spec.treekill:
            self._leaving[pid] = (instance_id, run_id)
        if death is None:
            self._handle(instance_id, Exited(run_id, leftovers=leftovers, at=at))
        else:
            how = (death.code, death.signal, death.core_dumped)
            self._handle(instance_id, Exited(run_id, *how, leftovers=leftovers, at=at))

    def _look_at_leaving(self) -> None:
        """Tell of the trees that are gone now; as long as there are others, look again soon."""
        if self._look is not None:
            self._look.cancel()
            self._look = None
        for pgid, (instance_id, run_id) in list(self._leaving.items()):
            if not process.group_lives(pgid):
                del self._leaving[pgid]
                self._outputs.drain(instance_id)
                self._handle(instance_id, TreeGone(run_id))
        if self._leaving:
            self._look = self._loop.call_later(LOOK_AGAIN, self._look_at_leaving)

    # --- signals ---

    def _signal(self, instance: Instance, action: Signal) -> None:
        run = instance.run
        if run is None:
            return
        number = process.signal_number(action.signal)
        # Nobody else can have the pid: the main process is our child and not yet reaped, or its group still
        # has members; for a process of another master the start time tells.
        ours = run.pid in self._children or run.pid in self._leaving
        if not ours and not process.is_same(run.pid, run.start_ticks):
            return
        try:
            if action.group:
                process.send_group(run.pid, number)
            elif run.leaving is None:
                process.send(run.pid, number)
        except PermissionError as error:
            log.warning("%s: cannot send %s: %s", instance.name, action.signal, error)
