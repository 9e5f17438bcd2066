"""Questions over the network: whether a port can be reached, and what an HTTP server says. Never blocks."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from pypm import __version__
from pypm.system.beside import Beside
from pypm.system.probe_answer import Answer, failure, success, unknown

if TYPE_CHECKING:
    import ssl

__all__ = ["Question", "ask_http", "ask_tcp"]

LONGEST_LINE = 8192
MOST_READ = 10 * 1024
"""Bytes of an answer that are read."""
LINGER = 0.2
"""Seconds for which the rest of an answer is waited for: a server that is cut off complains in its log."""
MOST_INTERIM = 5
"""Answers such as ``100 Continue`` before the real one."""
STATUS = re.compile(rb"HTTP/[0-9.]{1,5} ([0-9]{3})(?: ([^\r\n]*))?\r?\n")
PORTS = {"http": 80, "https": 443}
READABLE = "/:?&=%@!$'()*+,;~-._[]"
"""What of a path and query stays as it is written."""

Place = tuple[int, tuple[Any, ...]]


class Question(NamedTuple):
    """A request over HTTP."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = {}
    statuses: tuple[int, ...] = ()
    """What counts as a yes; empty: 200 to 399."""


async def ask_tcp(address: str, beside: Beside, timeout: float) -> Answer:
    """Whether ``host:port`` or ``unix:/path`` takes a connection. Raises OSError where it does not."""
    if address.startswith("unix:"):
        _connect_unix(address.removeprefix("unix:"))
        return success("connected")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        return unknown(f"{address!r} is neither host:port nor unix:/path")
    with await _connect(host.strip("[]"), int(port), beside, timeout):
        return success("connected")


async def ask_http(question: Question, beside: Beside, timeout: float) -> Answer:
    """What a server answers. Redirects are not followed, certificates not verified.

    Raises OSError where there is no answer, and ``ssl.SSLError``, which is one.
    """
    try:
        url = urlsplit(question.url)
        port = url.port or PORTS[url.scheme]
        if not url.hostname or "@" in url.netloc:
            raise ValueError("it has no host, or a user")
        request = _request(question)
    except (ValueError, KeyError) as error:
        return unknown(f"{question.url!r} cannot be asked: {error}")
    host = url.hostname
    sock = await _connect(host, port, beside, timeout)
    context = _unverified() if url.scheme == "https" else None
    try:
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=context, server_hostname=host if context else None, limit=LONGEST_LINE
        )
    except BaseException:
        sock.close()
        raise
    try:
        writer.write(request)
        return await _answer(reader, question)
    finally:
        writer.transport.abort()


def _request(question: Question) -> bytes:
    """The bytes of the request. Raises ValueError for what would be more than one."""
    url = urlsplit(question.url)
    target = quote(url.path or "/", READABLE) + (f"?{quote(url.query, READABLE)}" if url.query else "")
    headers = {
        "host": ("Host", url.netloc),
        "user-agent": ("User-Agent", f"pypm-probe/{__version__}"),
        "accept": ("Accept", "*/*"),
        "connection": ("Connection", "close"),
    }
    headers |= {name.lower(): (name, value) for name, value in question.headers.items()}
    lines = [
        f"{question.method} {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.values()),
    ]
    if any(sign in line for line in lines for sign in "\r\n\0"):
        raise ValueError("there is a line break in it")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _answer(reader: asyncio.StreamReader, question: Question) -> Answer:
    for _ in range(MOST_INTERIM):
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            return failure(f"no HTTP answer: {_shown(error.partial) or 'the connection was closed'}")
        except asyncio.LimitOverrunError:
            return failure("no HTTP answer: a first line without an end")
        match = STATUS.fullmatch(line)
        if match is None:
            return failure(f"no HTTP answer: {_shown(line)}")
        if not match[1].startswith(b"1"):
            break
        await _skip_headers(reader)
    else:
        return failure("nothing but interim answers")
    status, words = int(match[1]), _shown(match[2] or b"")
    body = await _body(reader)
    is_good = status in question.statuses if question.statuses else 200 <= status < 400
    if is_good:
        return success(f"HTTP {status} {words}".strip())
    return failure(f"HTTP {status} {words}".strip() + (f": {_shown(body)}" if body else ""))


async def _skip_headers(reader: asyncio.StreamReader) -> None:
    for _ in range(100):
        if not (await reader.readuntil(b"\n")).strip():
            return


async def _body(reader: asyncio.StreamReader) -> bytes:
    """The beginning of the body, as far as it comes at once."""
    data = b"\r\n"  # the end of the status line: there may be no headers
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(LINGER):
            while len(data) < MOST_READ and (part := await reader.read(4096)):
                data += part
    return data.partition(b"\r\n\r\n")[2]


def _shown(data: bytes) -> str:
    return data[:400].decode("utf-8", "replace")


@functools.cache
def _unverified() -> ssl.SSLContext:
    """As in Kubernetes: it is asked whether the server works, not who it is."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


# --- connections ---


async def _connect(host: str, port: int, beside: Beside, timeout: float) -> socket.socket:
    """A connection to the first address of the host that takes one. Raises OSError where none does."""
    loop = asyncio.get_running_loop()
    trouble: OSError = OSError(f"{host} has no address")
    for family, address in await _places(host, port, beside, timeout):
        connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            trouble = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise trouble


async def _places(host: str, port: int, beside: Beside, timeout: float) -> list[Place]:
    """Addresses of a host; only names other than localhost are looked up, beside the loop."""
    if host.lower() == "localhost":
        return [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port))]
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return [(family, (host, port))]

    def look_up() -> list[Place]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in found]

    return await beside.call(look_up, timeout)


def _connect_unix(path: str) -> None:
    """Raises OSError where nobody listens; there is nothing to wait for, but a full queue to be told of."""
    with socket.socket(
        socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    ) as connection:
        connection.connect(path)
