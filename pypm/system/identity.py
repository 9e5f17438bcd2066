"""As which user and with which groups a process is to run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from pypm.system.spawn_error import SpawnError

if TYPE_CHECKING:
    import pwd

__all__ = ["Identity", "IdentityError", "find_identity", "may_change_identity"]


class IdentityError(SpawnError):
    """There is no such user or group, or we may not be it; the message says which."""


class Identity(NamedTuple):
    """A user by its numbers, and what a program looks up by its environment."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    """Supplementary ones."""
    variables: dict[str, str]
    """HOME, USER, LOGNAME, SHELL; empty where the user stays the one that we are."""

    def options(self) -> list[str]:
        """The options with which ``setpriv`` makes a process of this identity."""
        groups = ",".join(map(str, self.groups))
        words = [f"--groups={groups}" if groups else "--clear-groups"]
        return [f"--reuid={self.uid}", f"--regid={self.gid}", *words]


def may_change_identity() -> bool:
    """Whether this process can start others as somebody else."""
    return os.geteuid() == 0


def find_identity(user: str | None, group: str | None) -> Identity | None:
    """Look up a user and a group, each a name or a number; ``None`` where we are both already.

    Without a group it is the user's own, with all that it is a member of. Raises IdentityError.
    """
    import pwd

    if user is None and group is None:
        return None
    try:
        entry = _entry(user) if user is not None else pwd.getpwuid(os.geteuid())
    except (KeyError, OverflowError):
        raise IdentityError(f"there is no user {user if user is not None else os.geteuid()}") from None
    gid = entry.pw_gid if group is None else _group_id(group)
    if entry.pw_uid == os.geteuid() and (group is None or gid == os.getegid()):
        return None
    if not may_change_identity():
        raise IdentityError("only a master that runs as root can start agents as somebody else")
    variables = {} if user is None else {
        "HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name,
        "SHELL": entry.pw_shell or "/bin/sh",
    }  # fmt: skip
    return Identity(entry.pw_uid, gid, tuple(os.getgrouplist(entry.pw_name, gid)), variables)


def _entry(user: str) -> pwd.struct_passwd:
    import pwd

    return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)


def _group_id(group: str) -> int:
    import grp

    try:
        return (grp.getgrgid(int(group)) if group.isdecimal() else grp.getgrnam(group)).gr_gid
    except (KeyError, OverflowError):
        raise IdentityError(f"there is no group {group}") from None
