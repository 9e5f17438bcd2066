"""The master's side of the socket protocol: requests in, answers out, without I/O."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec

from pypm.core.errors import ProtocolError, PypmError
from pypm.protocol.names import (
    FAILED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    PROTOCOL_VERSION,
    VERSIONLESS,
)

__all__ = [
    "BadRequestError",
    "Request",
    "bug_response",
    "check_protocol",
    "decode_params",
    "decode_request",
    "error_response",
    "result_response",
]

RequestId = int | str | None
ParamsT = TypeVar("ParamsT")


class Request(msgspec.Struct):
    """One request; without an id (a notification) it is not answered."""

    method: str
    jsonrpc: str = ""
    id: int | str | msgspec.UnsetType | None = msgspec.UNSET
    protocol: int = PROTOCOL_VERSION
    """The version of the protocol that the client speaks; one that does not say is taken to speak ours."""
    key: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """The client's name for a wish that is to be carried out once, however often it is asked."""
    params: msgspec.Raw = msgspec.Raw(b"{}")


class BadRequestError(PypmError):
    """A line that is no request, or parameters that a method does not take."""

    code = "protocol"

    def __init__(self, number: int, message: str, request_id: RequestId = None) -> None:
        super().__init__(message)
        self.number = number
        self.request_id = request_id


_decoder = msgspec.json.Decoder(Request)
_encoder = msgspec.json.Encoder()


def decode_request(line: bytes | bytearray | memoryview) -> Request:
    """Read one line. Raises BadRequestError, with the code that JSON-RPC 2.0 gives to the fault."""
    try:
        request = _decoder.decode(line)
    except msgspec.ValidationError as error:
        raise BadRequestError(INVALID_REQUEST, f"no JSON-RPC request: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(PARSE_ERROR, f"no JSON: {error}") from error
    if request.jsonrpc != "2.0":
        known_id = None if isinstance(request.id, msgspec.UnsetType) else request.id
        raise BadRequestError(INVALID_REQUEST, 'jsonrpc is not "2.0"', known_id)
    return request


def check_protocol(request: Request) -> None:
    """Raise ProtocolError if the client speaks another protocol, and the method depends on that."""
    theirs = request.protocol
    if theirs == PROTOCOL_VERSION or request.method in VERSIONLESS:
        return
    older, hint = "master", "`pypm update` lets the installed version take over"
    if theirs < PROTOCOL_VERSION:
        older, hint = "client", "use the pypm that is installed now"
    message = f"the {older} is too old: the client speaks protocol {theirs}, the master {PROTOCOL_VERSION}"
    raise ProtocolError(message, hint=hint)


def decode_params(raw: msgspec.Raw, kind: type[ParamsT]) -> ParamsT:
    """Read a method's parameters. Raises BadRequestError with the place of the fault."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(INVALID_PARAMS, f"wrong parameters: {error}") from error


def result_response(request_id: RequestId, result: Any) -> bytes:
    """The line that answers a request."""
    return _encoder.encode({"jsonrpc": "2.0", "id": request_id, "result": result}) + b"\n"


def error_response(request_id: RequestId, error: PypmError) -> bytes:
    """The line that refuses a request, with all that the exception knows."""
    number = error.number if isinstance(error, BadRequestError) else FAILED
    data = {"kind": error.code, "hint": error.hint, "exit_status": error.exit_status}
    return _error(request_id, number, error.message, data)


def bug_response(request_id: RequestId, error: Exception) -> bytes:
    """The line that admits a bug of ours."""
    message = f"{type(error).__name__}: {error}"
    return _error(request_id, INTERNAL_ERROR, message, {"kind": "bug", "hint": None, "exit_status": 1})


def _error(request_id: RequestId, number: int, message: str, data: dict[str, Any]) -> bytes:
    error = {"code": number, "message": message, "data": data}
    return _encoder.encode({"jsonrpc": "2.0", "id": request_id, "error": error}) + b"\n"
