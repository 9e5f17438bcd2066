"""The Python interface, blocking and for asyncio, with a real master; and ``pypm wait``."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import pytest
from real_pypm import RealPypm, python, shell, sleeper

import pypm as package
from pypm.core.errors import ConfigError, NoMasterError, NotFoundError, RequestError, UsageError
from pypm.testing import wait_until

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(asyncio.wait_for(work, 60.0))


def no_thread_is_left() -> bool:
    return not any(each.name == "pypm-client" for each in threading.enumerate())


def late_ready(pypm: RealPypm) -> dict[str, Any]:
    """An agent that is ready when there is a file ``up``."""
    program = (
        "import os, time\nfrom pypm import agent\nprint('begun', flush=True)\n"
        f"while not os.path.exists({str(pypm.folder / 'up')!r}):\n    time.sleep(0.05)\n"
        "agent.ready()\nprint('ready', flush=True)\ntime.sleep(1000)\n"
    )
    return python("a", program) | {"wait_ready": True, "listen_timeout": 100_000}


def test_orders_and_answers(pypm: RealPypm) -> None:
    file = pypm.ecosystem(sleeper("a"), sleeper("b", instances=2))
    with package.Client(launch=True) as client:
        assert client.list() == []
        change = client.apply(file)
        assert [each["name"] for each in change["instances"]] == ["a", "b:0", "b:1"]
        rows = client.wait("all", until="ready", timeout=60)
        assert [row["status"] for row in rows] == ["online"] * 3
        assert {each["action"] for each in client.apply(file)["instances"]} == {"unchanged"}
        pids = {row["pid"] for row in rows}
        client.restart("b")
        client.wait("b", timeout=60)
        assert len({row["pid"] for row in client.list()} & pids) == 1
        client.scale("b", 1)
        client.stop("b")
        assert [(row["name"], row["status"]) for row in client.list()] == [("a", "online"), ("b", "stopped")]
        assert client.describe("a")[0]["spec"]["name"] == "a"
        assert client.ping()["home"] == str(pypm.home)
        client.start("b")
        before = client.wait("b", timeout=60)[0]["restarts"]
        client.signal("KILL", "b")
        wait_until(lambda: client.list("b")[0]["restarts"] == before + 1, 20.0)
        client.delete("b")
        with pytest.raises(NotFoundError):
            client.list("b")


def test_a_program_is_declared_by_its_command_and_keys(pypm: RealPypm) -> None:
    with package.Client(launch=True) as client:
        client.run(["sleep", "1033"], name="s", max_memory_restart="1G")
        [detail] = client.describe("s")
        assert detail["spec"]["command"][1:] == ["1033"]
        assert detail["status"] in ("starting", "online")
        with pytest.raises(ConfigError, match="is not a size"):
            client.run(["sleep", "1033"], name="s", max_memory_restart="much")


def test_what_is_wrong_is_an_error(pypm: RealPypm) -> None:
    with pytest.raises(NoMasterError):
        package.Client()
    with package.Client(launch=True) as client:
        with pytest.raises(UsageError):
            client.stop()
        with pytest.raises(ValueError, match="until"):
            client.wait("all", until="tomorrow")  # type: ignore[arg-type]
        with pytest.raises(ConfigError):
            client.apply(str(pypm.folder / "none.toml"))


def test_waiting_over_the_death_of_a_master(pypm: RealPypm) -> None:
    pypm.begin(late_ready(pypm))
    with package.Client() as client:
        with pytest.raises(TimeoutError, match=r"not ready after 0\.3 s: a"):
            client.wait("a", until="ready", timeout=0.3)
        found: list[Any] = []

        def wait() -> None:
            with package.Client() as other:
                found.extend(other.wait("a", until="ready"))

        waiter = threading.Thread(target=wait)
        waiter.start()
        pypm.kill_master()
        pypm.write("up", "")
        waiter.join(60)
        assert [row["ready"] for row in found] == [True]
        pypm.ok("stop", "a")
        with pytest.raises(RequestError, match="a is stopped"):
            client.wait("a")


@pytest.mark.parametrize("until", ["online", "ready", "healthy"])
def test_what_rests_for_a_while_is_waited_for_and_no_longer_than_asked(pypm: RealPypm, until: Any) -> None:
    pypm.begin(shell("a", "exit 1", restart_delay="1h"))
    pypm.wait_status("a", "backoff")
    seen = []
    with package.Client() as client, pytest.raises(TimeoutError, match=rf"not {until} after 0\.5 s: a"):
        client.wait("a", until=until, timeout=0.5, on_change=seen.append)
    assert len(seen) < 5, "the master is asked when something has changed, and not again and again"


def test_the_files_of_a_home(pypm: RealPypm) -> None:
    pypm.start(shell("a", "echo one; echo two; exec sleep 1034"))
    wait_until(lambda: pypm.log("a") == b"one\ntwo\n")
    before = time.time()
    with package.Client() as client:
        lines = list(client.logs("a"))
        assert [(line.name, line.stream, line.text) for line in lines] == [
            ("a", "out", "one"),
            ("a", "out", "two"),
        ]
        assert lines[0].run == client.describe("a")[0]["run_id"]
        assert lines[0].time == pytest.approx(before, abs=60)
        assert [line.text for line in client.logs("a", lines=1)] == ["two"]
        names = [event["event"] for event in client.events("a")]
        assert "instance.online" in names
        following = client.events("a", follow=True)
        assert [next(following)["event"] for _ in names] == names
        os.kill(pypm.pid("a"), signal.SIGKILL)
        assert next(event for event in following if event["event"] == "run.ended")["name"] == "a"
        following.close()  # type: ignore[attr-defined]


def test_asyncio(pypm: RealPypm) -> None:
    pypm.begin(late_ready(pypm), sleeper("b"))

    async def work() -> None:
        async with package.AsyncClient() as client:
            waiting = asyncio.ensure_future(client.wait("a", until="ready"))
            rows = await client.wait("b", timeout=60)
            assert [row["name"] for row in rows] == ["b"]
            assert not waiting.done()
            pypm.write("up", "")
            assert (await waiting)[0]["ready"]
            many = await asyncio.gather(*(client.list() for _ in range(20)))
            assert len(many) == 20
            with pytest.raises(NotFoundError):
                await client.list("nobody")

    run(work())


def test_a_call_that_is_cancelled_ends(pypm: RealPypm) -> None:
    pypm.begin(late_ready(pypm))

    async def work() -> None:
        async with package.AsyncClient() as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.wait("a", until="ready"), 0.3)
            assert (await client.list())[0]["ready"] is False
            await asyncio.to_thread(wait_until, no_thread_is_left, 20.0)

    run(work())


def test_many_calls_leave_few_connections(pypm: RealPypm) -> None:
    pypm.begin(sleeper("a"))

    async def work() -> None:
        async with package.AsyncClient() as client:
            before = len(os.listdir("/proc/self/fd"))
            await asyncio.gather(*(client.list() for _ in range(40)))
            await asyncio.to_thread(wait_until, no_thread_is_left, 20.0)
            assert len(os.listdir("/proc/self/fd")) <= before + 8

    run(work())


def test_following_for_asyncio(pypm: RealPypm) -> None:
    pypm.begin(late_ready(pypm))

    async def texts(lines: AsyncIterator[Any], count: int) -> list[str]:
        return [(await anext(lines)).text for _ in range(count)]

    async def work() -> None:
        async with package.AsyncClient() as client:
            lines = client.logs("a", follow=True)
            assert await texts(lines, 1) == ["begun"]
            pypm.write("up", "")
            assert await texts(lines, 1) == ["ready"]
            await lines.aclose()  # type: ignore[attr-defined]
            with pytest.raises(NotFoundError):
                await anext(client.logs("nobody"))
            assert [line.text async for line in client.logs("a")] == ["begun", "ready"]
            await asyncio.to_thread(wait_until, no_thread_is_left, 20.0)

    run(work())


def test_the_command(pypm: RealPypm) -> None:
    pypm.begin(late_ready(pypm))
    assert "not ready after 0.2 s: a" in pypm.fails(1, "wait", "a", "--for", "ready", "--timeout", "0.2")
    waiting = pypm.popen("wait", "a", "--for", "ready")
    pypm.write("up", "")
    out, error = waiting.communicate(timeout=60)
    assert (waiting.returncode, out, error) == (0, b"ready: a\n", b"")
    assert [row["name"] for row in pypm.json("wait", "all")] == ["a"]
    waiting = pypm.popen("wait", "a", "--for", "exited")
    pypm.ok("stop", "a")
    assert waiting.communicate(timeout=60)[0] == b"exited: a\n"
    assert "a is stopped" in pypm.fails(1, "wait", "a")
    pypm.fails(3, "wait", "nobody")
    pypm.fails(2, "wait")
    pypm.fails(2, "wait", "a", "--for", "tomorrow")
