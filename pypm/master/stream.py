"""One stream of an instance: its pipe, which outlives runs and masters, and the pump from there into logs."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sys
import termios
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from pypm.core.instance import Run
from pypm.logs.carry import MemoryCarry
from pypm.logs.pump import PIPE, Pump
from pypm.logs.record_pump import RecordPump, Settings
from pypm.logs.writer import LogFile
from pypm.master.forms import (
    by_lines,
    carry_name,
    new_carry,
    raw_form,
    read_settings,
    taken_carry,
    with_known,
)
from pypm.master.pipe_sizes import PipeSizes

__all__ = ["Keeper", "Stream", "find_pipe"]

log = logging.getLogger(__name__)

REST = 0.002
"""Seconds for which a busy stream is left alone when its pipe was not even half full."""
WINDOW = 0.01
"""Seconds over which it is measured how fast bytes come."""
FIRST_RETRY = 0.05
LAST_RETRY = 1.0
"""Seconds between two tries to write to a log whose disk takes nothing, when nothing may be dropped."""


class Keeper(Protocol):
    """Holds descriptors by name for the next master."""

    def holds(self, name: str) -> bool:
        """Whether the last master has left something under this name."""

    def take(self, name: str) -> int | None:
        """What the last master has left under this name."""

    def hold(self, descriptors: dict[str, int]) -> None:
        """Keep these, from now on."""

    def holding_together(self) -> AbstractContextManager[None]:
        """What is to be kept meanwhile is safe at the end, for the price of one."""

    def drop(self, names: Iterable[str]) -> None:
        """Keep these no longer."""


class Stream:
    """One stream of an instance: a pipe whose write end is kept, so that it has no end between runs.

    ``name`` is that under which the guardian holds the read end.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        keeper: Keeper,
        sizes: PipeSizes,
        name: str,
        lost: int | None = None,
    ) -> None:
        self._loop = loop
        self._keeper = keeper
        self._sizes = sizes
        self._name = name
        read = keeper.take(name)
        if read is None and lost is not None:
            read = lost
            keeper.hold({name: read})
        if read is None:
            self._read, self._write = os.pipe2(os.O_CLOEXEC)
            fcntl.fcntl(self._read, fcntl.F_SETFL, os.O_NONBLOCK)
            keeper.hold({name: self._read})
        else:
            self._read = read
            self._write = os.open(f"/proc/self/fd/{read}", os.O_WRONLY | os.O_CLOEXEC)
        self.inode = os.fstat(self._read).st_ino
        self.pump: Pump | RecordPump = Pump(self._read, [])
        self._carry: MemoryCarry | None = None
        sizes.adopt(self.pump)
        self._retry_delay = 0.0
        self._retrying: asyncio.TimerHandle | None = None
        self._is_waiting = False
        self._mark = (0, 0.0)
        """How much had been moved when it was last measured how fast that goes."""
        self._is_leisurely = False
        self._is_begun = False
        """It is known where the bytes go; until then they stay in the pipe."""

    def open_writer(self) -> int:
        """A write end for one run, to be closed after the spawn.

        It is opened anew, so that flags which one run sets on it (node makes it non-blocking) are not found
        by the next run.
        """
        return os.open(f"/proc/self/fd/{self._write}", os.O_WRONLY | os.O_CLOEXEC)

    def recover(self, open_files: Callable[[Sequence[str]], list[LogFile]]) -> list[LogFile]:
        """Finish what the last master was writing as records; gives the files, which were opened for that."""
        carry = taken_carry(self._keeper, self._name)
        if carry is None:
            return []
        settings = read_settings(carry)
        files = open_files(settings.paths)
        pump = RecordPump(self._read, files, settings, carry)
        self._use(pump, carry)
        pump.recover()
        return files

    def arrange(self, files: Sequence[LogFile], settings: Settings | None) -> None:
        """Go on into these files; ``settings`` is None where the bytes go into them as they are."""
        if isinstance(self.pump, RecordPump):
            before = self.pump.settings
            self.pump.replace_files(files)
            if settings is not None:
                self.pump.reframe(with_known(settings, before))
            elif before.framing.form != "lines":  # that goes on until the next run: a line may have begun
                self.pump.reframe(raw_form(before))
            self._leave_form()
        elif settings is None:
            # A stream that lost its files keeps its pipe: the present run writes there.
            self.pump.replace_files(files)
        else:
            self._use_records(files, settings)
        if not self._is_begun:
            self._is_begun = True
            self._loop.add_reader(self._read, self._readable)

    def begin_run(self, settings: Settings | None) -> None:
        """What comes from now on is another run's output."""
        if isinstance(self.pump, RecordPump):
            if settings is None:
                settings = by_lines() if self._is_shared() else raw_form(self.pump.settings)
            self.pump.begin_run(settings)
            self._leave_form()

    def drain(self) -> None:
        """Move what is in the pipe now."""
        self.pump.drain()
        self._moved()

    def settle(self) -> None:
        """Move what is in the pipe now; a line that was begun may wait where that outlives this master."""
        self.pump.settle()
        self._moved()

    def resume(self) -> None:
        """Go on after another master has had the pipe, and is gone."""
        if isinstance(self.pump, RecordPump):
            self.pump.resume()

    @property
    def is_slow(self) -> bool:
        """Something is still under way to a log on a slow file system."""
        return self._is_waiting and self._retrying is None

    def _moved(self) -> None:
        if self.pump.blocked and not self._is_waiting:
            self._wait()

    def _use(self, pump: Pump | RecordPump, carry: MemoryCarry | None) -> None:
        self._sizes.forget(self.pump)
        self.pump, self._carry = pump, carry
        self._sizes.adopt(pump)

    def _use_records(self, files: Sequence[LogFile], settings: Settings) -> None:
        self.pump.close()
        carry = new_carry(self._keeper, self._name)
        pump = RecordPump(self._read, files, settings, carry)
        self._use(pump, carry)
        pump.go_on_verbatim()

    def _is_shared(self) -> bool:
        """Other streams write into these files, also such of other apps: that may have begun only now."""
        return any(file.users > 1 for file in self.pump.files)

    def _leave_form(self) -> None:
        """Let the kernel move the bytes, once the last line that was begun as a record has ended."""
        if isinstance(self.pump, RecordPump) and self.pump.is_done:
            files = self.pump.files
            self._drop_carry()
            self._use(Pump(self._read, files), None)

    def _drop_carry(self) -> None:
        if self._carry is not None:
            self._keeper.drop([carry_name(self._name)])
            self._carry.close()

    def _readable(self) -> None:
        if isinstance(self.pump, Pump) and self.pump.is_shared:
            # What that pump reads and holds back until its line has ended would be lost with this process.
            self._use_records(self.pump.files, by_lines())
        pump = self.pump
        moved = pump.turn()
        if pump.blocked:
            self._wait()
        else:
            self._sizes.look(pump)
            if self._may_rest(moved):
                self._rest()
        self._leave_form()

    def _may_rest(self, moved: int) -> bool:
        """Whether the pipe is large, and its writer so slow that he does not fill it during a rest."""
        capacity = self.pump.capacity
        if capacity <= PIPE:
            return False
        now = self._loop.time()
        before, at = self._mark
        if now - at >= WINDOW:
            self._is_leisurely = self.pump.moved - before < capacity * (now - at) / (2 * REST)
            self._mark = (self.pump.moved, now)
        return self._is_leisurely and 0 < moved < capacity // 2

    def _rest(self) -> None:
        """Let the large pipe of a busy stream fill: its writer is slower than we are, and each turn costs."""
        self._loop.remove_reader(self._read)
        self._is_waiting = True
        self._retrying = self._loop.call_later(REST, self._retry)

    def _wait(self) -> None:
        """Read nothing until a file takes something again; the writer waits when the pipe is full."""
        self._loop.remove_reader(self._read)
        self._is_waiting = True
        if not any(file.when_ready(self._ready) for file in self.pump.files):
            self._retry_delay = min(max(2 * self._retry_delay, FIRST_RETRY), LAST_RETRY)
            self._retrying = self._loop.call_later(self._retry_delay, self._retry)

    def _ready(self) -> None:
        """What was under way with a file is done."""
        if self._is_waiting and self._retrying is None:
            if self.pump.blocked:
                self._wait()
            else:
                self._retry()

    def _retry(self) -> None:
        self._retrying, self._is_waiting = None, False
        moved = self.pump.retry()
        if moved:
            self._retry_delay = 0.0
        if self.pump.blocked:
            self._wait()
        elif self._may_rest(moved):
            self._rest()
        else:
            self._loop.add_reader(self._read, self._readable)

    def close(self) -> None:
        self._is_waiting = False
        if self._retrying is not None:
            self._retrying.cancel()
            self._retrying = None
        self._loop.remove_reader(self._read)
        self.pump.drain()
        self.pump.close()
        if self.pump.blocked and (lost := waiting_bytes(self._read)):
            log.error("%s: %s bytes that no disk has taken are given up", self._name, lost)
        self._sizes.forget(self.pump)
        self._keeper.drop([self._name])
        self._drop_carry()
        os.close(self._read)
        os.close(self._write)


def waiting_bytes(pipe: int) -> int:
    """Bytes that are in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def find_pipe(run: Run | None, name: str) -> int | None:
    """A new read end of the pipe that is a living run's stdout or stderr; None if it cannot be had.

    For when guardian and master died together and nobody holds the pipe's read end any more: what the run has
    not written since can still be read. The inode number tells that it is our pipe, not one of the program's.
    """
    if run is None:
        return None
    number, inode = (1, run.pipes[0]) if name == "out" else (2, run.pipes[1])
    path = f"/proc/{run.main_pid}/fd/{number}"
    try:
        if not inode or os.readlink(path) != f"pipe:[{inode}]":
            return None
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
