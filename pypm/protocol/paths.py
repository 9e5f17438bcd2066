"""Where the sockets of a home are: a pure rule that the client and the master both follow."""

from __future__ import annotations

import os

__all__ = ["MAX_SOCKET_PATH", "SOCKET_NAME", "socket_folder"]

MAX_SOCKET_PATH = 107
"""Bytes of the longest path a Unix socket can have on Linux."""

SOCKET_NAME = "pypm.sock"

_LONGEST_NAME = "agents.sock"


def socket_folder(home: str) -> str:
    """Give the folder that holds the sockets of ``home`` (an absolute path); nothing is created.

    That is ``home`` itself, or, where a socket's path in it would be longer than the kernel allows,
    a folder of this user's whose name is derived from the home's real path: below ``XDG_RUNTIME_DIR``
    when that is a folder, else below ``/tmp``.
    """
    if len(os.fsencode(home)) + 1 + len(_LONGEST_NAME) <= MAX_SOCKET_PATH:
        return home
    import hashlib

    digest = hashlib.sha256(os.fsencode(os.path.realpath(home))).hexdigest()[:16]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and os.path.isdir(runtime):
        folder = f"{runtime.rstrip('/')}/pypm-{digest}"
        if len(os.fsencode(folder)) + 1 + len(_LONGEST_NAME) <= MAX_SOCKET_PATH:
            return folder
    return f"/tmp/pypm-{os.getuid()}-{digest}"  # noqa: S108 - the folder is made 0700 and its owner checked
