"""The exception tree of pypm, small enough to read in a minute.

    PypmError                 message, hint, exit status: what a person is told
    ├─ UsageError             the command's words are wrong (exit 2)
    ├─ ConfigError            a file or option is wrong: path, place, nearest right name (exit 1)
    ├─ NotFoundError          no such app, with the nearest right names (exit 3)
    ├─ NoMasterError          no master answers and the command needs one (exit 4)
    ├─ ProtocolError          the other side of a socket does not speak our protocol (exit 1)
    └─ RequestError           the master refused or failed, and says why (exit 1)

An agent's failure is never an exception: it is an event of the core. Anything that is raised and not in
this tree is a bug, and is reported as one.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "NoMasterError",
    "NotFoundError",
    "ProtocolError",
    "PypmError",
    "RequestError",
    "UsageError",
]


class PypmError(Exception):
    """What a person is told: one sentence, what to do next (``hint``), and the CLI's exit status."""

    code = "error"
    exit_status = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PypmError):
    """The command's words are wrong."""

    code = "usage"
    exit_status = 2


class ConfigError(PypmError):
    """A file or an option is wrong; ``message`` begins with the file and the place in it."""

    code = "config"


class NotFoundError(PypmError):
    """No app, instance or namespace answers to a target."""

    code = "not_found"
    exit_status = 3


class NoMasterError(PypmError):
    """No master answers on the socket."""

    code = "no_master"
    exit_status = 4


class ProtocolError(PypmError):
    """The other side of the socket does not speak this protocol."""

    code = "protocol"


class RequestError(PypmError):
    """The master refused or failed a request."""

    code = "failed"
