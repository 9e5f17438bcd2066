"""Runs the hooks of apps: a few at a time, each within its time, and nothing of them is left behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pypm.core.actions import HookName
from pypm.core.events import Event, HookEnded
from pypm.core.hooks import facts
from pypm.core.instance import Instance
from pypm.core.policy import describe_duration, describe_exit, signal_name
from pypm.core.spec import Hook
from pypm.core.state import App
from pypm.master.ends import Ends
from pypm.master.event_log import EventLog
from pypm.master.output import Outputs
from pypm.system import process
from pypm.system.attributes import attributes_of
from pypm.system.environment import build_environment
from pypm.system.marked import hook_mark
from pypm.system.reap import Death
from pypm.system.sandboxed import unwrapped
from pypm.system.secret_values import printed_for
from pypm.system.spawn import Child, SpawnError, spawn
from pypm.system.sweep import Mark, Member, ProcessTable, send_to

__all__ = ["HookRunner"]

log = logging.getLogger(__name__)

AT_ONCE = 16
"""How many hooks run at the same time, and as many again that a stop waits for; the others wait."""
SWEEPS = 5
"""How often it is looked what a hook has forked while the rest was killed."""
FOR_THE_RUN = ("PYPM_AGENT_ENDPOINT", "NOTIFY_SOCKET", "WATCHDOG_USEC")
"""What is told to a run only: a hook does not speak for it."""


class Ordered(NamedTuple):
    """A hook that is to be run, with the facts as they were when it was ordered."""

    instance: Instance
    name: HookName
    hook: Hook
    facts: dict[str, str]


class Running:
    """A hook that runs."""

    def __init__(self, ordered: Ordered, child: Child, mark: Mark, descriptor: int) -> None:
        self.ordered = ordered
        self.child = child
        self.mark = mark
        self.descriptor = descriptor
        self.timer: asyncio.TimerHandle
        self.is_late = False
        self.is_sandboxed = ordered.instance.spec.sandbox is not None


class HookRunner:
    """Runs hooks in the environment of their app, their output in its logs; tells what came of each.

    ``variables`` gives what every run of an instance is told. ``pre_stop`` is always answered.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handle: Callable[[int, Event], None],
        ends: Ends,
        outputs: Outputs,
        events: EventLog,
        apps: Mapping[str, App],
        variables: Callable[[Instance], dict[str, str]],
        home: str,
    ) -> None:
        self._loop = loop
        self._handle = handle
        self._ends = ends
        self._outputs = outputs
        self._events = events
        self._apps = apps
        self._variables = variables
        self._home = home
        self._queue: deque[Ordered] = deque()
        self._awaited: deque[Ordered] = deque()
        """Those that a stop waits for: they have room of their own, and wait for no other app's hooks."""
        self._running: dict[int, Running] = {}
        self._null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def run(self, instance: Instance, name: HookName) -> None:
        """Run a hook as soon as there is room; one that waits already is not ordered twice."""
        hook: Hook | None = getattr(instance.spec.hooks, name)
        if hook is None:  # taken out of the declaration meanwhile
            self._answer(instance, name)
            return
        ordered = Ordered(instance, name, hook, facts(instance, name))
        if name == "pre_stop":
            self._awaited.append(ordered)
        elif any(each.instance.id == instance.id and each.name == name for each in self._queue):
            self._tell(ordered, "hook.skipped", "the one before waits for its turn yet")
            return
        else:
            self._queue.append(ordered)
        self._loop.call_soon(self._start_some)

    def close(self) -> None:
        """End what still runs."""
        self._queue.clear()
        self._awaited.clear()
        for running in list(self._running.values()):
            self._kill(running)
            self._finish(running, "the master ends")
        os.close(self._null)

    def _start_some(self) -> None:
        while (ordered := self._next()) is not None:
            try:
                self._start(ordered)
            except (SpawnError, OSError) as error:
                self._tell(ordered, "hook.failed", f"could not start: {error}")
                self._answer(ordered.instance, ordered.name)

    def _next(self) -> Ordered | None:
        """The next one for which there is room; what was killed, and may not even die of that, takes none."""
        alive = [each.ordered.name == "pre_stop" for each in self._running.values() if not each.is_late]
        for queue, count in ((self._awaited, sum(alive)), (self._queue, len(alive) - sum(alive))):
            if queue and count < AT_ONCE:
                return queue.popleft()
        return None

    def _start(self, ordered: Ordered) -> None:
        instance = ordered.instance
        app = self._apps.get(instance.app)
        if app is None:
            raise SpawnError("its app is gone")
        told = self._variables(instance) | ordered.facts
        own = {name: text for name, text in told.items() if name not in FOR_THE_RUN}
        printed = printed_for(None if instance.run is None else instance.run.pid, instance.spec.secrets)
        env = build_environment(instance.spec, instance.index, app.origin.env, own, printed)
        attributes = attributes_of(instance.spec)
        out, error = self._outputs.of(instance).open_writers()
        try:
            child = spawn(
                ordered.hook.command,
                cwd=instance.spec.cwd,
                env=env,
                stdin=self._null,
                stdout=out,
                stderr=error,
                umask=app.origin.umask if instance.spec.umask is None else instance.spec.umask,
                attributes=attributes,
            )
        finally:
            os.close(out)
            os.close(error)
        self._watch(ordered, child)

    def _watch(self, ordered: Ordered, child: Child) -> None:
        self._ends.keep(child.pid)
        try:
            descriptor = os.pidfd_open(child.pid)
        except OSError:  # no descriptor left: nobody would hear of its end
            process.send_group(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            self._ends.let_go(child.pid)
            raise
        run_id = hook_mark(ordered.facts.get("PYPM_RUN_ID", ""), ordered.name)
        mark = Mark(child.pid, child.start_ticks, run_id, self._home)
        running = self._running[child.pid] = Running(ordered, child, mark, descriptor)
        running.timer = self._loop.call_later(ordered.hook.timeout, self._late, running)
        self._loop.add_reader(descriptor, self._ended, running)

    def _late(self, running: Running) -> None:
        running.is_late = True
        self._kill(running)
        # A stop does not wait until it is gone: in the middle of a system call it may stay for ever.
        self._answer(running.ordered.instance, running.ordered.name)
        self._loop.call_soon(self._start_some)

    def _ended(self, running: Running) -> None:
        self._kill(running)  # what it has started and left behind ends with it
        self._finish(running)

    def _kill(self, running: Running) -> None:
        """End all processes of a hook; its pid is its own until it is reaped."""
        process.send_group(running.child.pid, signal.SIGKILL)
        others = self._ends.mains() - {running.child.pid}
        try:
            for _ in range(SWEEPS):
                killed = [_kill_one(each) for each in ProcessTable.read().members(running.mark, others)]
                if not any(killed):
                    return
        except OSError as error:  # no descriptor left to look with
            log.warning("cannot see what the hook %s has left: %s", running.ordered.name, error)

    def _finish(self, running: Running, why: str = "") -> None:
        ordered, pid = running.ordered, running.child.pid
        del self._running[pid]
        running.timer.cancel()
        self._loop.remove_reader(running.descriptor)
        os.close(running.descriptor)
        death = Death.from_status(*os.waitpid(pid, 0))
        if running.is_sandboxed:
            death = unwrapped(death)
        self._ends.let_go(pid)
        if running.is_late:
            why = f"killed after its timeout of {describe_duration(ordered.hook.timeout)}"
        elif not why and death.code != 0:
            name = None if death.signal is None else signal_name(death.signal)
            why = describe_exit(death.code, name, death.core_dumped)
        self._tell(ordered, "hook.failed" if why else "hook.done", why)
        self._answer(ordered.instance, ordered.name)
        self._loop.call_soon(self._start_some)

    def _answer(self, instance: Instance, name: HookName) -> None:
        if name == "pre_stop" and instance.run is not None:
            self._handle(instance.id, HookEnded(instance.run.run_id))

    def _tell(self, ordered: Ordered, what: str, why: str) -> None:
        instance = ordered.instance
        run_id = ordered.facts.get("PYPM_RUN_ID")
        reason = {"reason": why} if why else {}
        self._events.record(
            what, name=instance.name, id=instance.id, run_id=run_id, hook=ordered.name, **reason
        )
        if why:
            log.warning("%s: its hook %s: %s", instance.name, ordered.name, why)


def _kill_one(member: Member) -> bool:
    try:
        return send_to(member, signal.SIGKILL)
    except PermissionError:  # another user's by now
        return False
