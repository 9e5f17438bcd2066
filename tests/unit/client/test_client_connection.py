"""The blocking connection, against a scripted master on a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_master import CLOSE, RAW, SILENCE, ScriptedMaster

from pypm.client import connection as connection_module
from pypm.client.connection import Connection, ConnectionLostError
from pypm.client.launch import connect
from pypm.core.errors import NoMasterError, NotFoundError, ProtocolError, RequestError


@pytest.fixture
def master(home: Path) -> Iterator[ScriptedMaster]:
    with ScriptedMaster(home, ping={"version": "1"}) as scripted:
        yield scripted


def test_calls_are_answered_one_after_the_other(home: Path, master: ScriptedMaster) -> None:
    master.answers["list"] = lambda params: params["targets"]
    with connect(str(home)) as connection:
        assert connection.call("ping") == {"version": "1"}
        assert connection.call("list", targets=["a"]) == ["a"]
        assert connection.call("list", targets=["b"]) == ["b"]


def test_what_is_none_is_not_sent(home: Path, master: ScriptedMaster) -> None:
    with connect(str(home)) as connection:
        connection.call("ping", targets=None, group=False)
    assert master.calls == [("ping", {"group": False})]


def test_an_answer_of_many_pieces_is_one(home: Path, master: ScriptedMaster) -> None:
    master.answers["list"] = "x" * 1_000_000
    with connect(str(home)) as connection:
        assert connection.call("list") == "x" * 1_000_000


def test_an_error_leaves_the_connection_usable(home: Path, master: ScriptedMaster) -> None:
    master.answers["stop"] = NotFoundError("no app 'x'", hint="did you mean y?")
    with connect(str(home)) as connection:
        with pytest.raises(NotFoundError, match="no app 'x'") as raised:
            connection.call("stop", targets=["x"])
        assert raised.value.hint == "did you mean y?"
        assert connection.call("ping") == {"version": "1"}


def test_where_nothing_is_there_is_no_master(home: Path) -> None:
    with pytest.raises(NoMasterError):
        connect(str(home))


def test_where_the_home_is_a_file_there_is_no_master(home: Path) -> None:
    (home / "file").write_text("")
    with pytest.raises(NoMasterError):
        connect(str(home / "file"))


def test_a_socket_that_a_dead_master_left_is_no_master(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(home / "pypm.sock"))
    with pytest.raises(NoMasterError):
        connect(str(home))


def test_a_master_that_says_nothing_is_not_waited_for_without_end(home: Path, master: ScriptedMaster) -> None:
    master.answers["list"] = SILENCE
    with (
        Connection(str(home / "pypm.sock"), timeout=0.05) as connection,
        pytest.raises(ProtocolError, match=r"did not answer within 0\.05 s"),
    ):
        connection.call("list")


def test_a_half_answer_is_not_waited_for_without_end(home: Path, master: ScriptedMaster) -> None:
    master.answers["list"] = RAW + '{"jsonrpc"'
    with (
        Connection(str(home / "pypm.sock"), timeout=0.05) as connection,
        pytest.raises(ProtocolError, match="did not answer"),
    ):
        connection.call("list")


def test_a_socket_that_accepts_nobody_is_not_waited_for_without_end(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(home / "pypm.sock"))
        listener.listen(0)
        first.connect(str(home / "pypm.sock"))
        with pytest.raises(ProtocolError, match="does not accept"):
            connect(str(home), timeout=0.05)


def test_patience_ends_when_the_master_no_longer_answers_a_ping(home: Path, master: ScriptedMaster) -> None:
    master.answers["stop"] = SILENCE
    pings = iter([{"version": "1"}, {"version": "1"}, SILENCE])
    master.answers["ping"] = lambda params: next(pings)
    with (
        Connection(str(home / "pypm.sock"), timeout=1.0) as connection,
        pytest.raises(ProtocolError, match="did not answer"),
    ):
        connection.call_patiently("stop", targets=["all"])
    assert [method for method, _ in master.calls] == ["stop", "ping", "ping", "ping"]


def test_a_master_that_closes_before_it_answers_is_told_as_that(home: Path, master: ScriptedMaster) -> None:
    master.answers["list"] = CLOSE
    with (
        connect(str(home)) as connection,
        pytest.raises(ProtocolError, match="closed the connection before it answered"),
    ):
        connection.call("list")


def test_the_next_master_is_asked_the_same_once_more(home: Path, master: ScriptedMaster) -> None:
    answers = iter([CLOSE, CLOSE, "done", "done"])
    master.answers["delete"] = lambda params: next(answers)
    with connect(str(home)) as connection:
        assert connection.call("delete", targets=["a"]) == "done"
        assert connection.call("delete", targets=["a"]) == "done"
    keys = [request.get("key") for request in master.requests]
    assert keys[0], "a wish has a name by which the next master knows it"
    assert keys[:3] == [keys[0]] * 3
    assert keys[3] not in (None, keys[0]), "another wish has another name"


def test_an_update_is_not_asked_for_again(home: Path, master: ScriptedMaster) -> None:
    master.answers["update"] = CLOSE
    with connect(str(home)) as connection, pytest.raises(ConnectionLostError):
        connection.call("update")
    assert len(master.requests) == 1


def test_something_else_that_listens_there_is_told_as_that(home: Path, master: ScriptedMaster) -> None:
    master.answers["list"] = RAW + "HTTP/1.1 400 Bad Request\r\n"
    with connect(str(home)) as connection, pytest.raises(ProtocolError, match="not JSON") as raised:
        connection.call("list")
    assert "HTTP/1.1 400" in str(raised.value.hint)


def test_an_answer_without_end_is_given_up(
    home: Path, master: ScriptedMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "MAX_LINE", 1000)
    master.answers["list"] = RAW + "x" * 1_000_000
    with connect(str(home)) as connection, pytest.raises(ProtocolError, match="has no end"):
        connection.call("list")


def test_the_master_of_somebody_else_is_not_spoken_to(
    home: Path, master: ScriptedMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.geteuid()
    if real == 0:
        pytest.skip("root's masters are everybody's")
    monkeypatch.setattr(os, "geteuid", lambda: real + 1)
    with pytest.raises(RequestError, match=f"another user \\(uid {real}\\)"):
        connect(str(home))
