"""Sockets that listen for an app: opened here, held by the guardian, inherited by each run.

As systemd's socket activation has them (sd_listen_fds(3)): who connects while no run accepts waits in the
socket's queue, over restarts, reloads and masters.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Mapping
from typing import NamedTuple

from pypm.core.addresses import LOCALHOST, Address, inherited_sockets, parse_address
from pypm.core.instance import Desired, Instance
from pypm.core.spec import AppSpec
from pypm.master.run_channels import Keeper
from pypm.system.descriptors_of import copy_descriptor
from pypm.system.identity import find_identity
from pypm.system.spawn import SpawnError

__all__ = ["Listeners"]

WAITING = 4096
"""Connections that may wait; the kernel's own limit is net.core.somaxconn."""


class Place(NamedTuple):
    """Numbers of a file system and of a file in it."""

    device: int
    inode: int


class Opened(NamedTuple):
    """One of them."""

    app: str
    address: str
    descriptor: int
    place: Place | None
    """What its path is in the file system, if it has one."""


class Listeners:
    """The sockets of all apps that are wanted up, or have runs. ``instances`` are all that there are."""

    def __init__(self, keeper: Keeper, instances: Mapping[int, Instance]) -> None:
        self._keeper = keeper
        self._instances = instances
        self._opened: dict[str, Opened] = {}
        """By address."""

    def of(self, spec: AppSpec, umask: int) -> dict[int, int]:
        """The sockets that a run of an app inherits, by their numbers in it; opens all that are not yet.

        Raises SpawnError where one cannot be opened.
        """
        opened = {address: self._open(spec, address, umask) for address in spec.sockets}
        return {number: opened[address] for number, address in inherited_sockets(spec.sockets).items()}

    def adopt(self) -> None:
        """Take what the last master has had open for the apps that need it still.

        Where its guardian has died too, the runs still have it.
        """
        for instance in self._instances.values():
            if needs_sockets(instance):
                numbers = {each: number for number, each in inherited_sockets(instance.spec.sockets).items()}
                for address in instance.spec.sockets:
                    self._adopt(instance, address, numbers.get(address))

    def _adopt(self, instance: Instance, address: str, number: int | None) -> None:
        """``number``: of the descriptor in its runs, if they have it."""
        if address in self._opened:
            return
        wanted = parse_address(address)
        descriptor = self._keeper.take(f"listen:{address}")
        if descriptor is None:
            descriptor = None if number is None else socket_of_run(instance, number, wanted)
            if descriptor is None:
                return
            self._keeper.hold({f"listen:{address}": descriptor})
        self._opened[address] = Opened(instance.app, address, descriptor, place_of(wanted.path))

    def changed(self, instance_id: int) -> None:
        """Close what nobody needs any more; to be called after each change of an instance."""
        if not self._opened:
            return
        instance = self._instances.get(instance_id)
        if instance is not None and all(each.app != instance.app for each in self._opened.values()):
            return
        if instance is not None and needs_sockets(instance) and self._has(instance.spec):
            return
        needed = {
            (each.app, address)
            for each in self._instances.values()
            if needs_sockets(each)
            for address in each.spec.sockets
        }
        for opened in [each for each in self._opened.values() if (each.app, each.address) not in needed]:
            self._close(opened)

    def _has(self, spec: AppSpec) -> bool:
        """Whether the sockets of an app are just those that it declares now."""
        return {each.address for each in self._opened.values() if each.app == spec.name} <= set(spec.sockets)

    def _open(self, spec: AppSpec, address: str, umask: int) -> int:
        opened, wanted = self._opened.get(address), parse_address(address)
        if opened is not None and opened.app != spec.name:
            raise SpawnError(f"cannot listen at {address}: {opened.app} does")
        if opened is not None and opened.place == place_of(wanted.path):
            return opened.descriptor
        if opened is not None:  # somebody has removed its path: nobody can come there any more
            self._close(opened)
        try:
            descriptor = listen(wanted, umask, owner_of(spec))
        except OSError as error:
            raise SpawnError(f"cannot listen at {address}: {error.strerror or error}") from error
        self._keeper.hold({f"listen:{address}": descriptor})
        self._opened[address] = Opened(spec.name, address, descriptor, place_of(wanted.path))
        return descriptor

    def _close(self, opened: Opened) -> None:
        del self._opened[opened.address]
        path = parse_address(opened.address).path
        if path and place_of(path) == opened.place:  # else another one has its place
            with contextlib.suppress(OSError):
                os.unlink(path)
        self._keeper.drop([f"listen:{opened.address}"])
        os.close(opened.descriptor)


def needs_sockets(instance: Instance) -> bool:
    """Whether an instance accepts connections now, or will by itself."""
    return bool(instance.spec.sockets) and (instance.desired is Desired.UP or instance.run is not None)


def socket_of_run(instance: Instance, number: int, address: Address) -> int | None:
    """What a living run has inherited as this descriptor, if that listens at the address still."""
    if instance.run is None:
        return None
    with contextlib.suppress(OSError):
        descriptor = copy_descriptor(instance.run.main_pid, number)
        try:
            with socket.socket(fileno=descriptor) as found:
                place = found.getsockname()
                is_it = place == address.path if address.path else place[1] == address.port
                if is_it and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    return found.detach()
        except OSError:
            return None
    return None


def owner_of(spec: AppSpec) -> tuple[int, int]:
    """User and group ids of whoever an app runs as; -1: as we do. Raises SpawnError."""
    identity = find_identity(spec.user, spec.group)
    return (-1, -1) if identity is None else (identity.uid, identity.gid)


def listen(address: Address, umask: int, owner: tuple[int, int]) -> int:
    """A descriptor that listens at an address, or only keeps it for others. Raises OSError."""
    if address.path:
        return listen_at_path(address.path, umask, owner)
    host = "127.0.0.1" if address.host == LOCALHOST else address.host
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV  # names would have to be asked for, and waited for
    family, kind, protocol, _, place = socket.getaddrinfo(
        host, address.port, type=socket.SOCK_STREAM, flags=flags
    )[0]
    with contextlib.closing(socket.socket(family, kind, protocol)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if address.reuse_port:
            # Whoever may bind there beside it is told by its owner; nobody reaches one that does not listen.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            os.fchown(listener.fileno(), *owner)
        listener.bind(place)
        if address.reuse_port:
            # With it, whoever has it too, as most servers do, could listen here while no run does.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        else:
            listener.listen(WAITING)
        return listener.detach()


def listen_at_path(path: str, umask: int, owner: tuple[int, int]) -> int:
    """The same at a path; what is there is replaced if it is a socket that nobody listens at."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as listener:
        mode = 0o777 & ~umask
        # It gets no more than this; our umask, which is that of all our threads, may take some of it.
        os.fchmod(listener.fileno(), mode)
        bind_at_path(listener, path)
        give_away(path, mode, owner)
        listener.listen(WAITING)
        return listener.detach()


def bind_at_path(listener: socket.socket, path: str) -> None:
    try:
        listener.bind(path)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not is_left_behind(path):
            raise
        os.unlink(path)
        listener.bind(path)


def is_left_behind(path: str) -> bool:
    """Whether there is a socket at a path, and nobody listens."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        return False  # of which connect(2) says the same
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as other:
        other.setblocking(False)
        return other.connect_ex(path) == errno.ECONNREFUSED


def give_away(path: str, mode: int, owner: tuple[int, int]) -> None:
    """Give the socket that we have just bound its mode and owner. Raises OSError.

    Whoever may write to its folder may have put another file there: none but a socket of ours is touched.
    """
    found = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(found)
        if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.geteuid():
            raise OSError(errno.EEXIST, "somebody has put another file in its place")
        os.chmod(f"/proc/self/fd/{found}", mode)
        if owner != (-1, -1):
            os.chown(f"/proc/self/fd/{found}", *owner)
    finally:
        os.close(found)


def place_of(path: str) -> Place | None:
    """Which file is at a path; None if there is none, or the path is empty."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return Place(status.st_dev, status.st_ino)
