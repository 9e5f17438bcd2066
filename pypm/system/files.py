"""Owner-only files and folders: made so, checked to be so, and replaced as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat

from pypm.core.errors import PypmError

__all__ = ["check_owner", "make_private_folder", "replace_file"]


def make_private_folder(path: str) -> None:
    """Make a folder (and what is missing above it) that only its owner can enter.

    A folder of ours with wider permissions is narrowed to 0700. Raises PypmError if it is no folder, cannot
    be made, or belongs to another user, as may a symbolic link that leads to one of ours.
    """
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        check_owner(path)
        if os.lstat(path).st_uid not in (os.geteuid(), 0):
            raise PypmError(f"{path} is a symbolic link that another user has made")
        if stat.S_IMODE(os.stat(path).st_mode) & 0o077:
            os.chmod(path, 0o700)
    except FileExistsError:
        raise PypmError(f"{path} is not a folder") from None
    except OSError as error:
        raise PypmError(f"cannot make the folder {path}: {error.strerror}") from error


def check_owner(path: str) -> None:
    """Raise PypmError if ``path`` belongs to another user."""
    owner = os.stat(path).st_uid
    if owner != os.geteuid():
        raise PypmError(
            f"{path} belongs to user id {owner}, and you are user id {os.geteuid()}",
            hint="set PYPM_HOME to a folder of your own",
        )


def replace_file(path: str, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically and durably, readable by the owner only.

    After a crash at any point it has either its old content or ``data``. Raises OSError and leaves
    the old file as it was when the disk is full or refuses.
    """
    temporary = f"{path}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(os.path.dirname(path))


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
