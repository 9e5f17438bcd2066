"""The receiving end of sd_notify: datagrams, and the pid of each one's sender as the kernel tells it."""

from __future__ import annotations

import array
import os
import socket
import struct
from typing import NamedTuple

from pypm.protocol.notify import MAX_MESSAGE

__all__ = ["Datagram", "receive"]

_CREDENTIALS = struct.Struct("iII")
"""pid, uid and gid, as unix(7) has them."""
_MAX_DESCRIPTORS = 253
"""The kernel passes no more of them with one message."""
_SPACE = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(
    _MAX_DESCRIPTORS * array.array("i").itemsize
)


class Datagram(NamedTuple):
    """One datagram. Its descriptors are the receiver's to close."""

    data: bytes
    pid: int
    """Of the sender, which may have ended meanwhile; 0 if it is not known."""
    whole: bool
    """Nothing of it was cut off."""
    descriptors: list[int]

    def close(self) -> None:
        """Close what came with it: who waits for that goes on."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()


def receive(listener: socket.socket) -> Datagram:
    """The next datagram of a socket that ``bind_private_datagrams`` has made.

    Raises BlockingIOError where there is none.
    """
    data, ancillary, flags, _ = listener.recvmsg(MAX_MESSAGE + 1, _SPACE, socket.MSG_CMSG_CLOEXEC)
    pid, descriptors = 0, array.array("i")
    for level, kind, content in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_CREDENTIALS and len(content) == _CREDENTIALS.size:
            pid = _CREDENTIALS.unpack(content)[0]
        elif kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return Datagram(data, pid, not flags & socket.MSG_TRUNC, list(descriptors))
