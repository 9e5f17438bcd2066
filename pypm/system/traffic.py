"""How much has gone over the TCP connections of processes, which /proc/PID/io does not count.

The kernel tells it for all connections of this network namespace at once (sock_diag(7)). Where it does not (a
sandbox without that), nothing is known, and nobody is harmed.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping

__all__ = ["read_traffic", "sockets_of"]

_NETLINK_SOCK_DIAG = 4
_BY_FAMILY = 20
_REQUEST_AND_DUMP = 0x301
_DONE, _ERROR = 3, 2
_INFO = 2
"""The attribute with the figures of a connection (``INET_DIAG_INFO``)."""
_STATES = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8
"""Connections on which something may have come or gone: established, or closed at one side."""
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBBI48x")
_ATTRIBUTE = struct.Struct("=HH")
_INODE_AT = 68
_MESSAGE_SIZE = 72
_BYTES_AT = 120
"""Where ``tcpi_bytes_acked`` and ``tcpi_bytes_received`` begin in ``struct tcp_info`` (since Linux 4.1)."""
_BYTES = struct.Struct("=QQ")
_AT_ONCE = 256 * 1024


def read_traffic() -> dict[int, int]:
    """Bytes sent and received so far, by the inode of the socket; empty where the kernel does not tell."""
    traffic: dict[int, int] = {}
    try:
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG
        ) as link:
            for family in (socket.AF_INET, socket.AF_INET6):
                traffic.update(_dump(link, family))
    except OSError:
        return traffic
    return traffic


def sockets_of(pids: Iterable[int], traffic: Mapping[int, int]) -> dict[int, int]:
    """Of this traffic that of the sockets that these processes have open."""
    found: dict[int, int] = {}
    for pid in pids if traffic else ():
        for inode in _inodes(pid):
            if inode in traffic:
                found[inode] = traffic[inode]
    return found


def _inodes(pid: int) -> Iterator[int]:
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            target = os.readlink(f"{folder}/{name}")
            if target.startswith("socket:["):
                yield int(target[8:-1])
    except OSError:  # it is gone, has closed one meanwhile, or is another user's
        return


def _dump(link: socket.socket, family: int) -> Iterator[tuple[int, int]]:
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, _STATES)
    header = _HEADER.pack(_HEADER.size + len(request), _BY_FAMILY, _REQUEST_AND_DUMP, 0, 0)
    link.sendto(header + request, (0, 0))
    while True:
        data = link.recv(_AT_ONCE)
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, _, _, _ = _HEADER.unpack_from(data, at)
            if kind in (_DONE, _ERROR) or length < _HEADER.size:
                return
            yield _connection(data[at + _HEADER.size : at + length])
            at += (length + 3) & ~3


def _connection(message: bytes) -> tuple[int, int]:
    """Inode and bytes of one connection."""
    (inode,) = struct.unpack_from("=I", message, _INODE_AT)
    at = _MESSAGE_SIZE
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if kind == _INFO and length >= _ATTRIBUTE.size + _BYTES_AT + _BYTES.size:
            return inode, sum(_BYTES.unpack_from(message, at + _ATTRIBUTE.size + _BYTES_AT))
        if length < _ATTRIBUTE.size:
            break
        at += (length + 3) & ~3
    return inode, 0
