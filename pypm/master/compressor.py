"""Starts the program that compresses a rotated file, one file at a time, and gives its work a name."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import sys
from collections.abc import Callable

from pypm.logs.inventory import partial_path
from pypm.logs.rotation import SUFFIXES, Compression, Generation, put_compressed, remove

__all__ = ["Compressor"]

log = logging.getLogger(__name__)

ANSWER = 4096
PROGRAM = "import sys; sys.path[:] = {path!r}; from pypm.logs.compress import main; sys.exit(main())"


class Compressor:
    """At most one file is compressed at a time. ``on_done`` is called after each.

    ``carry_out`` has the last step, the change of names, done for a file where no rotation crosses it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_done: Callable[[], None],
        carry_out: Callable[[Generation, Callable[[], None]], None],
    ) -> None:
        self._loop = loop
        self._on_done = on_done
        self._carry_out = carry_out
        self._file: Generation | None = None
        self._partial = ""
        self._output = -1
        self._process = -1

    @property
    def partial(self) -> str:
        """The unfinished file of now; empty if there is none."""
        return self._partial if self._file is not None else ""

    @property
    def busy(self) -> bool:
        """A file is being compressed."""
        return self._file is not None

    def start(self, file: Generation, kind: Compression) -> None:
        """Begin to compress ``file``. Raises ``OSError`` where no process can be started."""
        partial = partial_path(file, SUFFIXES[kind])
        numbers = (file.number, file.size, file.modified, *file.identity)
        words = [file.path, partial, kind, *map(str, numbers)]
        command = [sys.executable, "-I", "-S", "-c", PROGRAM.format(path=sys.path), *words]
        read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            null = "/dev/null"
            pid = os.posix_spawn(
                command[0],
                command,
                {},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, null, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, write, 1),
                    (os.POSIX_SPAWN_OPEN, 2, null, os.O_WRONLY, 0),
                ],
                setsid=True,
            )
            # It is reaped as every child is of which nobody waits for the end; what it says is enough.
            self._process = os.pidfd_open(pid)
        except OSError:
            os.close(read)
            raise
        finally:
            os.close(write)
        self._file, self._partial, self._output = file, partial, read
        self._loop.add_reader(read, self._answered)

    def close(self) -> None:
        """End what is being done; the next master begins it anew."""
        if self._file is None:
            return
        self._loop.remove_reader(self._output)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
        self._forget()

    def _forget(self) -> None:
        os.close(self._output)
        os.close(self._process)
        self._file = None

    def _answered(self) -> None:
        """It has said what it made, or why it made nothing; or it was killed and says nothing."""
        file = self._file
        assert file is not None
        answer = os.read(self._output, ANSWER).decode(errors="replace").strip()
        self._loop.remove_reader(self._output)
        self._forget()
        if answer.isdigit():
            self._carry_out(file, functools.partial(put, file, self._partial, int(answer)))
        else:
            # Now, as it may be a full disk for which it failed.
            self._carry_out(file, functools.partial(drop, self._partial))
            log.warning("%s was not compressed: %s", file.path, answer or "the compressing was ended")
        self._on_done()


def drop(partial: str) -> None:
    """Delete the beginning of what was to be made; where that cannot be, the next look at all does it."""
    with contextlib.suppress(OSError):
        remove(partial)


def put(file: Generation, partial: str, inode: int) -> None:
    """Give what was made of ``file`` its name."""
    try:
        put_compressed(file, partial, inode)
    except OSError as error:
        log.warning("%s was not compressed: %s", file.path, error)
