"""Probes over the network against real servers, also those that behave badly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from pypm.system.beside import Beside, BusyError
from pypm.system.probe_answer import Answer
from pypm.system.probe_network import Question, ask_http, ask_tcp

CERTIFICATE = Path(__file__).parent / "self_signed.pem"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(serve: Serve, host: str = "127.0.0.1", tls: bool = False) -> AsyncIterator[int]:
    """A server on a port of its own; what it has begun is cancelled at the end."""
    tasks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def whole() -> None:
            try:
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                    await serve(reader, writer)
            finally:
                writer.transport.abort()

        tasks.add(asyncio.get_running_loop().create_task(whole()))

    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
    server = await asyncio.start_server(begin, host, 0, ssl=context)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def saying(data: bytes, seen: list[bytes] | None = None) -> Serve:
    """A server that reads a request, answers and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(request)
        writer.write(data)
        await writer.drain()
        writer.close()

    return serve


def ask(serve: Serve, question: str = "http://127.0.0.1:{}/", **more: object) -> Answer:
    tls, host = question.startswith("https"), "::1" if "[" in question else "127.0.0.1"

    async def whole() -> Answer:
        async with serving(serve, host, tls) as port, asyncio.timeout(30):
            return await ask_http(Question(question.format(port), **more), Beside(), 10.0)  # type: ignore[arg-type]

    return asyncio.run(whole())


@pytest.mark.parametrize(
    ("answer", "result", "output"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nfine", "success", "HTTP 200 OK"),
        (b"HTTP/1.0 204\r\n\r\n", "success", "HTTP 204"),
        (b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n", "success", "HTTP 302 Found"),
        (
            b"HTTP/1.1 404 Not Found\r\n\r\nno\x1b[31m such\n\nthing",
            "failure",
            "HTTP 404 Not Found: no?[31m such thing",
        ),
        (b"HTTP/1.1 500 \r\n\r\n", "failure", "HTTP 500"),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 503 Busy\r\n\r\n", "failure", "HTTP 503 Busy"),
        (b"HTTP/1.1 100 Go on\r\n\r\n" * 9, "failure", "nothing but interim answers"),
        (b"", "failure", "no HTTP answer: the connection was closed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "failure", "no HTTP answer: SSH-2.0-OpenSSH_9.2"),
        (b"x" * 100_000, "failure", "no HTTP answer: a first line without an end"),
    ],
)
def test_answers(answer: bytes, result: str, output: str) -> None:
    assert ask(saying(answer)) == (result, output)


def test_the_request() -> None:
    seen: list[bytes] = []
    headers = {"Host": "me", "X-A": "b"}
    url = "http://127.0.0.1:{}/a b?c=d e#f"
    assert (
        ask(saying(b"HTTP/1.1 200 OK\r\n\r\n", seen), url, method="HEAD", headers=headers).result == "success"
    )
    lines = seen[0].decode().splitlines()
    assert lines[0] == "HEAD /a%20b?c=d%20e HTTP/1.1"
    assert "Host: me" in lines
    assert "X-A: b" in lines
    assert "Connection: close" in lines
    assert sum(line.lower().startswith("host:") for line in lines) == 1


def test_what_counts_as_a_yes_can_be_said() -> None:
    assert ask(saying(b"HTTP/1.1 418 Tea\r\n\r\n"), statuses=(200, 418)).result == "success"
    assert ask(saying(b"HTTP/1.1 204 None\r\n\r\n"), statuses=(200, 418)).result == "failure"


def endless(part: bytes) -> Serve:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(part)
            await writer.drain()

    return serve


@pytest.mark.parametrize("part", [b"A: b\r\n" * 1000, b"\r\n\r\n" + b"x" * 65536])
def test_headers_or_a_body_without_an_end_are_not_read_to_it(part: bytes) -> None:
    assert ask(endless(part)).result == "success"


def test_a_server_that_keeps_the_connection_is_not_waited_for() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.read()
        await asyncio.Event().wait()

    assert ask(serve).result == "success"


def test_a_server_that_says_nothing_is_given_up_and_let_go() -> None:
    closed = []

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        closed.append(True)

    async def whole() -> None:
        async with serving(serve) as port:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2.0):
                    await ask_http(Question(f"http://127.0.0.1:{port}/"), Beside(), 1.0)
            async with asyncio.timeout(20):
                while not closed:
                    await asyncio.sleep(0)

    asyncio.run(whole())


def test_tls_is_not_verified_and_ipv6_is_spoken() -> None:
    assert ask(saying(b"HTTP/1.1 200 OK\r\n\r\n"), "https://127.0.0.1:{}/").result == "success"
    if Path("/proc/net/if_inet6").exists():
        assert ask(saying(b"HTTP/1.1 200 OK\r\n\r\n"), "http://[::1]:{}/").result == "success"


def test_localhost_is_not_looked_up() -> None:
    """There is no thread for it."""

    async def whole() -> Answer:
        async with serving(saying(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
            return await ask_http(Question(f"http://localhost:{port}/"), Beside(most=0), 20.0)

    assert asyncio.run(whole()).result == "success"


def test_a_name_that_cannot_be_looked_up() -> None:
    async def whole() -> None:
        with pytest.raises(OSError, match=r"\S"):
            await ask_tcp("no.such.name.invalid:80", Beside(), 10.0)
        with pytest.raises(BusyError):
            await ask_tcp("no.such.name.invalid:80", Beside(most=0), 0.01)

    asyncio.run(whole())


@pytest.mark.parametrize("url", ["http://me@127.0.0.1/", "http:///x", "http://127.0.0.1:99999/", "ftp://a/"])
def test_what_cannot_be_asked_says_nothing_about_the_agent(url: str) -> None:
    assert asyncio.run(ask_http(Question(url), Beside(), 1.0)).result == "unknown"


def test_no_header_can_be_smuggled_in_by_a_variable() -> None:
    question = Question("http://127.0.0.1:1/", headers={"A": "b\r\nHost: other"})
    assert asyncio.run(ask_http(question, Beside(), 1.0)).result == "unknown"


def test_ports_and_sockets(tmp_path: Path) -> None:
    path = f"/tmp/pp-{os.getpid()}.sock"

    async def whole() -> None:
        beside = Beside()
        async with serving(saying(b"")) as port:
            assert (await ask_tcp(f"127.0.0.1:{port}", beside, 1.0)).result == "success"
        with pytest.raises(ConnectionRefusedError):
            await ask_tcp(f"127.0.0.1:{port}", beside, 1.0)
        server = await asyncio.start_unix_server(lambda _reader, writer: writer.transport.abort(), path)
        try:
            assert (await ask_tcp(f"unix:{path}", beside, 1.0)).result == "success"
        finally:
            server.close()
        with pytest.raises(OSError, match="No such file"):
            await ask_tcp(f"unix:{tmp_path}/none", beside, 1.0)
        assert (await ask_tcp("127.0.0.1:http", beside, 1.0)).result == "unknown"

    try:
        asyncio.run(whole())
    finally:
        Path(path).unlink(missing_ok=True)


def test_a_thread_that_hangs_holds_nobody() -> None:
    """The call is given up; its thread's place is free again when it comes back."""
    reader, writer = os.pipe()

    async def whole() -> None:
        beside = Beside(most=1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await beside.call(lambda: os.read(reader, 1), 1.0)
        with pytest.raises(BusyError):
            await beside.call(lambda: 1, 0.05)
        os.write(writer, b"x")
        assert await beside.call(lambda: 2, 10.0) == 2
        with pytest.raises(ZeroDivisionError):
            await beside.call(lambda: 1 // 0, 10.0)

    try:
        asyncio.run(whole())
    finally:
        os.close(reader)
        os.close(writer)


def test_a_thread_that_cannot_be_started_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def whole() -> None:
        beside = Beside(most=1)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            with pytest.raises(BusyError, match="can't start"):
                await beside.call(lambda: 1, 1.0)
        assert await beside.call(lambda: 2, 10.0) == 2

    asyncio.run(whole())
