"""The names and limits both sides of the socket share. Standard library only: the quick client reads this."""

from __future__ import annotations

__all__ = [
    "AGENT_VARIABLES",
    "ERROR_KINDS",
    "FAILED",
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "JSONRPC",
    "KEYED",
    "MAX_LINE",
    "METHODS",
    "METHOD_NOT_FOUND",
    "PARSE_ERROR",
    "PROTOCOL_VERSION",
    "VERSIONLESS",
]

PROTOCOL_VERSION = 1
"""Version of ``docs/protocol.md``, told by ``ping``."""

VERSIONLESS = frozenset(("ping", "update", "kill"))
"""Methods that are answered to clients of any version: how a new one takes over from an old master."""

JSONRPC = "2.0"

MAX_LINE = 16 * 1024 * 1024
"""Bytes that one line may have, the newline not counted; a longer one closes the connection."""

METHODS = (
    "ping",
    "list",
    "describe",
    "declared",
    "start",
    "apply",
    "check",
    "scale",
    "update",
    "stop",
    "restart",
    "reload",
    "delete",
    "run_now",
    "reset",
    "signal",
    "send",
    "trigger",
    "flush",
    "reload_logs",
    "reload_settings",
    "env",
    "wait",
    "doctor",
    "snapshot_save",
    "snapshot_list",
    "resurrect",
    "cleardump",
    "kill",
)

KEYED = frozenset(
    (
        "start",
        "apply",
        "scale",
        "stop",
        "restart",
        "reload",
        "run_now",
        "delete",
        "reset",
        "signal",
        "send",
        "resurrect",
        "cleardump",
    )
)
"""Methods that a master carries out once for each key, however often they are asked."""

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
FAILED = -32000
"""JSON-RPC code of every refusal and failure that the specification has no code for."""

ERROR_KINDS = ("usage", "config", "not_found", "no_master", "protocol", "failed", "bug")
"""Values of ``error.data.kind``."""

AGENT_VARIABLES = (
    "PYPM_APP",
    "PYPM_NAME",
    "PYPM_INSTANCE",
    "PYPM_ID",
    "PYPM_RUN_ID",
    "PYPM_AGENT_ENDPOINT",
    "PYPM_AGENT_TOKEN",
    "NOTIFY_SOCKET",
)
"""What one run of an agent is given for itself; a master or app that an agent starts must not inherit it."""
