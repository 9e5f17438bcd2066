"""JSON-RPC 2.0 messages as the client makes and reads them: lines in, values out, no I/O."""

from __future__ import annotations

import json

from pypm.core.errors import (
    ConfigError,
    NoMasterError,
    NotFoundError,
    ProtocolError,
    PypmError,
    RequestError,
    UsageError,
)
from pypm.protocol.names import JSONRPC, MAX_LINE, PROTOCOL_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:  # the quick road has no time to import typing
    from typing import Any

__all__ = ["decode_response", "encode_request", "error_from"]

_ERRORS: dict[str, type[PypmError]] = {
    error.code: error
    for error in (UsageError, ConfigError, NotFoundError, NoMasterError, ProtocolError, RequestError)
}


def encode_request(request_id: int, method: str, params: dict[str, Any], key: str = "") -> bytes:
    """Give the line, newline included, that asks for ``method``.

    ``key`` names a wish that is to be carried out once, however often it is asked (docs/protocol.md).
    Raises :class:`UsageError` when it would be longer than the master accepts, or has what is no text.
    """
    message = {
        "jsonrpc": JSONRPC,
        "protocol": PROTOCOL_VERSION,
        "id": request_id,
        "method": method,
        "params": params,
    }
    if key:
        message["key"] = key
    try:
        line = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:  # bytes that could not be decoded are lone surrogates here
        around = error.object[max(0, error.start - 20) : error.end + 20]
        raise UsageError(f"the request {method} has bytes that are no UTF-8, near {around!r}") from None
    if len(line) > MAX_LINE:
        raise UsageError(f"the request {method} has {len(line)} bytes, more than the {MAX_LINE} allowed")
    return line + b"\n"


def decode_response(line: bytes, request_id: int) -> Any:
    """Give the result that ``line`` answers to the request ``request_id``.

    Raises what the master reports, as its own kind of :class:`PypmError`, and :class:`ProtocolError` when
    the line is no answer to this request.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("the answer on the socket is not JSON", hint=_shown(line)) from error
    if not isinstance(message, dict) or message.get("jsonrpc") != JSONRPC:
        raise ProtocolError("the answer on the socket is not JSON-RPC 2.0", hint=_shown(line))
    if "error" in message and message.get("id") in (request_id, None):
        raise error_from(message["error"])
    if message.get("id") != request_id or "result" not in message:
        raise ProtocolError(f"the answer on the socket does not belong to request {request_id}")
    return message["result"]


def error_from(error: Any) -> PypmError:
    """Make the exception that an ``error`` object of a response stands for."""
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return ProtocolError("the master reported an error that cannot be read")
    data = error.get("data")
    if not isinstance(data, dict):
        data = {}
    message, kind, hint = error["message"], data.get("kind"), data.get("hint")
    if kind == "bug":
        message = f"a bug in the master: {message}"
        hint = hint or "the traceback is in master.log"
    made = _ERRORS.get(str(kind), RequestError)(message, hint=hint if isinstance(hint, str) else None)
    if isinstance(data.get("exit_status"), int) and 0 < data["exit_status"] < 5:
        made.exit_status = data["exit_status"]
    return made


def _shown(line: bytes) -> str:
    return "it begins with " + repr(line[:60].decode("utf-8", "replace"))
