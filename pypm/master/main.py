"""The master put together: the only place that knows all parts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

import msgspec

from pypm import __version__
from pypm.core.errors import PypmError, RequestError
from pypm.core.events import RestartRequested, StopRequested
from pypm.core.instance import Instance
from pypm.core.spec import AppSpec
from pypm.core.targets import match
from pypm.logs.registry import LogRegistry
from pypm.logs.trouble import LogTrouble
from pypm.master.actions import Actions
from pypm.master.adoption import Adoption
from pypm.master.apps import Apps
from pypm.master.asker import Asker, Peer, asker_of, set_asker
from pypm.master.begun import BegunRuns, new_memory
from pypm.master.channel import AgentChannel
from pypm.master.engine import Engine
from pypm.master.event_log import EventLog
from pypm.master.evidence import Witness
from pypm.master.executor import SystemExecutor
from pypm.master.handlers import HANDLERS
from pypm.master.home_watch import HomeWatch
from pypm.master.hooks import HookRunner
from pypm.master.limit_watch import LimitWatch
from pypm.master.link import GuardianLink, Reaped
from pypm.master.log import reopen_log
from pypm.master.log_keeper import LogKeeper
from pypm.master.log_search import LogSearch
from pypm.master.log_waits import LogWaits
from pypm.master.notify import NotifySocket
from pypm.master.observer import Observer
from pypm.master.order import StartOrder
from pypm.master.output import Outputs
from pypm.master.probe_askers import Askers, Surroundings
from pypm.master.probes import Probes
from pypm.master.receipts import Receipts
from pypm.master.recovery import read_state
from pypm.master.reports import Reports
from pypm.master.sampler import Sampler
from pypm.master.schedules import Schedules
from pypm.master.secrets import Secrets
from pypm.master.server import Server
from pypm.master.store import Store
from pypm.master.story import Story
from pypm.master.surges import Known, Surges
from pypm.master.telemetry import Telemetry
from pypm.master.usage_history import UsageHistory, new_history
from pypm.master.views import Views
from pypm.master.waiting import Waiting
from pypm.master.watch import Watches
from pypm.protocol.names import METHOD_NOT_FOUND
from pypm.protocol.rpc import BadRequestError, Request, check_protocol, decode_params
from pypm.system.clock import boot_id, boot_time
from pypm.system.home import Home
from pypm.system.limits import open_files_of_shell
from pypm.system.meter import TreeMeter

__all__ = ["Master"]

log = logging.getLogger(__name__)

STARTING = frozenset(("start", "apply", "scale", "restart", "reload", "run_now", "resurrect", "update"))
"""Methods that may start something."""
CONTROL = frozenset(("kill", "update"))
"""Methods that end this master; an agent may use them only where its app says so."""
ONLY_ASKED = frozenset(("describe", "doctor", "env", "list", "ping", "snapshot_list", "wait"))
"""Methods that change nothing, and are no part of the story."""
TOLD_PARAMS = ("targets", "app", "instances", "signal", "name", "rotated", "action")
"""What of an order the story tells."""
SAVE_TIME = 5.0
"""Seconds that saving the state may take before a master becomes the guardian all the same."""


class Master:
    """One master of one home; ``run`` returns when it has been told to end."""

    def __init__(self, home: Home, loop: asyncio.AbstractEventLoop, link: GuardianLink) -> None:
        self.home = home
        self.loop = loop
        self.link = link
        self.started = boot_time()
        self.store = Store(home.state_file, loop)
        self.events = EventLog(home.events_file)
        registry = LogRegistry(self._log_trouble, wake=loop.call_soon_threadsafe)
        self.outputs = Outputs(loop, registry, home.logs_folder, link, self.events)
        self.executor = SystemExecutor(home, loop, boot_time, self.store, self.outputs, link)
        self.engine = Engine(self.executor, boot_time)
        self.apps = Apps(self.engine, self.store, boot_time)
        self.log_files = registry
        self.log_waits = LogWaits(
            loop, registry.troubles, self.engine.instances, self.engine.handle, home.logs_folder
        )
        self.log_keeper = LogKeeper(loop, home, registry, self.engine.instances.values)
        self.executor.connect(self.engine.handle, self.engine.instances, self.apps.by_name)
        self.begun = BegunRuns(self._memory("begun", new_memory))
        self.executor.on_begun = self.begun.add
        self.store.noted, self.store.on_saved = self.begun.count, self.begun.saved
        self.telemetry = Telemetry(self.executor.runs_by_token, boot_time)
        self.actions = Actions(loop, self.engine.instances, self.telemetry, boot_time)
        self.engine.listeners.append(self.actions.changed)
        self.watches = Watches(loop, self.apps, home.path, self._files_changed, self.events.record)
        self.apps.on_app = self._app_declared
        self.receipts = Receipts(self.store, boot_time)
        self.hooks = HookRunner(
            loop,
            self.engine.handle,
            self.executor.ends,
            self.outputs,
            self.events,
            self.apps.by_name,
            self.executor.own_variables,
            home.path,
        )
        self.observer = Observer(
            Witness(loop, self.engine.handle, self.engine.instances, self.outputs.moved, boot_time),
            Reports(loop, self.engine.handle, home.path, home.logs_folder),
            LogSearch(loop, self.engine.handle, home.logs_folder),
            self.hooks,
            self.events,
            self.actions,
        )
        self.executor.observe = self.observer.perform
        self.order = StartOrder(self.engine, loop)
        self.story = Story(loop, self.events.record, self.engine.instances, boot_time)
        self.engine.observers.append(self.story.step)
        surroundings = Surroundings(self.apps.by_name, self.executor.own_variables, open_files_of_shell())
        self.secrets = Secrets(
            loop,
            self.engine.instances,
            surroundings,
            self.executor.ends,
            self.engine.handle,
            self.executor.perform,
            self.events.record,
        )
        self.executor.may_start = self._may_start
        self.executor.take_secrets = self.secrets.take
        self.engine.listeners.append(self.secrets.changed)
        self.askers = Askers(surroundings, self.executor.ends, home.logs_folder)
        self.probes = Probes(loop, self.engine.handle, self.engine.instances, self.askers.make, boot_time)
        self.engine.listeners.append(self.probes.changed)
        self.engine.listeners.append(self.executor.listeners.changed)
        self.usage = UsageHistory(self._memory("usage", new_history))
        self.sampler = Sampler(self.engine, loop, boot_time, TreeMeter(), self.usage)
        self.schedules = Schedules(self.engine, loop, boot_time)
        self.executor.limits.record = self.events.record
        self.limit_watch = LimitWatch(
            loop, self.engine, self.sampler, self.executor.limits, self.executor.trees
        )
        self.views = Views(
            self.engine,
            self.apps.by_name,
            self.sampler,
            self.schedules,
            self.telemetry,
            registry,
            home.logs_folder,
        )
        self.waiting = Waiting(self.engine, boot_time)
        self.surges = Surges(loop, self.engine, self.apps, self.outputs.mark_anew, boot_time)
        self.server = Server(loop, self._dispatch)
        self.update: asyncio.Future[None] | None = None
        """Fails when the update that somebody waits for has failed; its success is the end of this master."""
        self.ending = False
        """This master has been told to end: it starts nothing any more."""
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Read the state, make it so, serve until the end."""
        state = read_state(self.home.state_file)
        listener, agents_listener = self._listener("socket"), self._listener("agents")
        self.link.take("lock")
        channel = AgentChannel(
            agents_listener,
            self.loop,
            self.executor.runs_by_token,
            self.engine.handle,
            self.telemetry,
            self.actions,
        )
        notify = self._notify_socket()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.loop.add_signal_handler(number, self._signalled, number)
        self.loop.add_signal_handler(signal.SIGUSR2, self.reload_logs)
        self.events.record("master.started", pid=os.getpid(), guardian_pid=os.getppid(), version=__version__)
        self.store.hold()  # should we fail before we serve, the master that stands by goes on
        adoption = Adoption(self.engine, self.executor, self.outputs, self.link, self.home.path)
        if state is None:
            for lost in adoption.run_without_state(self.begun.notes()):
                self.events.record("run.unsupervised", app=lost.app, run_id=lost.run_id, pid=lost.pid)
        else:
            self.apps.restore(state.apps, state.instances, state.next_id)
            self.receipts.restore(state.receipts)
            self.usage.keep(self.engine.instances)
            same_boot = state.boot_id == boot_id()
            adoption.run(self.begun.notes(), same_boot=same_boot, saved_at=state.boot_time)
            self.executor.listeners.adopt()
            self._acknowledge(self.link.ends)
            found = self.engine.instances.values()
            counts = {"instances": len(found), "running": sum(each.run is not None for each in found)}
            self.events.record("master.adopted", **counts, rebooted=not same_boot)
        self.executor.oom.start()
        self.schedules.start()
        self.link.start(self.loop, self)
        await self.server.listen(listener)
        self.link.serving()
        self.store.go_on()
        self.askers.end_left(self.home.path, [app.spec for app in self.apps.by_name.values()])
        self.secrets.start()
        self.surges.start()
        self.probes.start()
        watch = HomeWatch(
            self.home,
            self.link,
            renew={"socket": self.server.listen, "agents": channel.listen_anew, "notify": notify.listen_anew},
            store=self.store,
            lost=self._home_lost,
        )
        watching = self.loop.create_task(watch.run())
        self.log_keeper.start()
        log.info("master %s of pypm %s answers on %s", os.getpid(), __version__, self.home.socket)
        await self._ended.wait()
        watching.cancel()
        await self.server.close()
        await self.secrets.close()
        await self.probes.close()
        channel.close()
        notify.close()
        self.hooks.close()
        self.limit_watch.close()
        self.executor.trees.close()
        self.log_keeper.close()
        self.log_waits.close()
        await self.watches.close()
        await self.outputs.finish()
        self.observer.close()
        self.outputs.close()
        self.executor.oom.close()
        self.story.close()
        self.events.record("master.ended", pid=os.getpid())
        self.events.close()
        await self.store.close()
        if watch.is_ours():
            for path in (self.home.socket, self.home.agents_socket, self.home.notify_socket):
                if os.path.lexists(path):
                    os.unlink(path)
        log.info("master %s has ended", os.getpid())

    def _app_declared(self, name: str, spec: AppSpec | None) -> None:
        self.watches.declared(name, spec)
        self.limit_watch.declared(name, spec)

    def _files_changed(self, instance: Instance, reason: str) -> None:
        self.engine.handle(instance.id, RestartRequested("watch", reason, "watch"))

    def _log_trouble(self, trouble: LogTrouble) -> None:
        self.events.log_trouble(trouble)
        self.log_waits.trouble(trouble)

    def _memory(self, name: str, new: Callable[[], int]) -> int:
        """A memory file that the guardian holds, or a new one that it is to hold."""
        memory = self.link.take(name)
        if memory is None:
            memory = new()
            self.link.hold({name: memory})
        return memory

    def _listener(self, name: str) -> socket.socket:
        """A socket on a duplicate of a descriptor that the guardian holds."""
        descriptor = self.link.take(name)
        if descriptor is None:
            raise PypmError(f"the guardian does not hold the listening socket {name!r}")
        return socket.socket(fileno=os.dup(descriptor))

    def _notify_socket(self) -> NotifySocket:
        notify = NotifySocket(
            self.link, self.loop, self.executor.owners, self.engine.instances.get, self.engine.handle
        )
        notify.open(self.home.notify_socket)
        self.executor.before_end = notify.drain
        return notify

    def _may_start(self, instance: Instance) -> bool:
        return self.order.may_start(instance) and self.secrets.may_start(instance)

    # --- what the guardian says ---

    def guardian_saw(self, ends: Mapping[int, Reaped]) -> None:
        """Ends of runs that an earlier master has started, and of orphans."""
        self.executor.ends.guardian_saw(ends)
        self._acknowledge(ends)

    def _acknowledge(self, ends: Iterable[int]) -> None:
        """Once what follows from them is on the disk, the guardian need not remember these ends."""
        pids = list(ends)
        if pids:
            self._last_acknowledgement = self.loop.create_task(self._acknowledge_later(pids))

    async def _acknowledge_later(self, pids: list[int]) -> None:
        await self.store.committed()
        if self.store.trouble is None:
            self.link.seen(pids)

    def guardian_lost(self) -> None:
        """The guardian is dead: save, and become it."""
        self.link.succeed(self.home.succession_file)
        if self.ending:
            return
        self.events.record("guardian.lost", pid=os.getpid())
        log.error("the guardian is gone: this master takes its place and starts another one")
        self._succession = self.loop.create_task(self._become_guardian())

    def stand_by(self) -> None:
        """A newer master is there: save all, then stand still until it is in charge."""
        self._standing_by = self.loop.create_task(self._stand_by())

    async def _stand_by(self) -> None:
        self.outputs.settle_all()
        await self.store.committed()
        if self.ending:  # the end is not to be undone by a newer master: that one is not waited for
            return
        written, begun = self.store.written, self.begun.count()
        self.events.record("master.standing_by", pid=os.getpid(), version=__version__)
        log.info("master %s stands by for a newer one", os.getpid())
        gone = False
        try:
            reason = self.link.wait_for_verdict()
        except (EOFError, OSError):
            self.link.succeed(self.home.succession_file)
            gone, reason = True, "the guardian is gone"
        if self.store.written_by_others(written) or self.begun.count() != begun:
            # The newer master has changed something before it failed: what we know is no longer true.
            log.error("the newer master failed after it had begun (%s): beginning anew", reason)
            if gone:
                self.link.become_guardian(self.home.path)
            os._exit(1)
        self.outputs.resume_all()
        self.update_failed(reason)

    def update_failed(self, reason: str) -> None:
        """There is no newer master: tell who asked for it, and go on."""
        self.events.record("update.failed", pid=os.getpid(), reason=reason)
        log.error("the update failed: %s", reason)
        if self.update is not None and not self.update.done():
            self.update.set_exception(RequestError(f"the update failed: {reason}", hint="see master.log"))

    async def _become_guardian(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SAVE_TIME):
                await self.store.committed()
        if self.ending:  # somebody has told us to, meanwhile
            return
        try:
            self.link.become_guardian(self.home.path)
        except OSError as error:
            log.error("cannot become the guardian, and go on without one: %s", error)

    # --- what handlers use ---

    def select(self, targets: Sequence[str]) -> list[Instance]:
        """The instances that the targets name, by id. Raises NotFoundError for one that names nothing."""
        known = [Known.of(each) for each in self.engine.instances.values()]
        return [each.instance for each in match(targets, sorted(known))]

    async def done(self, changes: list[dict[str, Any]], warnings: Sequence[str] = ()) -> dict[str, Any]:
        """The answer to a verb that changes something, once that is on the disk (or the disk refuses)."""
        await self.store.committed()
        trouble = [] if self.store.trouble is None else [self.store.trouble]
        return {"instances": self.surges.shown(changes), "warnings": [*warnings, *trouble]}

    def reload_logs(self) -> list[str]:
        """Open all log files anew, because somebody has moved some; gives their paths."""
        files = self.log_files.files()
        for file in files:
            file.reopen()
        self.events.reopen()
        reopen_log()
        log.info("all logs are opened anew")
        return sorted(file.path for file in files)

    async def stop_all(self, request: StopRequested) -> None:
        """Stop every agent and wait until the last one is gone, also of those started meanwhile."""
        while True:
            ids = list(self.engine.instances)
            self.order.end(self.engine.instances.values(), request)
            await self.waiting.wait(ids, "stopped")
            if self.waiting.are_there(self.engine.instances, "stopped"):
                return

    def begin_to_end(self) -> None:
        """Start nothing any more; no update and no death of the guardian takes that back."""
        self.ending = True
        self.schedules.close()
        if self.update is not None and not self.update.done():
            self.update.set_exception(RequestError("the master is ending"))

    def end(self) -> None:
        """Let ``run`` return, after the answers under way have been sent."""
        self.link.ending()
        self.loop.call_soon(self._ended.set)

    # --- inner workings ---

    def _dispatch(self, request: Request, peer: Peer) -> Any | Awaitable[Any]:
        check_protocol(request)
        handler = HANDLERS.get(request.method)
        if handler is None:
            raise BadRequestError(METHOD_NOT_FOUND, f"there is no method {request.method!r}")
        if self.ending and request.method in STARTING:
            raise RequestError("the master is ending: it starts nothing any more")
        if request.method in CONTROL:
            self._check_control(request.method, peer)
        params = decode_params(request.params, handler.Params)
        if hasattr(handler, "order"):
            return self._carry_out(handler, request, params, peer)
        if request.method not in ONLY_ASKED:
            self._tell_order(request.method, params, asker_of(peer))
        return handler.handle(self, params)

    async def _carry_out(
        self, handler: ModuleType, request: Request, params: msgspec.Struct, peer: Peer
    ) -> Any:
        """Order what is asked for, unless this or an earlier master has done that already, and answer."""
        key, asker = request.key, asker_of(peer)
        set_asker(asker)
        receipt = self.receipts.find(key)
        if receipt is None:
            self._tell_order(request.method, params, asker)
            # Nothing comes between: the receipt is part of the commit that has the order's effects.
            receipt = self.receipts.keep(key, await handler.order(self, params))
        if hasattr(handler, "answer"):
            return await handler.answer(self, params, receipt)
        return await self.done(receipt.changes, receipt.warnings)

    def _tell_order(self, method: str, params: msgspec.Struct, asker: Asker) -> None:
        """Tell who has ordered what."""
        told = {key: getattr(params, key) for key in TOLD_PARAMS if hasattr(params, key)}
        if hasattr(params, "apps"):
            told["apps"] = [spec.name for spec in params.apps]
        self.events.record(f"operator.{method}", by=str(asker), **told, **asker.facts())

    def _check_control(self, method: str, peer: Peer) -> None:
        """Raise RequestError where an agent of ours asks for our own end, and its app does not allow that."""
        owner = self.executor.trees.owner_of(peer.pid, self.engine.instances.values())
        if owner is not None and not owner.spec.allow_control:
            raise RequestError(
                f"{method} was asked for from within {owner.name}, which this master supervises",
                hint=f"allow_control = true lets the app {owner.app} do that",
            )

    def _signalled(self, number: int) -> None:
        """Somebody ends the master: agents are stopped, and will be started by the next one."""
        if not self.ending:
            log.info("received %s: stopping all agents", signal.Signals(number).name)
            self._end_soon()

    def _home_lost(self) -> None:
        """Nobody can reach this master any more: its agents must not run unseen beside those of another."""
        log.error("%s was removed and is another guardian's now: stopping all agents", self.home.path)
        self.store.abandon()
        self._end_soon()

    def _end_soon(self) -> None:
        if not self.ending:
            self.begin_to_end()
            self._last_task = self.loop.create_task(self._end_gracefully())

    async def _end_gracefully(self) -> None:
        await self.stop_all(StopRequested(by="the end of the master", keep_desired=True))
        self.end()


def run(home: Home, link: GuardianLink) -> None:
    """Run a master until it is told to end. Raises PypmError where it cannot begin."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_run(home, loop, link))
    finally:
        loop.close()


async def _run(home: Home, loop: asyncio.AbstractEventLoop, link: GuardianLink) -> None:
    try:
        await Master(home, loop, link).run()
    except OSError as error:
        raise PypmError(f"the master cannot begin: {error}") from error
