"""Descriptors by name: what outlives a master."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from pypm.system.sockets import MAX_DESCRIPTORS, send_message

__all__ = ["SUCCESSION", "Holdings"]

SUCCESSION = "succession"
"""The lock of a master that has taken the place of its guardian: it keeps that, and hands it to no master."""


class Holdings:
    """Named descriptors; a name that is given anew replaces the descriptor it had."""

    def __init__(self) -> None:
        self._descriptors: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        """Those that stay open for as long as this process lives, and that no master is given."""

    def add(self, name: str, descriptor: int) -> None:
        """Hold a descriptor, which is ours from now on."""
        self.drop([name])
        self._descriptors[name] = descriptor

    def drop(self, names: Iterable[str]) -> None:
        """Close what is held under these names."""
        for name in names:
            descriptor = self._descriptors.pop(name, None)
            if descriptor is not None:
                os.close(descriptor)

    def keep(self, name: str) -> None:
        """Leave this one open for as long as this process lives, and hold it no more."""
        descriptor = self._descriptors.pop(name, None)
        if descriptor is not None:
            self.kept[name] = descriptor

    @property
    def named(self) -> dict[str, int]:
        """All that are held."""
        return dict(self._descriptors)

    def send_to(self, connection: socket.socket) -> None:
        """Send all of them, in messages of type ``held``."""
        names = list(self._descriptors)
        for start in range(0, len(names), MAX_DESCRIPTORS):
            some = names[start : start + MAX_DESCRIPTORS]
            send_message(connection, ["held", *some], [self._descriptors[name] for name in some])

    @classmethod
    def inherited(cls, file: int) -> Holdings:
        """Those that a program that was executed before us in this process has left; ``file`` names them."""
        holdings = cls()
        with os.fdopen(file, "rb") as stream:
            stream.seek(0)
            for line in stream.read().decode().splitlines():
                descriptor, _, name = line.partition(" ")
                os.set_inheritable(int(descriptor), False)
                holdings.add(name, int(descriptor))
        return holdings

    @staticmethod
    def leave(descriptors: dict[str, int]) -> int:
        """Prepare for executing another program: a file that names the descriptors, all inheritable.

        Gives the descriptor of that file, for ``inherited``.
        """
        file = os.memfd_create("pypm-holdings", 0)
        lines = (f"{descriptor} {name}\n" for name, descriptor in descriptors.items())
        os.write(file, "".join(lines).encode())
        for descriptor in descriptors.values():
            os.set_inheritable(descriptor, True)
        return file
