"""Carries out what the core orders (spawns, signals, timers, commits) and tells what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import resource
import signal
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice

from pypm.core.actions import (
    Action,
    ArmTimer,
    AskToEnd,
    AskToShed,
    CancelTimer,
    Forget,
    Gather,
    Persist,
    ReadLog,
    RunHook,
    Signal,
    Snapshot,
    Spawn,
    Tell,
    Watch,
)
from pypm.core.events import DeadlinePassed, Event, Exited, NotAsked, Spawned, SpawnFailed, TreeGone
from pypm.core.instance import Instance, Run, Status
from pypm.core.state import App
from pypm.master.begun import Note
from pypm.master.ends import End, Ends
from pypm.master.inputs import Inputs
from pypm.master.kernel_limits import KernelLimits
from pypm.master.listeners import Listeners
from pypm.master.oom import OomWatch
from pypm.master.output import Outputs
from pypm.master.owners import Owner, Owners
from pypm.master.run_channels import Keeper, RunChannels
from pypm.master.store import Store
from pypm.master.timers import Timers
from pypm.master.trees import Trees
from pypm.master.variables import history_variables, state_folder
from pypm.system import process
from pypm.system.attributes import attributes_of
from pypm.system.environment import build_environment
from pypm.system.home import Home
from pypm.system.limits import open_files_of_shell
from pypm.system.reap import Death
from pypm.system.sandboxed import agent_within, unwrapped
from pypm.system.spawn import Child, SpawnError, spawn
from pypm.system.sweep import descendant_pids

__all__ = ["SystemExecutor"]

log = logging.getLogger(__name__)

SPAWN_SHARE = 0.005
"""Seconds of one turn of the loop that spawning may take, so that a client is answered between spawns."""
STORM_SHARE = 0.002
"""The same while runs end: what a turn starts may end together, and an answer needs three turns."""
STORM = 0.1
"""Seconds for which that holds after an end."""
PREPARED_TOGETHER = 8
"""How many starts get their pipes at a time: what the guardian is to hold then needs one message."""
DESCRIPTORS_OF_A_START = 8
"""Open files that an instance needs, at most: pipes, logs, a pidfd."""
KEPT_DESCRIPTORS = 64
"""Open files, at most a quarter of what is allowed, that no start may use: for clients, and for /proc."""
SAVE_PATIENCE = 0.5
"""Seconds that a signal waits for a slow disk."""
Handle = Callable[[int, Event], None]
Ending = Signal | AskToEnd


class SignalOnce:
    """A signal to a run that is sent when the first of two things allows it."""

    def __init__(self, executor: SystemExecutor, instance_id: int, run_id: str, action: Ending) -> None:
        self.timer: asyncio.TimerHandle | None = None
        self._executor = executor
        self._order: tuple[int, str, Ending] | None = (instance_id, run_id, action)

    def send(self) -> None:
        """Send it, if that has not been done."""
        if self.timer is not None:
            self.timer.cancel()
        order, self._order = self._order, None
        if order is not None:
            self._executor.signal_run(*order)


class SystemExecutor:
    """The executor of a real master. ``connect`` gives it the engine and the apps."""

    def __init__(
        self,
        home: Home,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        store: Store,
        outputs: Outputs,
        keeper: Keeper,
    ) -> None:
        self.runs_by_token: dict[str, tuple[int, str]] = {}
        """Instance id and run id of every run that may speak on the agent channel."""
        self.on_begun: Callable[[Note], None] = lambda _: None
        """Told of each run as soon as it has begun."""
        self.before_end: Callable[[], None] = lambda: None
        """Called before the end of a run is told: what it has said before that is heard first."""
        self.may_start: Callable[[Instance], bool] = lambda _: True
        """Asked before each start; who says no sees to it that it is ordered anew."""
        self.take_secrets: Callable[[Instance], dict[str, str]] = lambda _: {}
        """Gives what commands have printed for the start of an instance, once."""
        self.owners = Owners(home.path)
        self.listeners: Listeners
        """The sockets that runs inherit."""
        self.observe: Callable[[Instance, Action], None] = lambda _instance, _action: None
        """Looks at runs and tells of them, as the core orders it."""
        self.oom = OomWatch(loop)
        self._killed: set[str] = set()
        """Runs that have been sent SIGKILL."""
        self._home = home
        self._loop = loop
        self._store = store
        self._outputs = outputs
        self._timers = Timers(loop, clock, self._deadline_passed)
        self._handle: Handle
        self._instances: Mapping[int, Instance]
        self._apps: Mapping[str, App]
        self._keeper = keeper
        self._channels = RunChannels(loop, keeper, self._heard)
        self.inputs = Inputs(keeper)
        self.ends = Ends(loop, store, self)
        self.trees = Trees(loop, home.path, self.ends.mains, self._instance_of, self._tree_gone)
        self.limits = KernelLimits(self.trees.groups, lambda: [app.spec for app in self._apps.values()])
        self._to_spawn: deque[int] = deque()
        self._prepared = 0
        """How many of the first of them have their pipes."""
        self._last_end = float("-inf")
        self._open_files = open_files_of_shell()
        self._null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def connect(self, handle: Handle, instances: Mapping[int, Instance], apps: Mapping[str, App]) -> None:
        """Give it the engine to report to and what there is, and begin to hear of children's ends."""
        self._handle = handle
        self._instances = instances
        self._apps = apps
        self.listeners = Listeners(self._keeper, instances)
        self.ends.start()

    def _deadline_passed(self, instance_id: int, deadline: float, paused: float) -> None:
        self._handle(instance_id, DeadlinePassed(deadline, paused))

    def _heard(self, instance_id: int, event: Event) -> None:
        self._handle(instance_id, event)

    def perform(self, instance: Instance, action: Action) -> None:
        """Carry out one action."""
        match action:
            case Persist():
                self._store.put_instance(instance, soon=action.soon)
                self._outputs.rearrange(instance)
            case Spawn():
                if not self._to_spawn:
                    self._loop.call_soon(self._spawn_some)
                self._to_spawn.append(instance.id)
            case Signal() | AskToEnd():
                self._signal_when_saved(instance, action)
            case Watch():
                self._watch_named(instance)
            case ArmTimer():
                self._timers.arm(instance.id, action.deadline)
            case CancelTimer():
                self._timers.cancel(instance.id)
            case Gather() | Snapshot() | Tell() | ReadLog() | RunHook() | AskToShed():
                self.observe(instance, action)
            case Forget():
                self.observe(instance, action)
                self._timers.cancel(instance.id)
                self._outputs.forget(instance.id)
                self._channels.forget(instance.id)
                self.inputs.forget(instance.id)
                self.trees.forget(instance.id)
                self.limits.forget(instance.id)
                self._store.drop_instance(instance.id)

    # --- spawning ---

    def _spawn_some(self) -> None:
        now = self._loop.time()
        end = now + (STORM_SHARE if now - self._last_end < STORM else SPAWN_SHARE)
        try:
            while self._to_spawn and self._loop.time() < end:
                instance = self._next_to_spawn()
                # A stop may have come since the order, or a second order for the same start.
                is_due = instance is not None and instance.status is Status.STARTING and instance.run is None
                if instance is not None and is_due and self.may_start(instance):
                    self._handle(instance.id, self._spawn(instance))
        finally:  # a bug that one start finds must not keep the others from theirs
            if self._to_spawn:
                self._loop.call_soon(self._spawn_some)
            else:
                self.trees.enter_groups()

    def _next_to_spawn(self) -> Instance | None:
        """Whose turn it is, with pipes; None if it is gone. The pipes of several are made together."""
        if not self._prepared:
            # Where they are scarce, each one is looked at by itself: the later ones would take what it needs.
            is_ample = self._free_descriptors() > PREPARED_TOGETHER * DESCRIPTORS_OF_A_START
            ahead = list(islice(self._to_spawn, PREPARED_TOGETHER)) if is_ample else []
            self._outputs.prepare(each for key in ahead if (each := self._instances.get(key)) is not None)
            self._prepared = len(ahead) or 1
        self._prepared -= 1
        return self._instances.get(self._to_spawn.popleft())

    def _spawn(self, instance: Instance) -> Event:
        secret = os.urandom(22).hex()
        run_id, token = secret[:12], secret[12:]
        try:
            group = self.limits.prepare(instance)
            child = self._start_process(instance, run_id, token)
        except SpawnError as error:
            return SpawnFailed(str(error))
        except OSError as error:  # no descriptors left for its pipes, for example
            return SpawnFailed(error.strerror or str(error))
        try:
            self.ends.watch(child.pid, instance.id, run_id, ours=True)
        except OSError as error:  # nobody would hear of its end
            process.send_group(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            return SpawnFailed(error.strerror or str(error))
        self.trees.begun(instance, child.pid, child.start_ticks, group)
        self.runs_by_token[token] = (instance.id, run_id)
        self.owners.begun(Owner(instance.id, run_id), child.pid)
        pipes = self._outputs.of(instance).inodes()
        return Spawned(run_id, token, child.pid, child.start_ticks, pipes)

    def own_variables(self, instance: Instance) -> dict[str, str]:
        """What pypm tells every run of an instance in its environment."""
        return {
            "PYPM_HOME": self._home.path,
            "PYPM_APP": instance.app,
            "PYPM_NAME": instance.name,
            "PYPM_INSTANCE": str(instance.index),
            "PYPM_ID": str(self._id_to_be(instance)),
            "PYPM_STATE_DIR": state_folder(self._home.path, instance),
            "PYPM_AGENT_ENDPOINT": f"ipc://{self._home.agents_socket}",
            **history_variables(instance),
            **self._notify_variables(instance),
        }

    def _id_to_be(self, instance: Instance) -> int:
        """The id that people know it by when it has taken the place that it is started for."""
        replaced = None if instance.replaces is None else self._instances.get(instance.replaces)
        return instance.shown_id if replaced is None else replaced.shown_id

    def _notify_variables(self, instance: Instance) -> dict[str, str]:
        if instance.spec.notify_access == "none":
            return {}
        variables = {"NOTIFY_SOCKET": self._home.notify_socket}
        timeout = instance.spec.health.heartbeat_timeout
        if timeout is not None:
            # Without WATCHDOG_PID: whoever of its tree speaks is heard, and a wrapper has another pid.
            variables["WATCHDOG_USEC"] = str(int(timeout * 1e6))
        return variables

    def _free_descriptors(self) -> int:
        """How many a start may use beyond those that are kept: the kernel gives the lowest free number."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        try:
            lowest = os.dup(self._null)
        except OSError:  # there is not even this one
            return 0
        os.close(lowest)
        return limit - min(KEPT_DESCRIPTORS, limit // 4) - lowest

    def _start_process(self, instance: Instance, run_id: str, token: str) -> Child:
        if self._free_descriptors() <= 0:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        spec = instance.spec
        origin = self._apps[instance.app].origin
        own = self.own_variables(instance) | {"PYPM_RUN_ID": run_id, "PYPM_AGENT_TOKEN": token}
        env = build_environment(spec, instance.index, origin.env, own, self.take_secrets(instance))
        attributes = attributes_of(spec)
        umask = origin.umask if spec.umask is None else spec.umask
        sockets = self.listeners.of(spec, umask)
        if sockets:
            env["LISTEN_FDS"] = str(len(sockets))
        output = self._outputs.of(instance)
        output.begin_run(run_id, env)
        out, error = output.open_writers()
        given = None
        try:
            given = self.inputs.open(instance)
            with self._channels.opened(instance, run_id) as (passed, variables):
                return spawn(
                    spec.command,
                    cwd=spec.cwd,
                    env=env | variables,
                    stdin=self._null if given is None else given,
                    stdout=out,
                    stderr=error,
                    umask=umask,
                    open_files=self._open_files,
                    passed=passed | sockets,
                    pid_variable="LISTEN_PID" if sockets else None,
                    attributes=attributes,
                    # Whoever kills us before that leaves a run that only its marks tell of.
                    on_begun=lambda child: self.on_begun(Note(instance.id, run_id, token, *child)),
                )
        finally:
            for descriptor in (out, error, *([] if given is None else [given])):
                os.close(descriptor)

    # --- ends ---

    def adopt(self, instance: Instance) -> None:
        """Take over a run that another master has started."""
        run = instance.run
        assert run is not None
        self.runs_by_token[run.token] = (instance.id, run.run_id)
        self._channels.adopt(instance)
        self.inputs.adopt(instance)
        for pid in {run.pid, run.main_pid}:
            self.owners.begun(Owner(instance.id, run.run_id), pid)
        needs_group = instance.spec.treekill or self.limits.has_bounds(instance.spec)
        self.trees.adopted(instance, self.limits.folder(instance) if needs_group else "")
        if run.leaving is not None:
            self.trees.watch(instance)
            return
        self.ends.watch(run.main_pid, instance.id, run.run_id, ours=False, named=run.named_pid != 0)

    def give_limits(self, instance: Instance) -> None:
        """Give the processes of a run their limits, which the master that started it has perhaps not done.

        It goes on without them where its master was killed while it was held.
        """
        assert instance.run is not None
        try:
            attributes = attributes_of(instance.spec)
            if not attributes.need_no_words:
                return  # it was not held
            attributes.give_to_running(instance.run.pid, self._open_files)
        except SpawnError as error:
            log.warning("%s: its run goes on without its limits: %s", instance.name, error)
            return
        for pid in descendant_pids(instance.run.pid):
            with contextlib.suppress(SpawnError):  # it has ended, or is another user's by now
                attributes.give_to_running(pid, self._open_files)

    def _watch_named(self, instance: Instance) -> None:
        """The agent has named another process its main one."""
        run = instance.run
        assert run is not None
        log.info("%s: its main process is pid %s now", instance.name, run.main_pid)
        self.owners.begun(Owner(instance.id, run.run_id), run.main_pid)
        self.ends.move(run.main_pid, instance.id, run.run_id)

    def orphan_ended(self) -> None:
        """Some process that was left behind has ended: perhaps the last one of its tree."""
        self.trees.look()

    def _instance_of(self, instance_id: int) -> Instance | None:
        return self._instances.get(instance_id)

    def run_ended(self, end: End, *, guardians: bool) -> None:
        """The main process of a run has ended: save its last words, look what it left behind, tell."""
        self._last_end = self._loop.time()
        self._outputs.drain(end.instance_id)
        self._channels.drain(end.instance_id)
        self.before_end()
        instance = self._instances.get(end.instance_id)
        if instance is None or instance.run is None or instance.run.run_id != end.run_id:
            return
        if instance.run.main_pid != end.pid:  # with its last words it has named another one
            return
        self.runs_by_token.pop(instance.run.token, None)
        self.owners.over(end.run_id)
        self._channels.forget(end.instance_id)
        self.inputs.forget(end.instance_id)
        try:
            leftovers = instance.spec.treekill and self._has_leftovers(instance, end, guardians=guardians)
        except OSError:  # no descriptor left to look with: the next looks will tell
            leftovers = True
        if leftovers:
            self.trees.watch(instance)
        else:
            self.trees.over(end.run_id)
        death = end.death or Death(0, None, None, False)
        if instance.run.sandboxed and not instance.run.named_pid:
            death = unwrapped(death)
        how = (death.code, death.signal, death.core_dumped)
        oom = self._oom_of(instance, end, death)
        self._handle(end.instance_id, Exited(end.run_id, *how, leftovers=leftovers, at=end.at, oom=oom))

    def _oom_of(self, instance: Instance, end: End, death: Death) -> str:
        """What says that the kernel has killed a run for want of memory, unless we have killed it."""
        if end.run_id in self._killed:
            self._killed.discard(end.run_id)
            return ""
        if death.signal != signal.SIGKILL:
            return ""
        return self.oom_in_group(instance) or self.oom.evidence(end.pid)

    def oom_in_group(self, instance: Instance) -> str:
        """What the group of a run, that has ended by SIGKILL, says of a want of memory; empty: nothing."""
        folder = self.trees.folder_of(instance.id) or self.limits.folder(instance)
        return self.limits.oom_evidence(instance, folder)

    def _has_leftovers(self, instance: Instance, end: End, *, guardians: bool) -> bool:
        if end.death is None:  # its parent may have been init, and so may be that of what it left
            return self.trees.outlived(instance)
        return self.trees.has_leftovers(instance, self.trees.strays(guardians=guardians))

    def _tree_gone(self, instance_id: int, run_id: str) -> None:
        self._outputs.drain(instance_id)
        self.owners.over(run_id)
        self._handle(instance_id, TreeGone(run_id))

    # --- signals ---

    def _signal_when_saved(self, instance: Instance, action: Ending) -> None:
        """Signal a run once it is on the disk why, or the disk has had its time.

        A master that is killed before that has not touched the run; one that is killed later has left word,
        and the next one does not take the run's end for a crash.
        """
        if instance.run is None:
            return
        sender = SignalOnce(self, instance.id, instance.run.run_id, action)
        sender.timer = self._loop.call_later(SAVE_PATIENCE, sender.send)
        self._store.when_committed(sender.send)

    def _signal_living(self, instance: Instance, run: Run, number: int, *, group: bool) -> None:
        if group:
            self.trees.signal_all(instance, number)
        else:
            process.send(_receiver(run), number)
        if instance.status is Status.STOPPING and number != signal.SIGKILL:
            # Who is stopped (SIGSTOP) could not end: as systemd does, SIGCONT follows what asks it to.
            process.send(run.main_pid, signal.SIGCONT)
            if group:
                process.send_group(run.pid, signal.SIGCONT)

    def signal_run(self, instance_id: int, run_id: str, action: Ending) -> None:
        """Send a signal to a run, if it is still there; no signal where a message can ask it to end."""
        instance = self._instances.get(instance_id)
        run = None if instance is None else instance.run
        if instance is None or run is None or run.run_id != run_id:
            return
        if isinstance(action, AskToEnd):
            if self._channels.ask_to_end(instance_id):
                return
            self._handle(instance_id, NotAsked(run_id))
        number = process.signal_number(action.signal)
        if number == signal.SIGKILL and run.leaving is None:
            self._killed.add(run_id)
        try:
            if run.leaving is not None:
                if action.group:
                    self.trees.signal_left(instance, number)
            # Nobody else can have the pid while the main process is our child and not yet reaped; for a
            # process of another master the start time tells.
            elif self.ends.is_ours(run.main_pid) or process.is_same(run.main_pid, run.main_ticks):
                self._signal_living(instance, run, number, group=action.group)
        except OSError as error:  # it is another user's by now, or no descriptor is left to find it with
            log.warning("%s: cannot send %s: %s", instance.name, action.signal, error)


def _receiver(run: Run) -> int:
    """Who gets a signal to the main process: of a sandbox the agent within, once it is there."""
    is_sandbox = run.sandboxed and run.main_pid == run.pid
    return (agent_within(run.pid) if is_sandbox else None) or run.main_pid
