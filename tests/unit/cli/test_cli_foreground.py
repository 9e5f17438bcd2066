"""``pypm start --foreground``: output, the end, and the exit status, with a scripted master."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_master import ScriptedMaster, make_change, make_exit, make_ping, make_row, make_settled

from pypm.cli.foreground import exit_code, run_foreground
from pypm.cli.main import run
from pypm.cli.output import guarded
from pypm.cli.start_plan import Plan, StartWords, resolve
from pypm.client.launch import connect

Capture = pytest.CaptureFixture[str]


class Agent:
    """An app of one instance that writes to its log when it is applied, and a master that tells of it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.status: dict[str, Any] = {"status": "online"}
        self.known = False
        self.logs = home / "logs"
        self.logs.mkdir()

    def row(self) -> dict[str, Any]:
        out, error = (str(self.logs / f"agent-{stream}.log") for stream in ("out", "error"))
        return make_row(4, "agent", out_file=out, error_file=error, **self.status)

    def say(self, stream: str, text: str) -> None:
        with open(self.logs / f"agent-{stream}.log", "a") as log:
            log.write(text)

    def apply(self, params: dict[str, Any]) -> dict[str, Any]:
        self.known = True
        self.say("out", "hello\n")
        self.say("error", "oh\n")
        return make_change(self.row(), action="added")

    def delete(self, params: dict[str, Any]) -> dict[str, Any]:
        self.known = False
        self.say("out", "last words")
        return make_change(self.row(), action="deleted")

    def answers(self) -> dict[str, Any]:
        return {
            "list": lambda params: [self.row()] if self.known else [],
            "apply": self.apply,
            "delete": self.delete,
            "ping": make_ping(self.home),
            "kill": {},
            "describe": lambda params: [{**self.row(), "spec": {"name": "agent", "restart": {}}}],
        }


@pytest.fixture
def agent(home: Path) -> Agent:
    return Agent(home)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before


def start(home: Path, *, launched: bool = False) -> int:
    plan = resolve(StartWords(rest=("sleep", "9"), options={"name": "agent"}), [], str(home))
    with connect(str(home)) as connection:
        return run_foreground(connection, str(home), plan, launched=launched)


def signalling(number: int, answer: Any, at_call: int = 1) -> Any:
    """Give an answer that first sends a signal to this program, at the given call."""
    calls = 0

    def answered(params: dict[str, Any]) -> Any:
        nonlocal calls
        calls += 1
        if calls == at_call:
            signal.pthread_kill(threading.main_thread().ident or 0, number)
        return answer(params)

    return answered


def test_it_ends_with_its_agents_and_returns_their_failure(home: Path, agent: Agent, capfd: Capture) -> None:
    agent.say("out", "of an earlier run\n")
    agent.status = {"status": "exited", "last_exit": make_exit(code=7), "reason": "exit code 7"}
    with ScriptedMaster(home, **agent.answers()) as master:
        assert start(home) == 7
    assert master.asked("delete") == [{"targets": ["4"]}]
    assert master.asked("kill") == []
    output = capfd.readouterr()
    assert sorted(output.out.splitlines()) == ["agent | hello", "agent | last words", "agent | oh"]
    assert "agent is exited: exit code 7" in output.err


def test_a_master_that_was_started_for_it_ends_with_it(home: Path, agent: Agent) -> None:
    agent.status = {"status": "exited", "last_exit": make_exit(code=0)}
    with ScriptedMaster(home, **agent.answers()) as master:
        assert start(home, launched=True) == 0
    assert [method for method, _ in master.calls][-3:] == ["delete", "ping", "kill"]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_and_what_it_started(home: Path, agent: Agent, number: int, status: int) -> None:
    answers = agent.answers()
    answers["list"] = signalling(number, answers["list"], at_call=3)
    with ScriptedMaster(home, **answers) as master:
        assert start(home) == status
    assert master.asked("delete") == [{"targets": ["4"]}]


def test_a_second_signal_kills(home: Path, agent: Agent) -> None:
    answers = agent.answers()
    answers["list"] = signalling(signal.SIGINT, answers["list"], at_call=3)
    first = True

    def delete(params: dict[str, Any]) -> Any:
        nonlocal first
        if not first:
            return agent.delete(params)
        first = False
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return "__silence__"

    answers |= {
        "delete": delete,
        "signal": make_change(agent.row(), action="signalled"),
        "wait": make_settled(agent.row()),
    }
    with ScriptedMaster(home, **answers) as master:
        assert start(home) == 130
    assert master.asked("signal") == [{"targets": ["4"], "signal": "SIGKILL", "group": True}]
    assert len(master.asked("delete")) == 2


def test_what_was_known_before_is_stopped_and_not_forgotten(home: Path, agent: Agent) -> None:
    agent.known = True
    answers = agent.answers()
    answers["list"] = signalling(signal.SIGINT, answers["list"], at_call=3)
    answers |= {
        "start": make_change(agent.row(), action="started"),
        "stop": make_change(agent.row(), action="stopped"),
        "wait": make_settled(agent.row()),
    }
    with ScriptedMaster(home, **answers) as master, connect(str(home)) as connection:
        assert run_foreground(connection, str(home), Plan(targets=("agent",)), launched=False) == 130
    assert master.asked("stop") == [{"targets": ["4"]}]
    assert master.asked("delete") == []


def test_what_ran_already_is_left_alone(home: Path, agent: Agent) -> None:
    agent.known = True
    answers = agent.answers() | {"start": make_change(agent.row(), action="unchanged")}
    answers["list"] = signalling(signal.SIGINT, answers["list"], at_call=3)
    with ScriptedMaster(home, **answers) as master, connect(str(home)) as connection:
        assert run_foreground(connection, str(home), Plan(targets=("agent",)), launched=False) == 130
    assert {method for method, _ in master.calls} == {"list", "start"}


def test_changes_of_state_are_told_once(home: Path, agent: Agent, capfd: Capture) -> None:
    answers = agent.answers()
    states = iter(
        [
            {"status": "online"},
            {"status": "online"},
            {"status": "backoff", "reason": "exit code 1", "restarts": 1},
        ]
    )

    def rows(params: dict[str, Any]) -> Any:
        agent.status = next(states, {"status": "exited", "last_exit": make_exit(code=0)})
        return [agent.row()] if agent.known else []

    with ScriptedMaster(home, **{**answers, "list": rows}):
        assert start(home) == 0
    told = [line for line in capfd.readouterr().err.splitlines() if "agent is" in line]
    assert told == ["pypm: agent is online", "pypm: agent is backoff: exit code 1", "pypm: agent is exited"]


@pytest.mark.parametrize(
    ("no_color", "line"), [(None, "\x1b[0;96magent\x1b[0m | hello"), ("1", "agent | hello")]
)
def test_on_a_terminal_names_have_colours(
    home: Path, agent: Agent, capfd: Capture, monkeypatch: pytest.MonkeyPatch, no_color: str | None, line: str
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    agent.status = {"status": "exited", "last_exit": make_exit(code=0)}
    with ScriptedMaster(home, **agent.answers()):
        start(home)
    assert line in capfd.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("status", "last_exit", "code"),
    [
        ("online", make_exit(code=3), 0),
        ("backoff", make_exit(code=3), 0),
        ("stopped", make_exit(signal="SIGTERM"), 0),
        ("exited", make_exit(code=3), 3),
        ("errored", make_exit(code=3), 3),
        ("errored", make_exit(code=0), 1),
        ("errored", make_exit(signal="SIGKILL"), 137),
        ("errored", make_exit(signal="SIGOFTHEFUTURE"), 1),
        ("errored", None, 1),
    ],
)
def test_the_exit_status_is_that_of_the_agent(
    status: str, last_exit: dict[str, Any] | None, code: int
) -> None:
    assert exit_code(make_row(status=status, last_exit=last_exit)) == code


def test_the_verb_stays_in_the_foreground(
    home: Path, agent: Agent, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.status = {"status": "errored", "last_exit": make_exit(signal="SIGSEGV"), "reason": "signal SIGSEGV"}
    monkeypatch.chdir(home)
    with ScriptedMaster(home, **agent.answers()) as master:
        assert guarded(run, ["start", "--foreground", "--name", "agent", "--", "sleep", "9"]) == 139
    assert [app["name"] for app in master.asked("apply")[0]["apps"]] == ["agent"]
    assert "agent | hello" in capfd.readouterr().out
    assert os.path.isdir(home)
