"""What agents inherit from the process that starts them. Quick to import."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["inherited"]


def inherited() -> tuple[dict[str, Any], list[str]]:
    """This process's environment but for pypm's own names, and its umask, as the protocol wants them.

    What is no UTF-8 cannot be kept in a state that is JSON: the names of such variables come second.
    """
    umask = os.umask(0o077)
    os.umask(umask)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYPM_") and name != "NOTIFY_SOCKET"
    }
    odd = [name for name, value in environment.items() if not _is_text(name + value)]
    for name in odd:
        del environment[name]
    return {"env": environment, "umask": umask}, odd


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that could not be decoded are lone surrogates here
        return False
    return True
