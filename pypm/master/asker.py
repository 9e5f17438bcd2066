"""Who asks for something: the process at the other end of the socket, in words and as facts."""

from __future__ import annotations

import os
import pwd
from contextvars import ContextVar
from typing import Any, NamedTuple

from pypm.core.masking import masked_words
from pypm.system.process import command_line

__all__ = ["Asker", "Peer", "asked_by", "asker_of", "set_asker"]

LONGEST_COMMAND = 80
INTERPRETERS = ("python", "pypy")
OPERATOR = "operator"


class Peer(NamedTuple):
    """Pid and user id of who connected, as the kernel tells (SO_PEERCRED)."""

    pid: int
    uid: int


class Asker(NamedTuple):
    """A peer, with the names of its user and of what it runs; empty where it has gone already."""

    pid: int
    uid: int
    user: str
    command: str

    def __str__(self) -> str:
        return f"{self.user} ({self.command})" if self.command else self.user

    def facts(self) -> dict[str, Any]:
        """As an event has it."""
        return self._asdict()


_asker: ContextVar[str] = ContextVar("asker", default=OPERATOR)


def asked_by() -> str:
    """Who has asked for what is being done, in words."""
    return _asker.get()


def set_asker(asker: Asker) -> None:
    """Say who has asked for what this task does."""
    _asker.set(str(asker))


def asker_of(peer: Peer) -> Asker:
    """Who a peer is."""
    try:
        user = pwd.getpwuid(peer.uid).pw_name
    except KeyError:
        user = f"uid {peer.uid}"
    return Asker(peer.pid, peer.uid, user, command_of(peer.pid))


def without_secrets(words: list[str]) -> list[str]:
    """A command line without what is for an agent (behind ``--``) and without values that look secret."""
    if "--" in words:
        words = [*words[: words.index("--") + 1], "…"]
    return masked_words(words)


def command_of(pid: int) -> str:
    """What a process runs, without its interpreter and the folders of its program."""
    words = [os.fsdecode(word) for word in command_line(pid).split(b"\0")[:-1]]
    command = " ".join(without_secrets(shortened(words)))
    command = "".join(sign if sign.isprintable() else "?" for sign in command)
    return command if len(command) <= LONGEST_COMMAND else command[: LONGEST_COMMAND - 1] + "…"


def shortened(words: list[str]) -> list[str]:
    """``python -u /usr/bin/pypm stop a`` and ``python -m pypm stop a`` are ``pypm stop a``."""
    if words and os.path.basename(words[0]).startswith(INTERPRETERS):
        rest = words[1:]
        while rest and rest[0].startswith("-") and rest[0] not in ("-m", "-c", "-"):
            rest = rest[1:]
        if rest[:1] == ["-m"]:
            rest = rest[1:]
        if rest and rest[0] != "-c":
            words = rest
    return [os.path.basename(words[0]), *words[1:]] if words else []
