"""What a program has to know in its next life: saved whole or not at all.

    from pypm import agent

    state = agent.checkpoint.load(default={"step": 0})
    ...
    agent.checkpoint.save(state)

A checkpoint is a file of its own in the state folder: a line with format, length and SHA-256, then the data.
It is written under another name, synced to the disk, and renamed; the last ones before it are kept. So a
process that is killed, or a machine that loses its power, at any moment leaves the checkpoint before or the
new one, never half of one. Threads, forked children and other processes may save at the same time; the last
one counts.

These are the only functions of ``pypm.agent`` that may raise (CheckpointError): who believes that something
was saved which was not, loses it.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import Any

__all__ = ["CheckpointError", "load", "save", "state_folder"]

VERSION = 1
KEPT = 3
PREFIX = "checkpoint"
RANDOM_DIGITS = 8
NEW_PREFIX = ".new-checkpoint."
LONGEST_HEADER = 200
ATTEMPTS = 5

_lock = threading.RLock()
"""Saves of one process come one after the other, so that the last one to begin is the last one."""


class CheckpointError(Exception):
    """A checkpoint could not be saved or read; the ones before are as they were."""


def save(obj: object, *, folder: str | os.PathLike[str] | None = None, keep: int = KEPT) -> str:
    """Save a checkpoint; returns the path of its file when it is on the disk.

    Takes an object that ``json.dumps`` takes (with what that changes: tuples become lists, keys become text),
    or bytes, which are saved as they are; how many checkpoints to ``keep``, this one included; and the
    ``folder``, unless it is to be ``state_folder()``.
    Raises CheckpointError where the object is no JSON or the disk does not take it.
    """
    kind, data = _encoded(obj)
    place = state_folder(folder)
    try:
        with _lock:
            path = _write_again(place, kind, data)
            for name in _checkpoints(place)[max(1, keep) :]:
                _remove(os.path.join(place, name))
    except OSError as error:
        raise CheckpointError(f"the checkpoint could not be saved in {place}: {error}") from error
    return path


def load(default: Any = None, *, folder: str | os.PathLike[str] | None = None) -> Any:
    """Return what was saved last, or ``default`` where nothing was.

    One that is damaged is told to the log (``logging``, as an error of ``pypm.agent``) and the one before is
    taken. Raises CheckpointError where one cannot be read, or was written by a newer version: then to begin
    anew would be the wrong answer.
    """
    place = state_folder(folder)
    useless: set[str] = set()
    while True:
        try:
            names = [name for name in _checkpoints(place) if name not in useless]
            if not names:
                return default
            with open(os.path.join(place, names[0]), "rb") as file:
                content = file.read()
        except FileNotFoundError:  # somebody saves meanwhile, and has removed it as an old one
            useless.add(names[0])
            continue
        except OSError as error:
            raise CheckpointError(f"the checkpoint in {place} cannot be read: {error}") from error
        try:
            return _decoded(content)
        except ValueError as error:
            useless.add(names[0])
            _tell(f"{os.path.join(place, names[0])} is damaged ({error}): going back to the one before")


def state_folder(folder: str | os.PathLike[str] | None = None) -> str:
    """Return where checkpoints are: the argument, or what the service manager or else the person has set.

    That is ``PYPM_STATE_DIR``, the instance's own folder under pypm; systemd's ``STATE_DIRECTORY``; or a
    folder of the program's name in ``XDG_STATE_HOME``, by default ``~/.local/state``.
    """
    if folder is not None:
        return os.path.abspath(folder)
    given = os.environ.get("PYPM_STATE_DIR") or os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return given
    states = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(states, _program_name())


def _program_name() -> str:
    path = sys.argv[0] if sys.argv else ""
    name = os.path.splitext(os.path.basename(path))[0]
    if name == "__main__":  # python -m package
        name = os.path.basename(os.path.dirname(os.path.abspath(path)))
    return "python" if name.startswith("-") or not name.strip(".") else name


# --- the form ---


def _encoded(obj: object) -> tuple[str, bytes]:
    if isinstance(obj, bytes | bytearray | memoryview):
        return "bytes", bytes(obj)
    import json

    try:
        return "json", json.dumps(obj).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"this cannot be a checkpoint, as it is no JSON: {error}") from error


def _header(kind: str, data: bytes) -> bytes:
    return f"pypm-checkpoint {VERSION} {kind} {len(data)} {_digest(kind, data)}\n".encode()


def _decoded(content: bytes) -> Any:
    """The object in a file; raises ValueError where it is damaged, CheckpointError where it is newer."""
    import json

    line, newline, data = content[:LONGEST_HEADER].partition(b"\n")
    words = line.split(b" ")
    if not newline or len(words) < 2 or words[0] != b"pypm-checkpoint":
        raise ValueError("it does not begin as one")
    if words[1] != str(VERSION).encode():
        version = words[1].decode("utf-8", "replace")
        raise CheckpointError(f"the checkpoint has the form {version}, which this version does not know")
    data = content[len(line) + 1 :]
    kind = words[2].decode("ascii", "replace") if len(words) == 5 else ""
    if _header(kind, data) != line + newline:
        raise ValueError("length or checksum are wrong")
    return data if kind == "bytes" else json.loads(data)


def _digest(kind: str, data: bytes) -> str:
    import hashlib

    digest = hashlib.sha256(f"{kind}\n".encode())
    digest.update(data)
    return digest.hexdigest()


# --- the files ---


def _checkpoints(folder: str) -> list[str]:
    """The names of the checkpoints, newest first; none where there is no folder."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted((name for name in names if _number(name)), key=_order, reverse=True)


def _order(name: str) -> tuple[int, str]:
    return (_number(name), name)


def _number(name: str) -> int:
    """The number of a checkpoint; 0 where the name is not that of one: the folder may hold other files."""
    word, _, rest = name.partition(".")
    number, _, unique = rest.partition(".")
    process, _, random = unique.partition("-")
    is_ours = word == PREFIX and process.isdecimal() and len(random) == RANDOM_DIGITS
    return int(number) if is_ours and number.isascii() and number.isdecimal() else 0


def _write_again(folder: str, kind: str, data: bytes) -> str:
    """Write a checkpoint; once more where somebody took the new file for an abandoned one, or the folder."""
    for _ in range(ATTEMPTS - 1):
        with suppress(FileNotFoundError):
            _make_private_folder(folder)
            _remove_abandoned(folder)
            return _write(folder, kind, data)
    return _write(folder, kind, data)


def _write(folder: str, kind: str, data: bytes) -> str:
    """Write a checkpoint under a name of its own, and give it its place when it is whole on the disk."""
    unique = f"{os.getpid()}-{os.urandom(RANDOM_DIGITS // 2).hex()}"
    new = os.path.join(folder, f"{NEW_PREFIX}{unique}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            _lock_file(descriptor)
            _write_all(descriptor, _header(kind, data))
            _write_all(descriptor, data)
            os.fsync(descriptor)
            number = max(map(_number, _checkpoints(folder)), default=0) + 1
            path = os.path.join(folder, f"{PREFIX}.{number:012}.{unique}")
            os.rename(new, path)
        finally:
            os.close(descriptor)
    except BaseException:
        _remove(new)
        raise
    _sync_folder(folder)
    return path


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _lock_file(descriptor: int) -> None:
    """Show others that who writes this file is still at it."""
    import fcntl

    with suppress(OSError):  # a file system without locks: what is abandoned is not told from the rest
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_abandoned(folder: str) -> None:
    """Remove what a process that was killed while it saved has left; a full disk may need the place."""
    import fcntl

    for name in os.listdir(folder):
        if not name.startswith(NEW_PREFIX):
            continue
        path = os.path.join(folder, name)
        with suppress(OSError):  # locked by its writer, or gone
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
            finally:
                os.close(descriptor)


def _remove(path: str) -> None:
    with suppress(OSError):  # it is gone, or stays until the next save: nothing depends on it
        os.unlink(path)


def _make_private_folder(folder: str) -> None:
    """Make a folder, and what is missing above it, for its owner only."""
    if os.path.isdir(folder):
        return
    parent = os.path.dirname(folder)
    if parent != folder:
        _make_private_folder(parent)
    with suppress(FileExistsError):  # somebody else was quicker
        os.mkdir(folder, 0o700)
        _sync_folder(parent)


def _sync_folder(folder: str) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _tell(text: str) -> None:
    import logging

    logging.getLogger("pypm.agent").error("%s", text)


def _new_lock_in_child() -> None:
    """A thread of the parent may have been saving; its part of the lock is not the child's."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_new_lock_in_child)
