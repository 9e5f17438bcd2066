"""Requests as lines and answers as values, without a socket."""

from __future__ import annotations

import json
import os

import pytest

from pypm.core.errors import (
    ConfigError,
    NoMasterError,
    NotFoundError,
    ProtocolError,
    PypmError,
    RequestError,
    UsageError,
)
from pypm.protocol.messages import decode_response, encode_request, error_from
from pypm.protocol.names import MAX_LINE


def response(**fields: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 7, **fields}).encode()


def failure(kind: object, **data: object) -> dict[str, object]:
    return {"code": -32000, "message": "it did not work", "data": {"kind": kind, **data}}


def test_a_request_is_one_line_of_json_rpc() -> None:
    line = encode_request(3, "list", {"targets": ["a\nb"]})
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "jsonrpc": "2.0",
        "protocol": 1,
        "id": 3,
        "method": "list",
        "params": {"targets": ["a\nb"]},
    }


def test_bytes_of_no_encoding_are_refused_with_where_they_are() -> None:
    assert json.loads(encode_request(1, "apply", {"cwd": "/wörk\u2028"}))["params"] == {"cwd": "/wörk\u2028"}
    with pytest.raises(UsageError, match=r"bytes that are no UTF-8, near .*/tmp/a\\udcff"):
        encode_request(1, "apply", {"cwd": os.fsdecode(b"/tmp/a\xff")})


def test_a_request_that_the_master_would_refuse_is_not_sent() -> None:
    with pytest.raises(UsageError, match="apply"):
        encode_request(1, "apply", {"env": {"A": "x" * MAX_LINE}})


@pytest.mark.parametrize("result", [None, [], {"a": 1}, "text"])
def test_the_result_is_given(result: object) -> None:
    assert decode_response(response(result=result), 7) == result


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/1.1 400 Bad Request",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b'{"jsonrpc":"1.0","id":7,"result":1}',
        response(),
        response(id=8, result=1),
        response(id=8, error=failure("failed")),
    ],
)
def test_what_is_no_answer_to_this_request_is_told_as_that(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_response(line, 7)


@pytest.mark.parametrize(
    ("kind", "error", "exit_status"),
    [
        ("usage", UsageError, 2),
        ("config", ConfigError, 1),
        ("not_found", NotFoundError, 3),
        ("no_master", NoMasterError, 4),
        ("protocol", ProtocolError, 1),
        ("failed", RequestError, 1),
        ("bug", RequestError, 1),
        ("a kind of a later version", RequestError, 1),
    ],
)
def test_an_error_of_the_master_is_raised_as_its_kind(
    kind: str, error: type[PypmError], exit_status: int
) -> None:
    with pytest.raises(PypmError, match="it did not work") as raised:
        decode_response(response(error=failure(kind, hint="do that")), 7)
    assert type(raised.value) is error
    assert raised.value.exit_status == exit_status
    assert raised.value.hint == "do that"


def test_a_bug_says_that_it_is_one() -> None:
    error = error_from(failure("bug", hint=None))
    assert "a bug in the master" in error.message
    assert error.hint is not None


def test_an_error_without_an_id_answers_what_was_asked() -> None:
    with pytest.raises(RequestError, match="it did not work"):
        decode_response(response(id=None, error=failure("failed")), 7)


def test_the_exit_status_of_the_master_counts_where_it_is_one() -> None:
    assert error_from(failure("later", exit_status=3)).exit_status == 3
    assert error_from(failure("later", exit_status=0)).exit_status == 1
    assert error_from(failure("later", exit_status="3")).exit_status == 1


@pytest.mark.parametrize("error", [None, "no", {"message": 3}, {}])
def test_an_error_that_cannot_be_read_is_told_as_that(error: object) -> None:
    assert isinstance(error_from(error), ProtocolError)
