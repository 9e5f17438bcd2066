"""Keeps the home this master's: a socket, a lock or a folder that somebody has removed is made anew.

Cleaners of ``/tmp`` remove sockets, people remove folders. Without this, commands would find no master while
one runs, and start a second one beside it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable

from pypm.core.errors import PypmError
from pypm.master.link import GuardianLink
from pypm.master.store import Store
from pypm.system.home import Home
from pypm.system.lock import HomeLock
from pypm.system.sockets import bind_private, bind_private_datagrams

__all__ = ["HomeWatch"]

log = logging.getLogger(__name__)

LOOK = 2.0
"""Seconds between two looks."""


class HomeWatch:
    """Looks after one home, by name and not by what is still open."""

    def __init__(
        self,
        home: Home,
        link: GuardianLink,
        *,
        renew: dict[str, Callable[[socket.socket], Awaitable[None]]],
        store: Store,
        lost: Callable[[], None],
    ) -> None:
        """``renew`` takes the new sockets, ``socket``, ``agents`` and ``notify``, into use.

        ``store`` writes the state again when the home was removed and has been made anew, empty but for a
        lock, and writes nothing more when another guardian has made it its own; then ``lost`` is called.
        """
        self._home = home
        self._link = link
        self._renew = renew
        self._store = store
        self._lost = lost
        self._paths = {"socket": home.socket, "agents": home.agents_socket, "notify": home.notify_socket}
        self._trouble = ""
        store.is_lost = self.is_anothers

    async def run(self) -> None:
        """Look again and again, until the home is lost."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                if not await self.look():
                    return
            except (OSError, PypmError) as error:
                if str(error) != self._trouble:
                    log.error("the home is damaged, which is looked at every %g s: %s", LOOK, error)
                self._trouble = str(error)
            else:
                self._trouble = ""

    async def look(self) -> bool:
        """Make anew what is missing; False if the home is another's. Raises OSError or PypmError."""
        if not self.is_ours() and not self._take_anew():
            self._lost()
            return False
        for name, path in self._paths.items():
            if not os.path.lexists(path):
                await self._bind_anew(name, path)
        return True

    def is_ours(self) -> bool:
        """Whether the lock that we have is the one that others would find."""
        try:
            found = os.stat(self._home.lock_file)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return os.path.samestat(found, os.fstat(self._link.taken("lock")))

    def is_anothers(self) -> bool:
        """Whether what has the name of this home now was signed by another guardian, which may be gone."""
        try:
            if self.is_ours():
                return False
        except OSError:
            return False
        return HomeLock(self._home.lock_file).holder() not in ("", str(os.getppid()))

    def _take_anew(self) -> bool:
        """Make the home and lock it; False if another guardian was faster."""
        self._home.prepare()
        lock = HomeLock(self._home.lock_file)
        guardian = os.getppid()
        descriptor = lock.acquire()
        if descriptor is None:
            return lock.holder() == str(guardian)
        lock.sign(guardian)
        self._link.replace("lock", descriptor)
        log.warning("%s had been removed: it is made anew", self._home.lock_file)
        self._store.write_anew()
        return True

    async def _bind_anew(self, name: str, path: str) -> None:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        listener = bind_private_datagrams(path) if name == "notify" else bind_private(path)
        self._link.replace(name, os.dup(listener.fileno()))
        await self._renew[name](listener)
        log.warning("%s had been removed: it is made anew", path)
