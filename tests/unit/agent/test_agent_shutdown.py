"""Callbacks at SIGTERM and SIGINT: once, whatever was there before, and never in a child."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from agent_router import Master

from pypm import agent
from pypm.agent import shutdown
from pypm.agent.channel import Channel
from pypm.agent.shutdown import Shutdown


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in shutdown.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def ending(handlers: None, said: list[str]) -> Iterator[Shutdown]:
    ending = Shutdown(lambda: said.append("stopping"))
    yield ending
    ending.withdraw()


def terminate(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", shutdown.SIGNALS)
def test_each_callback_is_called_once(ending: Shutdown, said: list[str], number: int) -> None:
    assert ending.add(lambda: said.append("a"), None)
    assert ending.add(lambda: said.append("b"), None)
    terminate(number)
    terminate(number)  # the same request, as a terminal and a wrapper both pass it on
    assert said == ["stopping", "a", "b"]


def test_a_handler_that_was_there_is_called_too(ending: Shutdown, said: list[str]) -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: said.append(f"handler {number}"))
    ending.add(lambda: said.append("callback"), None)
    terminate()
    assert said == ["stopping", "callback", "handler 15"]


def test_an_ignored_signal_stays_ignored(ending: Shutdown, said: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ending.add(lambda: said.append("callback"), None)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_asked_again_later_the_signal_does_what_it_did(
    ending: Shutdown, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "SAME_REQUEST", 0.0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ending.add(lambda: said.append("callback"), None)
    terminate(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        terminate(signal.SIGINT)
    assert said == ["stopping", "callback"]


def test_a_callback_that_fails_does_not_keep_the_others_from_theirs(
    ending: Shutdown, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    ending.add(lambda: 1 / 0, None)
    ending.add(lambda: said.append("second"), None)
    terminate()
    assert said == ["stopping", "second"]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_one_that_comes_too_late_is_called_at_once(ending: Shutdown, said: list[str]) -> None:
    ending.add(lambda: None, None)
    terminate()
    assert ending.add(lambda: said.append("late"), None)
    assert said == ["stopping", "late"]


def test_withdrawn_it_leaves_no_trace(ending: Shutdown, said: list[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    ending.add(lambda: said.append("callback"), None)
    assert signal.getsignal(signal.SIGTERM) != before
    ending.withdraw()
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_first_one_has_to_come_from_the_main_thread(ending: Shutdown, said: list[str]) -> None:
    async def run() -> bool:
        return await asyncio.to_thread(ending.add, lambda: said.append("thread"), None)

    assert not asyncio.run(run())
    assert ending.add(lambda: said.append("main"), None)
    terminate()
    assert said == ["stopping", "thread", "main"]


def run_in_loop(ending: Shutdown, callback: Any, number: int) -> None:
    """Ends when the callback sets what it is given."""

    async def main() -> None:
        ended = asyncio.Event()
        ending.add(lambda: callback(ended), asyncio.get_running_loop())
        asyncio.get_running_loop().call_soon(terminate, number)
        await asyncio.wait_for(ended.wait(), 20.0)

    asyncio.run(main())


@pytest.mark.parametrize("number", shutdown.SIGNALS)
def test_in_a_loop(ending: Shutdown, said: list[str], number: int) -> None:
    """Ctrl-C too: the handler of asyncio.run would cancel the main task before the callback is called."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # only then asyncio.run installs its own
    run_in_loop(ending, asyncio.Event.set, number)
    assert said == ["stopping"]


def test_a_coroutine_function_in_a_loop(ending: Shutdown) -> None:
    async def callback(ended: asyncio.Event) -> None:
        await asyncio.sleep(0)
        ended.set()

    run_in_loop(ending, callback, signal.SIGTERM)


def test_a_loop_with_a_handler_of_its_own_keeps_it(ending: Shutdown, said: list[str]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        both = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, lambda: (said.append("loop's"), both.set()))
        ending.add(lambda: said.append("callback"), loop)
        terminate()
        await asyncio.wait_for(both.wait(), 20.0)
        await asyncio.sleep(0)
        ending.withdraw()
        loop.remove_signal_handler(signal.SIGTERM)

    asyncio.run(main())
    assert sorted(said) == ["callback", "loop's", "stopping"]


def test_a_program_says_that_it_stops_and_ends_as_its_callback_wants(master: Master) -> None:
    done = master.run(
        "import os, signal, threading\n"
        "from pypm import agent\n"
        "end = threading.Event()\n"
        "assert agent.on_shutdown(end.set)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "assert end.wait(20)\n"
        "print('finished')\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "finished\n", "")
    assert master.receive()["type"] == "stopping"


def test_a_forked_child_dies_of_the_signal_as_ever(master: Master) -> None:
    """A pool ends its workers with SIGTERM: the parent's callback must not keep them alive."""
    done = master.run(
        "import os, signal\n"
        "from pypm import agent\n"
        "agent.on_shutdown(lambda: print('callback', flush=True))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    os._exit(0)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "-15\n", "")


def test_it_needs_nobody_to_listen(handlers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYPM_AGENT_ENDPOINT", raising=False)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr(agent, "_channel", Channel())
    monkeypatch.setattr(agent, "_shutdown", None)
    called: list[int] = []
    assert agent.on_shutdown(lambda: called.append(1))
    terminate()
    assert called == [1]
