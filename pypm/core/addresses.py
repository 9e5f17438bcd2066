"""Addresses of sockets that pypm opens for an app: ``tcp://HOST:PORT`` and ``unix:///PATH``.

``tcp://HOST:PORT?reuseport`` is one at which each run listens by itself, with ``SO_REUSEPORT``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = [
    "MOST_SOCKETS",
    "Address",
    "common_address",
    "fault_of_sockets",
    "inherited_sockets",
    "parse_address",
]

LOCALHOST = "localhost"
_LOOPBACK = "127.0.0.1"
_ALL = "0.0.0.0"  # noqa: S104 - read here, and not listened at
FIRST = 3
"""The number of the first one in a run (sd_listen_fds(3))."""
LAST = 9
MOST_SOCKETS = LAST - FIRST + 1
REUSE_PORT = "?reuseport"
LONGEST_PATH = 107
"""Bytes of the path of a Unix socket."""


class Address(NamedTuple):
    """Where a socket listens: a host (an IP address, or ``localhost``) and a port, or a path."""

    host: str = ""
    port: int = 0
    path: str = ""
    reuse_port: bool = False
    """Runs listen there by themselves; pypm keeps the place for them (socket(7), SO_REUSEPORT)."""


def inherited_sockets(sockets: Sequence[str]) -> dict[int, str]:
    """Those of an app's addresses that its runs inherit, by the number of the descriptor."""
    inherited = [each for each in sockets if not parse_address(each).reuse_port]
    return dict(enumerate(inherited, FIRST))


def parse_address(text: str) -> Address:
    """The address that is meant. Raises ValueError, with words for people."""
    kind, separator, rest = text.partition("://")
    if not separator or kind not in ("tcp", "unix"):
        raise ValueError(f'{text!r} is no address: expected "tcp://HOST:PORT" or "unix:///PATH"')
    if kind == "unix":
        return Address(path=_path(text, rest))
    reuse_port = rest.endswith(REUSE_PORT)
    host, colon, port = rest.removesuffix(REUSE_PORT).rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, as in tcp://[::1]:8080")
    if not colon or not host:
        missing = "host" if colon or not rest or rest.isdigit() else "port"
        raise ValueError(f"{text!r} has no {missing}: expected tcp://HOST:PORT")
    if not _is_number(host):
        raise ValueError(f'{text!r}: the host is an IP address, or "localhost"; names are not looked up')
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(f"{text!r}: a port is a number from 1 to 65535")
    return Address(host, int(port), reuse_port=reuse_port)


def _is_number(host: str) -> bool:
    """Whether a host is known without asking anybody, who might take seconds to answer."""
    from ipaddress import ip_address  # few apps need this

    try:
        ip_address(host)
    except ValueError:
        return host == LOCALHOST
    return True


def _path(text: str, path: str) -> str:
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise ValueError(f"{text!r}: the path has to be absolute, as in unix:///run/agent.sock")
    if len(path.encode()) > LONGEST_PATH:
        raise ValueError(f"{text!r}: the path of a socket has at most {LONGEST_PATH} bytes")
    return path


def common_address(sockets: Iterable[str], others: Iterable[str]) -> str:
    """The first of ``sockets`` at which nobody can listen while one of ``others`` is open; empty: none.

    All of them are addresses.
    """
    opened = [parse_address(each) for each in others]
    return next((each for each in sockets if any(_meet(parse_address(each), other) for other in opened)), "")


def _meet(one: Address, other: Address) -> bool:
    """Whether two addresses are the same, or one is that of a host and the other of all hosts."""
    if one.path or other.path:
        return one.path == other.path
    if one.port != other.port:
        return False
    hosts = {_LOOPBACK if each.host == LOCALHOST else each.host for each in (one, other)}
    return len(hosts) == 1 or (_ALL in hosts and all(":" not in host for host in hosts))


def fault_of_sockets(sockets: tuple[str, ...], ready_fd: int | None) -> str:
    """What is wrong with the sockets of an app; empty if nothing is."""
    try:
        addresses = [parse_address(each) for each in sockets]
    except ValueError as error:
        return str(error)
    if len(addresses) > MOST_SOCKETS:
        return f"{len(addresses)} sockets; at most {MOST_SOCKETS} are possible"
    if len({each._replace(reuse_port=False) for each in addresses}) < len(addresses):
        return "it has the same socket twice"
    if ready_fd is not None and ready_fd in (inherited := inherited_sockets(sockets)):
        last = max(inherited)
        return f"ready_fd is {ready_fd}, and its sockets are the descriptors {FIRST} to {last}"
    return ""
