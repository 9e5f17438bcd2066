"""Unix sockets: private listening ones, and messages with descriptors between the guardian and its master.

Standard library only: the guardian uses this.
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Sequence

__all__ = ["MAX_DESCRIPTORS", "bind_private", "bind_private_datagrams", "receive_message", "send_message"]

MAX_DESCRIPTORS = 200
"""Descriptors in one message; the kernel allows 253."""
_MAX_MESSAGE = 128 * 1024
_DATAGRAM_ROOM = 1024 * 1024
"""Bytes of datagrams that may wait; how many may is the kernel's rule (net.unix.max_dgram_qlen)."""
_SEPARATOR = "\0"
"""No name has one. JSON would cost the guardian a megabyte."""


def bind_private(path: str) -> socket.socket:
    """A listening, non-blocking Unix socket that only its owner can connect to.

    It replaces what is at ``path``: only the holder of the home's lock may call this, so what is there was
    left by the dead.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    _bind(listener, path)
    listener.listen(512)
    return listener


def bind_private_datagrams(path: str) -> socket.socket:
    """A non-blocking Unix socket for datagrams that only its owner can send to; as ``bind_private``.

    The kernel adds to each datagram who has sent it.
    """
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    # Before anybody can send: what is sent without it has no sender.
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _DATAGRAM_ROOM)
    _bind(receiver, path)
    return receiver


def _bind(new: socket.socket, path: str) -> None:
    new.setblocking(False)
    if os.path.lexists(path):
        os.unlink(path)
    # It gets the mode of this descriptor. The umask is that of all our threads, some of which make files.
    os.fchmod(new.fileno(), 0o600)
    new.bind(path)


def send_message(connection: socket.socket, words: Sequence[str], descriptors: Sequence[int] = ()) -> None:
    """Send one message, a few words of which the first is its type, over a SOCK_SEQPACKET socket.

    Raises OSError where the other side is gone or its buffer is full and the socket does not block.
    """
    data = _SEPARATOR.join(words).encode()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    connection.sendmsg([data], rights)


def receive_message(connection: socket.socket) -> tuple[list[str], list[int]]:
    """Receive the words of one message and its descriptors, which are closed on exec.

    Raises EOFError when the other side is gone, OSError (BlockingIOError, TimeoutError) as the socket does.
    """
    space = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
    data, ancillary, _, _ = connection.recvmsg(_MAX_MESSAGE, space, socket.MSG_CMSG_CLOEXEC)
    if not data:
        raise EOFError
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return data.decode().split(_SEPARATOR), list(descriptors)
