"""The socket on a real loop: lines in any pieces, rubbish, floods, and clients that leave or do not read."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import stat
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pypm.core.errors import NotFoundError
from pypm.master import asker
from pypm.master import server as server_module
from pypm.master.server import Server
from pypm.protocol.rpc import Request
from pypm.system.sockets import bind_private
from pypm.testing import wait_until


class Harness:
    """A server with a few methods, on a socket in the home of the test."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.seen: list[str] = []
        self.gates: dict[str, asyncio.Future[Any]] = {}
        self.server: Server

    def dispatch(self, request: Request, peer: asker.Peer) -> Any | Awaitable[Any]:
        assert peer == asker.Peer(os.getpid(), os.geteuid())
        self.seen.append(request.method)
        match request.method:
            case "echo":
                return json.loads(bytes(request.params))
            case "refuse":
                raise NotFoundError("no app 'x'", hint="did you mean y?")
            case "bug":
                raise ZeroDivisionError("oh")
            case "late bug":
                return self.fail_late()
            case "unspeakable":
                return {"name": "\udcff"}
            case "big":
                return "x" * 1_000_000
        future = self.gates[request.method] = asyncio.get_running_loop().create_future()
        return future

    async def fail_late(self) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError("late")

    async def connect(self) -> Peer:
        return Peer(*await asyncio.open_unix_connection(self.path, limit=2**26))

    @property
    def clients(self) -> int:
        return len(self.server._clients)


class Peer:
    """A client that says exactly what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def ask(self, request_id: int, method: str, **params: Any) -> None:
        line = json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
        self.send(line.encode() + b"\n")

    async def answer(self) -> dict[str, Any]:
        line = await self.reader.readline()
        assert line.endswith(b"\n"), "the connection is closed"
        return json.loads(line)  # type: ignore[no-any-return]

    async def echo(self, request_id: int = 1) -> None:
        """The server still answers us."""
        self.ask(request_id, "echo", n=request_id)
        assert await self.answer() == {"jsonrpc": "2.0", "id": request_id, "result": {"n": request_id}}

    async def is_closed(self) -> bool:
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:
            return True
        finally:
            self.leave()

    def leave(self) -> None:
        self.writer.transport.abort()


Test = Callable[[Harness], Coroutine[Any, Any, None]]


@pytest.fixture
def serve(home: Path) -> Callable[[Test], None]:
    def run_test(test: Test) -> None:
        async def run() -> None:
            harness = Harness(str(home / "pypm.sock"))
            harness.server = Server(asyncio.get_running_loop(), harness.dispatch)
            await harness.server.listen(bind_private(harness.path))
            try:
                await test(harness)
                sane = await harness.connect()
                await sane.echo(99)  # whatever happened: the master is unharmed
                sane.leave()
            finally:
                for gate in harness.gates.values():
                    gate.cancel()
                await harness.server.close()
                await until(lambda: harness.clients == 0)

        asyncio.run(asyncio.wait_for(run(), 30.0))

    return run_test


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until something is so."""
    await asyncio.to_thread(wait_until, condition)


def test_requests_are_answered(serve: Callable[[Test], None]) -> None:
    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        for number in range(100):
            await peer.echo(number)
        peer.leave()

    serve(test)


def test_a_request_may_come_in_any_pieces(serve: Callable[[Test], None]) -> None:
    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        line = b'{"jsonrpc":"2.0","id":1,"method":"echo","params":{"n":"w\xc3\xb6rker"}}\n'
        for byte in line * 2:
            peer.send(bytes([byte]))
            await asyncio.sleep(0)
        for _ in range(2):
            assert (await peer.answer())["result"] == {"n": "wörker"}
        peer.send(line * 1000)
        for _ in range(1000):
            assert (await peer.answer())["result"] == {"n": "wörker"}
        peer.leave()

    serve(test)


def test_empty_lines_are_passed_over(serve: Callable[[Test], None]) -> None:
    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        peer.send(b"\n\r\n   \n")
        await peer.echo()
        peer.leave()

    serve(test)


def test_whoever_is_done_first_is_answered_first(serve: Callable[[Test], None]) -> None:
    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        peer.ask(1, "slow one")
        peer.ask(2, "slow two")
        peer.ask(3, "echo")
        assert (await peer.answer())["id"] == 3
        harness.gates["slow two"].set_result("b")
        assert await peer.answer() == {"jsonrpc": "2.0", "id": 2, "result": "b"}
        harness.gates["slow one"].set_result("a")
        assert (await peer.answer())["result"] == "a"
        peer.leave()

    serve(test)


def test_errors_and_bugs_are_told_as_what_they_are(
    serve: Callable[[Test], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        peer.ask(1, "refuse")
        error = (await peer.answer())["error"]
        assert (error["code"], error["data"]["kind"], error["data"]["hint"]) == (
            -32000,
            "not_found",
            "did you mean y?",
        )
        for number, (method, message) in enumerate(
            [
                ("bug", "ZeroDivisionError: oh"),
                ("late bug", "ZeroDivisionError: late"),
                ("unspeakable", "UnicodeEncodeError"),
            ]
        ):
            peer.ask(number, method)
            answer = await peer.answer()
            assert answer["id"] == number
            assert answer["error"]["code"] == -32603
            assert answer["error"]["message"].startswith(message)
        await peer.echo()
        peer.leave()

    serve(test)
    assert caplog.text.count("a bug in the handler of") == 3, "with its traceback"


def test_a_notification_is_done_and_never_answered(
    serve: Callable[[Test], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        for method in (b"echo", b"refuse", b"bug", b"late bug"):
            peer.send(b'{"jsonrpc":"2.0","method":"%b","params":{}}\n' % method)
        await peer.echo()
        assert harness.seen == ["echo", "refuse", "bug", "late bug", "echo"]
        peer.leave()

    serve(test)
    assert caplog.text.count("a bug in the handler of") == 2


@pytest.mark.parametrize("rubbish", [b"hello", b"{}", b"\xff\xfe\x00", b"[" * 100_000, b'"\xc3"'])
def test_rubbish_is_refused_and_the_connection_goes_on(serve: Callable[[Test], None], rubbish: bytes) -> None:
    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        peer.send(rubbish + b"\n")
        answer = await peer.answer()
        assert answer["id"] is None
        assert answer["error"]["code"] in (-32700, -32600)
        await peer.echo()
        peer.leave()

    serve(test)


def test_random_bytes(serve: Callable[[Test], None]) -> None:
    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        peer.send(random.Random(5).randbytes(10_000) + b"\n")
        peer.ask(7, "echo", n=7)
        while (answer := await peer.answer())["id"] != 7:
            assert answer["error"]["code"] in (-32700, -32600)
        peer.leave()

    serve(test)


def test_a_line_without_end_is_cut_off(serve: Callable[[Test], None]) -> None:
    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        block = b"x" * 2**20
        try:
            for _ in range(100):
                peer.send(block)
                await peer.writer.drain()
        except ConnectionError:
            pass  # it did not even listen to the end
        else:
            pytest.fail("100 MB were taken")
        await until(lambda: harness.clients == 0)

    serve(test)


def test_a_line_that_is_too_long_is_told(
    serve: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_LINE", 1000)

    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        peer.send(b"x" * 1001)
        assert (await peer.answer())["error"]["message"] == "a line is longer than 1000 bytes"
        assert await peer.is_closed()
        peer = await harness.connect()
        peer.send(b"x" * 2000 + b"\n")
        assert (await peer.answer())["error"]["message"] == "a line is longer than 1000 bytes"
        assert await peer.is_closed()
        assert harness.seen == []

    serve(test)


def test_half_a_line_and_gone(serve: Callable[[Test], None]) -> None:
    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        peer.send(b'{"jsonrpc":"2.0","id":1,"method":"ec')
        await peer.writer.drain()
        peer.writer.write_eof()
        assert await peer.is_closed()
        await until(lambda: harness.clients == 0)
        assert harness.seen == []

    serve(test)


def test_a_client_that_leaves_before_its_answer(serve: Callable[[Test], None]) -> None:
    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        peer.ask(1, "slow")
        await until(lambda: "slow" in harness.gates)
        peer.leave()
        await until(lambda: harness.clients == 0)
        harness.gates["slow"].set_result("for nobody")
        await asyncio.sleep(0)

    serve(test)


def test_a_client_that_does_not_read_is_cut_off(
    serve: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_UNREAD", 3_000_000)

    async def test(harness: Harness) -> None:
        reader = socket.socket(socket.AF_UNIX)
        reader.setblocking(False)
        await asyncio.get_running_loop().sock_connect(reader, harness.path)
        request = b'{"jsonrpc":"2.0","id":1,"method":"big","params":{}}\n'
        await asyncio.get_running_loop().sock_sendall(reader, request * 20)
        await until(lambda: harness.seen and harness.clients == 0)
        assert len(harness.seen) < 20, "nothing more is done for it"
        reader.close()

    serve(test)


def test_one_client_cannot_have_everything_done_at_once(
    serve: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_IN_FLIGHT", 3)

    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        for number in range(10):
            peer.ask(number, f"slow {number}")
        other = await harness.connect()
        await other.echo()
        await until(lambda: len(harness.gates) == 3)
        reading = sorted(client._transport.is_reading() for client in harness.server._clients)
        assert reading == [False, True], "nothing more is read of who waits for three answers"
        await other.echo(2)
        for number in range(10):
            await until(lambda name=f"slow {number}": name in harness.gates)
            assert len([gate for gate in harness.gates.values() if not gate.done()]) <= 3
            harness.gates[f"slow {number}"].set_result(number)
            assert (await peer.answer())["result"] == number
        await peer.echo()
        peer.leave()
        other.leave()

    serve(test)


def test_there_is_an_end_to_clients(serve: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_CLIENTS", 3)

    async def test(harness: Harness) -> None:
        peers = [await harness.connect() for _ in range(3)]
        for number, peer in enumerate(peers):
            await peer.echo(number)
        refused = await harness.connect()
        assert (await refused.answer())["error"]["message"] == "there are 3 clients already"
        assert await refused.is_closed()
        for peer in peers:
            peer.leave()
        await until(lambda: harness.clients == 0)

    serve(test)


def test_who_is_not_the_owner_is_refused(
    serve: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(harness: Harness) -> None:
        monkeypatch.setattr(
            server_module, "_peer", lambda transport: asker.Peer(os.getpid(), os.geteuid() + 1)
        )
        peer = await harness.connect()
        peer.ask(1, "echo")
        assert (await peer.answer())["error"]["message"] == "this master answers its own user only"
        assert await peer.is_closed()
        assert harness.seen == []
        monkeypatch.undo()

    serve(test)


def test_an_answer_that_is_written_is_sent_before_the_end(home: Path) -> None:
    async def run() -> None:
        harness = Harness(str(home / "pypm.sock"))
        harness.server = Server(asyncio.get_running_loop(), harness.dispatch)
        await harness.server.listen(bind_private(harness.path))
        peer = await harness.connect()
        peer.ask(1, "big")
        await until(lambda: harness.seen)
        await harness.server.close()
        assert len((await peer.answer())["result"]) == 1_000_000
        assert await peer.is_closed()
        with pytest.raises(OSError, match=r"."):
            await harness.connect()

    asyncio.run(asyncio.wait_for(run(), 20.0))


def test_the_socket_is_the_owners_alone_and_replaces_a_stale_one(home: Path) -> None:
    path = str(home / "x.sock")
    umask = os.umask(0)
    try:
        first = bind_private(path)
        second = bind_private(path)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    first.close()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    second.close()


async def another_is_answered(harness: Harness) -> None:
    other = await harness.connect()
    await other.echo()
    other.leave()


def test_who_has_said_all_is_still_answered(serve: Callable[[Test], None]) -> None:
    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        peer.ask(1, "wait")
        peer.ask(2, "slow")
        peer.writer.write_eof()
        await until(lambda: {"wait", "slow"} <= harness.gates.keys())
        await another_is_answered(harness)  # by now the end of what it says has been read
        harness.gates["slow"].set_result("done")
        assert (await peer.answer())["result"] == "done"
        harness.gates["wait"].set_result("there")
        assert (await peer.answer())["result"] == "there"
        assert await peer.is_closed()

    serve(test)


def test_an_order_of_who_has_gone_is_carried_out_and_a_question_is_dropped(
    serve: Callable[[Test], None],
) -> None:
    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        peer.ask(1, "wait")
        peer.ask(2, "restart")
        await until(lambda: {"wait", "restart"} <= harness.gates.keys())
        peer.leave()
        await until(lambda: harness.clients == 0)
        await until(harness.gates["wait"].cancelled)
        assert not harness.gates["restart"].done()

    serve(test)


def test_who_said_all_and_leaves_later_is_noticed(
    serve: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "LOOK", 0.01)

    async def test(harness: Harness) -> None:
        peer = await harness.connect()
        peer.ask(1, "wait")
        peer.writer.write_eof()
        await until(lambda: "wait" in harness.gates)
        await another_is_answered(harness)
        peer.leave()
        await until(harness.gates["wait"].cancelled)

    serve(test)
