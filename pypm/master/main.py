"""The master put together: the only place that knows all parts."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Sequence
from typing import Any

from pypm import __version__
from pypm.core.errors import PypmError
from pypm.core.events import Recovered, StopRequested
from pypm.core.instance import Instance
from pypm.core.state import State
from pypm.core.targets import match
from pypm.logs.registry import LogRegistry
from pypm.logs.writer import LogTrouble
from pypm.master.apps import Apps
from pypm.master.channel import AgentChannel
from pypm.master.engine import Engine
from pypm.master.executor import SystemExecutor
from pypm.master.handlers import HANDLERS
from pypm.master.output import Outputs
from pypm.master.recovery import is_alive, read_state, with_unsaved_runs
from pypm.master.rows import Detail, Moment, Row, make_detail, make_row
from pypm.master.sampler import Sampler
from pypm.master.server import Server, bind_private
from pypm.master.store import Store
from pypm.master.waiting import Waiting
from pypm.protocol.names import METHOD_NOT_FOUND
from pypm.protocol.rpc import BadRequestError, Request, decode_params
from pypm.system.clock import boot_id, boot_time, wall_time
from pypm.system.home import Home
from pypm.system.marked import find_marked
from pypm.system.process import send

__all__ = ["Master"]

log = logging.getLogger(__name__)


class Master:
    """One master of one home; ``run`` returns when it has been told to end."""

    def __init__(self, home: Home, loop: asyncio.AbstractEventLoop) -> None:
        self.home = home
        self.loop = loop
        self.started = boot_time()
        self.store = Store(home.state_file, loop)
        self.outputs = Outputs(loop, LogRegistry(_log_trouble), home.logs_folder)
        self.executor = SystemExecutor(home, loop, boot_time, self.store, self.outputs)
        self.engine = Engine(self.executor, boot_time)
        self.apps = Apps(self.engine, self.store, boot_time)
        self.executor.connect(self.engine.handle, self.engine.instances, self.apps.by_name)
        self.sampler = Sampler(self.engine, loop, boot_time)
        self.waiting = Waiting(self.engine, boot_time)
        self.server = Server(loop, self._dispatch)
        self._ended = asyncio.Event()
        self._ending = False

    async def run(self) -> None:
        """Read the state, make it so, serve until the end."""
        state = read_state(self.home.state_file)
        listener = bind_private(self.home.socket)
        channel = AgentChannel(
            bind_private(self.home.agents_socket), self.loop, self.executor.runs_by_token, self.engine.handle
        )
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.loop.add_signal_handler(number, self._signalled, number)
        if state is not None:
            self._recover(state)
        await self.server.listen(listener)
        log.info("master %s of pypm %s answers on %s", os.getpid(), __version__, self.home.socket)
        await self._ended.wait()
        await self.server.close()
        channel.close()
        self.outputs.close()
        await self.store.close()
        for path in (self.home.socket, self.home.agents_socket):
            if os.path.lexists(path):
                os.unlink(path)
        log.info("master %s has ended", os.getpid())

    def _recover(self, state: State) -> None:
        same_boot = state.boot_id == boot_id()
        instances = state.instances
        if same_boot:
            instances, lost = with_unsaved_runs(state, find_marked(self.home.path))
            for process in lost:
                log.warning(
                    "killing pid %s of run %s, which its master has lost", process.pid, process.run_id
                )
                send(process.pid, signal.SIGKILL)
        self.apps.restore(state.apps, instances, state.next_id)
        for instance in list(self.engine.instances.values()):
            alive = is_alive(instance, same_boot)
            if alive and instance.run is not None:
                self.executor.watch(instance.id, instance.run)
            self.engine.handle(instance.id, Recovered(alive=alive))

    # --- what handlers use ---

    def select(self, targets: Sequence[str]) -> list[Instance]:
        """The instances that the targets name, by id. Raises NotFoundError for one that names nothing."""
        return match(targets, sorted(self.engine.instances.values(), key=lambda each: each.id))

    def rows(self, instances: Sequence[Instance]) -> list[Row]:
        """The rows of instances, with fresh usage."""
        moment = Moment(boot_time(), wall_time())
        folder = self.home.logs_folder
        return [make_row(each, self.sampler.of(each), folder, moment) for each in instances]

    def details(self, instances: Sequence[Instance]) -> list[Detail]:
        """The details of instances, with fresh usage."""
        moment = Moment(boot_time(), wall_time())
        return [
            make_detail(
                each,
                self.sampler.of(each),
                self.home.logs_folder,
                moment,
                self.apps.by_name[each.app],
                self.engine.history(each.id),
            )
            for each in instances
        ]

    async def done(self, changes: list[dict[str, Any]]) -> dict[str, Any]:
        """The answer to a verb that changes something, once that is on the disk (or the disk refuses)."""
        await self.store.committed()
        warnings = [] if self.store.trouble is None else [self.store.trouble]
        return {"instances": changes, "warnings": warnings}

    async def stop_all(self, request: StopRequested) -> None:
        """Stop every agent and wait until the last one is gone."""
        ids = list(self.engine.instances)
        for instance_id in ids:
            self.engine.handle(instance_id, request)
        await self.waiting.wait(ids, "stopped")

    def end(self) -> None:
        """Let ``run`` return, after the answers under way have been sent."""
        self.loop.call_soon(self._ended.set)

    # --- inner workings ---

    def _dispatch(self, request: Request) -> Any | Awaitable[Any]:
        handler = HANDLERS.get(request.method)
        if handler is None:
            raise BadRequestError(METHOD_NOT_FOUND, f"there is no method {request.method!r}")
        return handler.handle(self, decode_params(request.params, handler.Params))

    def _signalled(self, number: int) -> None:
        """Somebody ends the master: agents are stopped, and will be started by the next one."""
        if self._ending:
            return
        self._ending = True
        log.info("received %s: stopping all agents", signal.Signals(number).name)
        self._last_task = self.loop.create_task(self._end_gracefully())

    async def _end_gracefully(self) -> None:
        await self.stop_all(StopRequested(by="the end of the master", keep_desired=True))
        self.end()


def _log_trouble(trouble: LogTrouble) -> None:
    log.error("%s", trouble)


def run(home: Home) -> None:
    """Run a master until it is told to end. Raises PypmError where it cannot begin."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_run(home, loop))
    finally:
        loop.close()


async def _run(home: Home, loop: asyncio.AbstractEventLoop) -> None:
    try:
        await Master(home, loop).run()
    except OSError as error:
        raise PypmError(f"the master cannot begin: {error}") from error
