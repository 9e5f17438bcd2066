"""Actions against a real ROUTER: told, carried out once, answered; and told anew to a new master."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from agent_router import DEADLINE, TOKEN, Master

from pypm import agent
from pypm.agent.actions import MOST_RESULT
from pypm.agent.channel import Channel


@pytest.fixture
def asker(master: Master, channel: Channel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asker]:
    monkeypatch.setattr(agent, "_actions", None)
    yield Asker(master)
    if agent._actions is not None:
        agent._actions.close()


class Asker:
    """Asks for actions as a master does."""

    def __init__(self, master: Master) -> None:
        self.master = master
        self.connection = b""

    def receive(self, kind: str) -> dict[str, Any]:
        router = self.master.router
        assert router is not None
        deadline = time.monotonic() + DEADLINE
        while router.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            connection, frame = router.recv_multipart()
            message = json.loads(frame)
            if message["type"] == kind:
                self.connection = connection
                assert (message["v"], message["token"]) == (1, TOKEN)
                assert isinstance(message, dict)
                return message
        raise AssertionError(f"no {kind} came")

    def names(self, *names: str) -> None:
        """Wait until these are told."""
        while self.receive("actions")["names"] != sorted(names):
            pass

    def send(self, **fields: Any) -> None:
        assert self.master.router is not None
        request = {"v": 1, "type": "action", "id": "x1", **fields}
        self.master.router.send_multipart([self.connection, json.dumps(request).encode()])

    def ask(self, **fields: Any) -> dict[str, Any]:
        self.send(**fields)
        return self.receive("action_result")


def test_a_function_is_called_and_its_result_is_told(asker: Asker) -> None:
    @agent.action("echo")
    def echo(param: str = "nothing") -> dict[str, str]:
        return {"größe": param}

    assert echo("directly") == {"größe": "directly"}
    asker.names("echo")
    answer = asker.ask(name="echo", id="a")
    assert (answer["id"], answer["ok"], answer["result"]) == ("a", True, {"größe": "nothing"})
    assert asker.ask(name="echo", param="日本")["result"] == {"größe": "日本"}
    assert asker.ask(name="echo", param="")["result"] == {"größe": ""}


def test_memory_pressure_is_an_action_of_its_own(asker: Asker) -> None:
    called = threading.Event()
    agent.on_memory_pressure(called.set)
    asker.names("memory-pressure")
    assert asker.ask(name="memory-pressure")["ok"]
    assert called.is_set()


def test_what_goes_wrong_is_told_and_the_next_one_is_answered(asker: Asker) -> None:
    def leave() -> None:
        raise SystemExit(3)

    agent.action("boom")(lambda: 1 / 0)
    agent.action("leave")(leave)
    agent.action("set")(lambda: {1, 2})
    agent.action("surrogate")(lambda: "\ud800")
    agent.action("nan")(lambda: float("nan"))
    agent.action("much")(lambda: "x" * MOST_RESULT)
    agent.action("fits")(lambda: "x" * (MOST_RESULT - 2))
    asker.names("boom", "fits", "leave", "much", "nan", "set", "surrogate")
    told = {
        name: asker.ask(name=name)["error"]
        for name in ("boom", "leave", "set", "surrogate", "nan", "much", "?")
    }
    assert told["boom"] == "ZeroDivisionError: division by zero"
    assert told["leave"] == "SystemExit: 3"
    assert "not JSON serializable" in told["set"]
    assert told["surrogate"].startswith("UnicodeEncodeError")
    assert told["nan"].startswith("ValueError")
    assert f"{MOST_RESULT + 2} bytes" in told["much"]
    assert told["?"] == "LookupError: there is no action '?'"
    assert "argument" in asker.ask(name="boom", param="one too many")["error"]
    assert len(asker.ask(name="fits")["result"]) == MOST_RESULT - 2


def test_names_are_told_to_each_new_master(asker: Asker) -> None:
    agent.action("one")(lambda: 1)
    asker.names("one")
    agent.action("two")(lambda: 2)
    asker.names("one", "two")
    asker.master.stop()
    asker.master.start()
    asker.names("one", "two")
    assert asker.ask(name="two")["result"] == 2


def test_what_nobody_waits_for_any_more_is_not_done(asker: Asker) -> None:
    called: list[str] = []
    agent.action("note")(called.append)
    asker.names("note")
    asker.send(name="note", param="late", expires=time.time() - 1)
    asker.send(v=2, name="note", param="of a later version")
    assert asker.ask(name="note", param="in time", expires=time.time() + 60)["ok"]
    assert called == ["in time"]


def test_a_coroutine_is_awaited_in_the_loop_of_the_program(asker: Asker) -> None:
    threads: list[threading.Thread] = []

    @agent.action("where")
    async def where() -> str:
        await asyncio.sleep(0)
        threads.append(threading.current_thread())
        return "here"

    @agent.action("hang")
    async def hang() -> None:
        await asyncio.Event().wait()

    asker.names("hang", "where")
    assert "not known" in asker.ask(name="where")["error"]

    async def program() -> None:
        agent.ready()
        assert (await asyncio.to_thread(asker.ask, name="where"))["result"] == "here"
        late = await asyncio.to_thread(asker.ask, name="hang", expires=time.time() + 2.0)
        assert late["error"].startswith("TimeoutError: cancelled")

    asyncio.run(program())
    assert threads == [threading.main_thread()]
    assert "closed" in asker.ask(name="where")["error"]


def test_a_program_ends_without_waiting_for_its_actions(master: Master) -> None:
    """Idle or busy, in a forked child too, and without a word on stderr."""
    done = master.run(
        "import os, time, threading\n"
        "from pypm import agent\n"
        "agent.action('a')(lambda: 1)\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    agent.action('b')(lambda: 2)\n"
        "    raise SystemExit(agent._actions._functions.keys() != {'b'})\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "print('done')\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_without_a_master_there_is_nothing_but_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYPM_AGENT_ENDPOINT", raising=False)
    monkeypatch.setattr(agent, "_actions", None)
    monkeypatch.setattr(agent, "_channel", Channel())
    assert agent.action("a")(len) is len
    assert agent._actions is None
