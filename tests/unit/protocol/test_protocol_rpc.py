"""The master's side of the protocol: which lines are requests, and what every answer looks like."""

from __future__ import annotations

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypm.core.errors import ConfigError, NotFoundError, ProtocolError, RequestError
from pypm.protocol.messages import decode_response, encode_request
from pypm.protocol.rpc import (
    BadRequestError,
    bug_response,
    check_protocol,
    decode_params,
    decode_request,
    error_response,
    result_response,
)


class Params(msgspec.Struct, forbid_unknown_fields=True):
    targets: list[str]
    parallel: int = 1


def refused(line: bytes) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        decode_request(line)
    return caught.value


def test_a_request() -> None:
    request = decode_request(b'{"jsonrpc":"2.0","id":7,"method":"stop","params":{"targets":["a"]},"more":1}')
    assert (request.method, request.id) == ("stop", 7)
    assert decode_params(request.params, Params) == Params(["a"])


@pytest.mark.parametrize(("text", "expected"), [('"x"', "x"), ("null", None), ("0", 0)])
def test_ids_are_given_back_as_they_came(text: str, expected: object) -> None:
    line = b'{"jsonrpc":"2.0","id":%b,"method":"ping"}' % text.encode()
    request_id = decode_request(line).id
    assert request_id == expected
    assert not isinstance(request_id, msgspec.UnsetType)
    assert json.loads(result_response(request_id, {}))["id"] == expected


def test_a_request_without_an_id_is_a_notification() -> None:
    assert decode_request(b'{"jsonrpc":"2.0","method":"ping"}').id is msgspec.UNSET


def test_parameters_may_be_missing() -> None:
    assert decode_request(b'{"jsonrpc":"2.0","id":1,"method":"ping"}').params == msgspec.Raw(b"{}")


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"\xff\xfe",
        b"nonsense",
        b'{"jsonrpc":"2.0","id":1,"method":"ping"',
        b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping"} {}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b"[" * 100_000,
    ],
    ids=lambda line: repr(line[:30]),
)
def test_what_is_no_json(line: bytes) -> None:
    assert refused(line).number == -32700


@pytest.mark.parametrize(
    "line",
    [
        b"1",
        b"null",
        b"[]",
        b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
        b"{}",
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"method":5}',
        b'{"jsonrpc":"2.0","id":{},"method":"ping"}',
        b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
        b'{"id":1,"method":"ping"}',
    ],
    ids=repr,
)
def test_what_is_json_but_no_request(line: bytes) -> None:
    assert refused(line).number == -32600


def test_a_wrong_version_is_told_to_who_asked() -> None:
    assert refused(b'{"id":5,"method":"ping"}').request_id == 5


@given(st.binary(max_size=300))
def test_random_bytes_are_refused_or_a_request_and_nothing_else(line: bytes) -> None:
    with contextlib.suppress(BadRequestError):
        decode_request(line)


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b'{"targets":"a"}', "targets"),
        (b'{"targets":[1]}', "targets"),
        (b'{"targets":[],"paralel":2}', "paralel"),
        (b"[]", "array"),
        (b"null", "null"),
        (b'{"targets":["\xff"]}', "decode"),
        (b"{}", "targets"),
    ],
    ids=repr,
)
def test_wrong_parameters_are_told_with_their_place(raw: bytes, place: str) -> None:
    with pytest.raises(BadRequestError, match=place) as caught:
        decode_params(msgspec.Raw(raw), Params)
    assert caught.value.number == -32602


def test_an_answer_is_one_line_of_ascii_or_utf8() -> None:
    line = result_response(3, {"reason": "a\nb", "name": "wörker"})
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_response(line, 3) == {"reason": "a\nb", "name": "wörker"}


def test_a_refusal_has_all_that_the_error_knows() -> None:
    line = error_response(3, NotFoundError("no app 'x'", hint="did you mean y?"))
    assert json.loads(line) == {
        "jsonrpc": "2.0",
        "id": 3,
        "error": {
            "code": -32000,
            "message": "no app 'x'",
            "data": {"kind": "not_found", "hint": "did you mean y?", "exit_status": 3},
        },
    }


@pytest.mark.parametrize("kind", [NotFoundError, ConfigError, RequestError])
def test_an_error_crosses_the_socket_and_is_the_same_there(kind: type[Exception]) -> None:
    error = kind("what is wrong", hint="what to do")  # type: ignore[call-arg]
    with pytest.raises(kind, match="what is wrong") as caught:
        decode_response(error_response(1, error), 1)  # type: ignore[arg-type]
    assert type(caught.value) is kind
    assert caught.value.hint == "what to do"  # type: ignore[attr-defined]


def test_a_bug_is_called_one() -> None:
    error = json.loads(bug_response(None, KeyError("x")))["error"]
    assert error["code"] == -32603
    assert error["message"] == "KeyError: 'x'"
    assert error["data"]["kind"] == "bug"


def test_both_sides_agree_on_a_request() -> None:
    line = encode_request(9, "stop", {"targets": ["wörker", 'a"b\n']})
    request = decode_request(line)
    assert request.id == 9
    assert decode_params(request.params, Params).targets == ["wörker", 'a"b\n']


@pytest.mark.parametrize(("version", "older"), [(0, "client"), (2, "master")])
def test_a_client_of_another_version_is_told_who_is_too_old(version: int, older: str) -> None:
    line = b'{"jsonrpc": "2.0", "protocol": %d, "id": 1, "method": "%b"}'
    with pytest.raises(ProtocolError, match=f"the {older} is too old") as caught:
        check_protocol(decode_request(line % (version, b"list")))
    assert caught.value.hint
    for method in (b"ping", b"update", b"kill"):
        check_protocol(decode_request(line % (version, method)))


def test_a_client_that_says_no_version_is_answered() -> None:
    check_protocol(decode_request(b'{"jsonrpc": "2.0", "id": 1, "method": "list"}'))
