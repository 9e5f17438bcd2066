"""Sockets that pypm opens for apps: whose they are, and what becomes of their paths."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import new_instance
from msgspec.structs import replace

from pypm.core.addresses import Address
from pypm.core.instance import Desired, Instance
from pypm.core.spec import AppSpec
from pypm.master import listeners
from pypm.master.listeners import Listeners
from pypm.system.sockets import bind_private
from pypm.system.spawn_error import SpawnError


class Keeper:
    """Holds nothing."""

    def take(self, name: str) -> int | None:
        return None

    def hold(self, descriptors: dict[str, int]) -> None:
        """They are ours as well."""

    def drop(self, names: object) -> None:
        """Nothing was held."""


class World:
    """One app that listens at a path."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "a.sock")
        self.spec = AppSpec("a", ("/bin/agent",), "/", sockets=(f"unix://{self.path}",))
        self.instances: dict[int, Instance] = {0: replace(new_instance(0, self.spec), desired=Desired.UP)}
        self.listeners = Listeners(Keeper(), self.instances)

    def open(self, umask: int = 0o022) -> int:
        return self.listeners.of(self.spec, umask)[3]

    def delete(self) -> None:
        del self.instances[0]
        self.listeners.changed(0)

    def is_reached(self) -> bool:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
            return client.connect_ex(self.path) == 0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.instances.clear()
    world.listeners.changed(0)


@pytest.fixture
def no_umask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A umask that takes all from others, and that nobody may change: other threads make files meanwhile."""

    def forbidden(_: int) -> int:
        raise AssertionError("the umask is that of all threads")

    before = os.umask(0o077)
    with monkeypatch.context() as patch:
        patch.setattr(os, "umask", forbidden)
        yield
    os.umask(before)


@pytest.mark.parametrize("umask", [0o000, 0o007, 0o022, 0o177])
def test_its_mode_is_that_of_the_apps_umask(world: World, no_umask: None, umask: int) -> None:
    world.open(umask)
    assert stat.S_IMODE(os.stat(world.path).st_mode) == 0o777 & ~umask


def test_our_own_sockets_are_private_whatever_the_umask(tmp_path: Path, no_umask: None) -> None:
    with bind_private(str(tmp_path / "own.sock")):
        assert stat.S_IMODE(os.stat(tmp_path / "own.sock").st_mode) == 0o600


def test_what_somebody_puts_in_its_place_is_not_given_to_the_app(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("of root")
    precious.chmod(0o600)

    def be_quicker(listener: socket.socket, path: str) -> None:
        bind(listener, path)
        os.unlink(path)
        os.symlink(precious, path)

    bind = listeners.bind_at_path
    monkeypatch.setattr(listeners, "bind_at_path", be_quicker)
    monkeypatch.setattr(listeners, "owner_of", lambda _: (os.getuid(), os.getgid()))
    with pytest.raises(SpawnError, match="another file in its place"):
        world.open()
    assert stat.S_IMODE(precious.stat().st_mode) == 0o600


def test_its_path_goes_with_it_but_not_one_that_another_has_put_there(world: World) -> None:
    world.open()
    world.delete()
    assert not os.path.lexists(world.path)
    world.instances[0] = replace(new_instance(0, world.spec), desired=Desired.UP)
    world.open()
    os.unlink(world.path)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as other:
        other.bind(world.path)
        other.listen()
        world.delete()
        assert world.is_reached(), "it is another's"


def test_a_path_that_somebody_has_removed_is_made_anew_at_the_next_start(world: World) -> None:
    first = world.open()
    assert world.open() == first
    os.unlink(world.path)
    world.open()
    assert world.is_reached()
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as other:
        os.unlink(world.path)
        other.bind(world.path)
        other.listen()
        with pytest.raises(SpawnError, match="in use"):
            world.open()


@pytest.mark.parametrize("options", [(), (socket.SO_REUSEADDR,)])
def test_a_port_that_is_kept_is_for_runs_and_for_no_stranger(options: tuple[int, ...]) -> None:
    """Most servers set SO_REUSEADDR, and would get the place of one that does not listen and has it too."""
    address = Address("127.0.0.1", 0, reuse_port=True)
    with socket.socket(fileno=listeners.listen(address, 0, (-1, -1))) as kept:
        place = kept.getsockname()
        with contextlib.closing(socket.socket()) as other:
            for option in options:
                other.setsockopt(socket.SOL_SOCKET, option, 1)
            with pytest.raises(OSError, match="in use"):
                listen_at(other, place)
        with contextlib.closing(socket.socket()) as run:
            for option in (*options, socket.SO_REUSEPORT):
                run.setsockopt(socket.SOL_SOCKET, option, 1)
            listen_at(run, place)


def listen_at(listener: socket.socket, place: tuple[str, int]) -> None:
    listener.bind(place)
    listener.listen()
