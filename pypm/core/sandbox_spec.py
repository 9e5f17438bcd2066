"""What an app's sandbox is, in systemd's words, and which sandboxes nobody can make."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from pypm.core.spec import AppSpec

__all__ = ["HOMES", "MAY_BE_MISSING", "PATH_KEYS", "SandboxSpec", "fault_of_sandbox", "is_below"]

MAY_BE_MISSING = "-"
"""Before a path: where there is no such path, nothing is done about it."""
HOMES = ("/home", "/root", "/run/user")
"""The folders of ``protect_home``."""
PATH_KEYS = ("read_write_paths", "read_only_paths", "inaccessible_paths")


class SandboxSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the processes of an app can see and change, as systemd.exec(5) has it.

    Paths are absolute, with ``MAY_BE_MISSING`` before those that may be. Of two that are one below the
    other, the lower one says how it is there.
    """

    protect_system: Literal["no", "yes", "full", "strict"] = "no"
    """Read-only: ``yes``: /usr and the boot loader; ``full``: /etc too; ``strict``: all but /dev, /proc and
    /sys."""
    protect_home: Literal["no", "yes", "read-only", "tmpfs"] = "no"
    """``HOMES``: ``yes``: empty, ``read-only``, or ``tmpfs``: empty but for what other keys show of them."""
    read_write_paths: tuple[str, ...] = ()
    read_only_paths: tuple[str, ...] = ()
    inaccessible_paths: tuple[str, ...] = ()
    private_tmp: bool = False
    private_devices: bool = False
    private_network: bool = False
    private_ipc: bool = False
    private_pids: bool = False
    protect_kernel_tunables: bool = False
    protect_control_groups: bool = False
    protect_hostname: bool = False


def is_below(path: str, folder: str) -> bool:
    """Whether a path is that of a folder or of something in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def fault_of_sandbox(spec: AppSpec) -> str:
    """Say why there cannot be such a sandbox; empty if there can be."""
    sandbox = spec.sandbox
    if sandbox is None:
        return ""
    if not spec.treekill:
        return "treekill: false is not possible: a sandbox is ended as a whole"
    paths = {key: [each.removeprefix(MAY_BE_MISSING) for each in getattr(sandbox, key)] for key in PATH_KEYS}
    for key, listed in paths.items():
        if wrong := [path for path in listed if path != posixpath.normpath(path) or path[:1] != "/"]:
            return f"sandbox.{key}: {wrong[0]} is no absolute path"
        if any("\0" in path for path in listed):
            return f"sandbox.{key}: there is a NUL in a path"
    every = [path for listed in paths.values() for path in listed]
    if twice := [path for path in every if every.count(path) > 1]:
        return f"sandbox: {twice[0]} is listed twice"
    if "/" in paths["inaccessible_paths"]:
        return "sandbox.inaccessible_paths: without / there is nothing to run"
    return _fault_of_hidden(sandbox, paths)


def _fault_of_hidden(sandbox: SandboxSpec, paths: dict[str, list[str]]) -> str:
    """What is to be seen, though what it is in is not."""
    for key in ("read_write_paths", "read_only_paths"):
        for path in paths[key]:
            if above := [each for each in paths["inaccessible_paths"] if is_below(path, each)]:
                return f"sandbox.{key}: {path} is below {above[0]} of inaccessible_paths"
            if sandbox.protect_home == "yes" and any(is_below(path, each) for each in HOMES):
                return (
                    f'sandbox.{key}: protect_home = true hides {path}; with protect_home = "tmpfs" it is seen'
                )
    return ""
