"""The Python interface for asyncio: each method of :class:`Client`, to be awaited.

    async with AsyncClient() as pypm:
        await pypm.wait("agent", until="ready", timeout=60)
        async for event in pypm.events("agent", follow=True):
            print(event["event"])

Each call has a thread and a connection while it lasts, so many may wait at the same time. A call that is
cancelled lets its connection go; what had been ordered is done all the same.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from pypm.client.client import Client
from pypm.client.files import LogLine, Reader, read_events, read_logs
from pypm.client.home import home_folder
from pypm.core.errors import RequestError

__all__ = ["AsyncClient"]

KEPT = 4
"""Connections that are kept open for the next calls."""
AHEAD = 1000
"""Lines or events that are read before they are asked for."""

Given = ParamSpec("Given")
Result = TypeVar("Result")
Item = TypeVar("Item")


class _Awaitable(Generic[Given, Result]):
    """A method of ``Client`` as one of ``AsyncClient``."""

    def __init__(self, method: Callable[Concatenate[Client, Given], Result]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(
        self, client: AsyncClient, owner: type[AsyncClient]
    ) -> Callable[Given, Coroutine[Any, Any, Result]]:
        @functools.wraps(self._method)
        async def call(*words: Given.args, **options: Given.kwargs) -> Result:
            return await client.in_thread(lambda plain: self._method(plain, *words, **options))

        return call


class AsyncClient:
    """As :class:`Client`, whose words it has, for one event loop; any number of calls at a time."""

    def __init__(self, home: str | None = None, *, launch: bool = False, timeout: float = 30.0) -> None:
        self.home = home_folder() if home is None else home
        self._launch = launch
        self._timeout = timeout
        self._free: list[Client] = []
        self._is_closed = False

    async def __aenter__(self) -> AsyncClient:
        """Raises NoMasterError at once where there is no master and none is to be started."""
        await self.ping()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that no call uses; the others when their calls are done."""
        self._is_closed = True
        while self._free:
            self._free.pop().close()

    call = _Awaitable(Client.call)
    ping = _Awaitable(Client.ping)
    list = _Awaitable(Client.list)
    describe = _Awaitable(Client.describe)
    env = _Awaitable(Client.env)
    doctor = _Awaitable(Client.doctor)
    apply = _Awaitable(Client.apply)
    run = _Awaitable(Client.run)
    start = _Awaitable(Client.start)
    stop = _Awaitable(Client.stop)
    restart = _Awaitable(Client.restart)
    reload = _Awaitable(Client.reload)
    scale = _Awaitable(Client.scale)
    delete = _Awaitable(Client.delete)
    run_now = _Awaitable(Client.run_now)
    reset = _Awaitable(Client.reset)
    signal = _Awaitable(Client.signal)
    trigger = _Awaitable(Client.trigger)
    flush = _Awaitable(Client.flush)
    save = _Awaitable(Client.save)
    snapshots = _Awaitable(Client.snapshots)
    resurrect = _Awaitable(Client.resurrect)
    kill = _Awaitable(Client.kill)
    wait = _Awaitable(Client.wait)

    def events(
        self, *targets: str, since: float | None = None, until: float | None = None, follow: bool = False
    ) -> AsyncIterator[dict[str, Any]]:
        """As :meth:`Client.events`."""
        return _followed(
            lambda reader: read_events(
                self.home, targets, since=since, until=until, follow=follow, reader=reader
            )
        )

    def logs(
        self,
        *targets: str,
        lines: int | None = 15,
        since: float | None = None,
        until: float | None = None,
        follow: bool = False,
    ) -> AsyncIterator[LogLine]:
        """As :meth:`Client.logs`."""
        return _followed(
            lambda reader: read_logs(
                self.home, targets, lines=lines, since=since, until=until, follow=follow, reader=reader
            )
        )

    async def in_thread(self, work: Callable[[Client], Result]) -> Result:
        """Do something with a connection that nobody else uses meanwhile."""
        if self._is_closed:
            raise RequestError("this client is closed")
        waiting: list[Client] = []
        is_cancelled = threading.Event()

        def do() -> Result:
            client = self._free.pop() if self._free else self._open()
            waiting.append(client)
            try:
                if is_cancelled.is_set():
                    raise RequestError("it was cancelled")
                result = work(client)
            except BaseException:
                client.close()
                raise
            finally:
                waiting.clear()
            if is_cancelled.is_set():  # it may have been aborted just after it was done
                client.close()
            else:
                self._give_back(client)
            return result

        try:
            return await _beside(do)
        except asyncio.CancelledError:
            is_cancelled.set()
            for client in waiting:
                client.abort()
            raise

    def _give_back(self, client: Client) -> None:
        if self._is_closed or len(self._free) >= KEPT:
            client.close()
        else:
            self._free.append(client)

    def _open(self) -> Client:
        return Client(self.home, launch=self._launch, timeout=self._timeout)


async def _beside(work: Callable[[], Result]) -> Result:
    """What ``work`` gives or raises, done in a thread of its own: there may be many that wait for hours."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(set_it: Callable[[Any], None], value: object) -> None:
        if not future.done():
            set_it(value)

    def do() -> None:
        try:
            outcome: tuple[Callable[[Any], None], object] = (future.set_result, work())
        except BaseException as error:
            outcome = (future.set_exception, error)
        try:
            loop.call_soon_threadsafe(settle, *outcome)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    threading.Thread(target=do, name="pypm-client", daemon=True).start()
    return await future


async def _followed(read: Callable[[Reader], Iterator[Item]]) -> AsyncIterator[Item]:
    """What an iterator gives that is read in a thread, at most ``AHEAD`` of it before it is asked for."""
    reader = Reader()
    loop = asyncio.get_running_loop()
    found: asyncio.Queue[Item | None] = asyncio.Queue()
    room = threading.Semaphore(AHEAD)

    def read_all() -> None:
        for item in read(reader):
            room.acquire()
            if not reader.is_there():
                return
            loop.call_soon_threadsafe(found.put_nowait, item)
        loop.call_soon_threadsafe(found.put_nowait, None)

    reading = asyncio.ensure_future(_beside(read_all))
    try:
        while True:
            getting = asyncio.ensure_future(found.get())
            await asyncio.wait((getting, reading), return_when=asyncio.FIRST_COMPLETED)
            if not getting.done() and reading.exception() is not None:
                getting.cancel()
                reading.result()
            item = await getting
            if item is None:
                return
            room.release()
            yield item
    finally:
        reader.leave()
        room.release()
        reading.cancel()
