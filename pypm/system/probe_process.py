"""Questions to a command: it is run, waited for, and nothing of it is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from pypm.system.attributes import Attributes
from pypm.system.environment_of import environment_of
from pypm.system.reap import Death, peek
from pypm.system.sandboxed import unwrapped
from pypm.system.spawn import Child, spawn
from pypm.system.sweep import Mark, ProcessTable, send_to

__all__ = ["PROBE_VARIABLE", "Command", "Family", "end_left_probes", "run_command"]

PROBE_VARIABLE = "PYPM_PROBE"
"""The mark of a probe's processes: the kind of probe."""
KEPT = 4096
READS = 32
"""How often in a row the output is read: one that never ends must not hold the loop."""
HUNTS = 50
HUNT_PAUSE = 0.01
"""Seconds from one look for what is left to the next, and how often we look."""


class Command(NamedTuple):
    """What is run, and how."""

    words: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    umask: int
    open_files: int | None = None
    attributes: Attributes = Attributes()
    kept: int = KEPT
    """Bytes of the output that are kept, of its beginning."""
    keep_errors: bool = True
    """What it writes to stderr is part of the output; else nobody sees it."""


class Family(Protocol):
    """Who reaps the children of this process."""

    def keep(self, pid: int) -> None:
        """This child is ours to reap."""

    def let_go(self, pid: int) -> None:
        """It has been reaped."""


class CommandEnd(NamedTuple):
    """How a command ended, and the beginning of what it printed."""

    death: Death
    content: bytes

    @property
    def output(self) -> str:
        """What it printed, as text."""
        return self.content.decode("utf-8", "replace")


async def run_command(command: Command, family: Family) -> CommandEnd:
    """Run a command to its end; whoever is cancelled meanwhile kills all of it.

    Raises SpawnError where it cannot be started, OSError where there are no descriptors for it.
    """
    running = _Running(command, family)
    try:
        await running.ended
        return CommandEnd(running.death, running.output)
    finally:
        await running.clear()


class _Running:
    """A command that runs."""

    def __init__(self, command: Command, family: Family) -> None:
        self._loop = asyncio.get_running_loop()
        self._family = family
        self._kept = command.kept
        self.output = b""
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._read, write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read, False)
        self._pipe = os.fstat(self._read).st_ino
        self._pidfd = -1
        self._is_sandboxed = command.attributes.sandbox is not None
        try:
            self._child = _start(command, write)
            self._pidfd = _watch(self._child.pid)
        except BaseException:
            os.close(self._read)
            raise
        finally:
            os.close(write)
        family.keep(self._child.pid)
        self._reading = True
        self._loop.add_reader(self._read, self._more)
        self._loop.add_reader(self._pidfd, self._over)

    @property
    def death(self) -> Death:
        """How it ended."""
        death = peek(self._child.pid)
        assert death is not None
        return unwrapped(death) if self._is_sandboxed else death

    def _more(self) -> None:
        """It has printed something, or all who could have closed their ends."""
        for _ in range(READS):
            try:
                data = os.read(self._read, 65536)
            except BlockingIOError:
                return
            if not data:
                self._stop_reading()
                return
            self.output = (self.output + data)[: self._kept]

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._read)

    def _over(self) -> None:
        self._loop.remove_reader(self._pidfd)
        if self._reading:
            self._more()  # its last words
        if not self.ended.done():
            self.ended.set_result(None)

    async def clear(self) -> None:
        """End what is left, and reap."""
        pid = self._child.pid
        try:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            if self._reading:  # somebody holds the pipe: the command itself, or what it has left behind
                self._more()
            if self._reading or peek(pid) is None:
                await self._hunt()
        finally:
            self._stop_reading()
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            os.close(self._read)
            if peek(pid) is None:
                self._last_task = self._loop.create_task(self._reap())
            else:
                self._reap_now()

    def _reap_now(self) -> None:
        os.waitpid(self._child.pid, 0)
        self._family.let_go(self._child.pid)

    async def _reap(self) -> None:
        """What does not even die of SIGKILL, in the middle of a system call, is reaped when it does."""
        while peek(self._child.pid) is None:
            await asyncio.sleep(1.0)
        self._reap_now()

    async def _hunt(self) -> None:
        """Kill until there is nothing any more, whatever session it is in."""
        mark = Mark(self._child.pid, self._child.start_ticks, "", "", (self._pipe, 0))
        for _ in range(HUNTS):
            members = ProcessTable.read().members(mark)
            if not members:
                return
            for member in members:
                with contextlib.suppress(PermissionError):
                    send_to(member, signal.SIGKILL)
            await asyncio.sleep(HUNT_PAUSE)


def _watch(pid: int) -> int:
    """A descriptor that tells the end of a child of ours; without one there is no child."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _start(command: Command, output: int) -> Child:
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        return spawn(
            command.words,
            cwd=command.cwd,
            env=command.env,
            stdin=null,
            stdout=output,
            stderr=output if command.keep_errors else null,
            umask=command.umask,
            open_files=command.open_files,
            attributes=command.attributes,
        )
    finally:
        os.close(null)


def end_left_probes(home: str) -> int:
    """Kill the processes of probes that another master of ``home`` has left behind; gives how many."""
    count = 0
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) == os.getpid():
            continue
        env = environment_of(int(name))
        if env.get("PYPM_HOME") == home and PROBE_VARIABLE in env:
            count += _kill_probe(int(name), env)
    return count


def _kill_probe(pid: int, env: Mapping[str, str]) -> bool:
    """Kill a process, unless it is another one than the one with this environment."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if environment_of(pid) != env:
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(descriptor)
    return True
