"""Start a process that is held before its program until it has got its limits.

Limits belong to a process, so nobody but the new one can have them, and it must have them before its
program can use any. A fork that runs our own code costs several times as much as all else here, and another
program in between (``prlimit``) as much as the start itself. But ``posix_spawn`` opens files in the new
process before it executes the program. So it opens two: a FIFO, and lets go of it, which tells us that it is
there; and for writing a file on which we have a lease, which makes it wait until we give that up (or die),
after it has been given what it is to have.

The call itself is made by a thread that lets go of the interpreter meanwhile, and that has a folder and a
umask of its own, which the new process inherits.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import select
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence

__all__ = ["CannotHoldError", "Start", "is_possible", "spawn_held"]

_CLONE_FS = 0x200
_SET_DEFAULT_SIGNALS = 0x04
_SET_SESSION = 0x80
_ROOM = 1024
"""Bytes for one of the C library's structures; the largest has 336."""
_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores, and a new process shall not."""
_FUNCTIONS = ("unshare", "posix_spawn", "posix_spawn_file_actions_addclosefrom_np")
_DIGITS = 20
"""Room for a pid."""
_ABOVE_PASSED = 10
"""The first number that no descriptor is passed at."""


class CannotHoldError(Exception):
    """Not here, or not this process; nothing was started."""


class Start:
    """What is to be started: the arguments of a process as ``subprocess.Popen`` has them.

    ``pid_variable`` is the name of a variable that gets the pid.
    """

    def __init__(
        self,
        command: Sequence[str],
        cwd: str,
        env: Mapping[str, str],
        umask: int,
        standard: tuple[int, int, int],
        passed: Sequence[int],
        pid_variable: str | None = None,
    ) -> None:
        words = [os.fsencode(word) for word in command]
        variables = [os.fsencode(f"{name}={value}") for name, value in env.items() if name != pid_variable]
        if any(b"\0" in text for text in (*words, *variables, os.fsencode(cwd))):
            raise ValueError("embedded null byte")
        if b"/" not in words[0] or any(number >= _ABOVE_PASSED for number in passed):
            raise CannotHoldError
        self.program = words[0]
        self.words = (ctypes.c_char_p * (len(words) + 1))(*words, None)
        self._pid = ctypes.create_string_buffer(os.fsencode(f"{pid_variable}=") + bytes(_DIGITS))
        own = [] if pid_variable is None else [ctypes.cast(self._pid, ctypes.c_char_p)]
        self.variables = (ctypes.c_char_p * (len(variables) + len(own) + 1))(*variables, *own, None)
        self.cwd = cwd
        self.umask = umask
        self.standard = standard
        self.passed = passed

    def tell_pid(self, pid: int) -> None:
        """Write the pid into the variables, which the process that is held still shares with us."""
        self._pid.value = self._pid.value.partition(b"=")[0] + b"=%d" % pid


class _Gate:
    """What a new process opens: a FIFO, and a file that makes it wait."""

    def __init__(self) -> None:
        self.arrival = self._make_fifo()
        memory = os.memfd_create("pypm-held", os.MFD_CLOEXEC)
        self.way = self._above(os.open(_path(memory), os.O_PATH | os.O_CLOEXEC))
        self.lease = self._above(os.open(_path(memory), os.O_RDONLY | os.O_CLOEXEC))
        os.close(memory)  # a lease for reading is to be had only where nobody can write
        self.close()
        self.open()
        self.over = self._above(os.eventfd(0, os.EFD_CLOEXEC))
        """Can be read when the call of a thread has come back, or was not made."""
        self.lock = threading.Lock()

    def close(self) -> None:
        """Let processes wait. Raises OSError."""
        # The signal that somebody waits: the default one would end us, and is back with the end of a lease.
        fcntl.fcntl(self.lease, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(self.lease, fcntl.F_SETLEASE, fcntl.F_RDLCK)

    def open(self) -> None:
        """Let go who waits."""
        with contextlib.suppress(OSError):  # the kernel has done so, after /proc/sys/fs/lease-break-time
            fcntl.fcntl(self.lease, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    def _make_fifo(self) -> int:
        folder = tempfile.mkdtemp(prefix="pypm-")
        path = os.path.join(folder, "arrival")
        try:
            os.mkfifo(path, 0o600)
            found = os.open(path, os.O_PATH | os.O_CLOEXEC)
            os.unlink(path)
        finally:
            os.rmdir(folder)
        return self._above(found)

    def _above(self, descriptor: int) -> int:
        """The same at a number that no descriptor is passed at."""
        try:
            return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _ABOVE_PASSED)
        finally:
            os.close(descriptor)


def _path(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def _gate() -> _Gate | None:
    """Made when it is first needed; None where this machine lacks something for it."""
    if not os.path.exists(f"/proc/self/task/{threading.get_native_id()}/children"):
        return None  # the kernel is built without it
    if not all(hasattr(_library(), name) for name in _FUNCTIONS):
        return None  # another C library, or an older one
    if not _may_have_own_folder():
        return None  # a container may forbid it
    try:
        return _Gate()
    except OSError:
        return None


def _may_have_own_folder() -> bool:
    """Whether a thread may have a folder and a umask of its own."""
    outcome: list[int] = []
    thread = threading.Thread(target=lambda: outcome.append(_library().unshare(_CLONE_FS)))
    try:
        thread.start()
    except RuntimeError:  # there are as many threads as there may be
        return False
    thread.join()
    return outcome == [0]


def is_possible() -> bool:
    """Whether this machine has what it takes."""
    return _gate() is not None


def spawn_held(start: Start, prepare_thread: Callable[[], None], prepare: Callable[[int], None]) -> int:
    """Start a process in a session of its own; gives its pid. The caller reaps it.

    ``prepare_thread`` is called in the thread that starts it, for what is inherited from that; ``prepare``
    with the pid of the process that is held: what either raises is raised here, and there is no process then.
    Raises OSError where the kernel refuses, and CannotHoldError where this cannot be done here.
    """
    gate = _gate()
    if gate is None:
        raise CannotHoldError
    with gate.lock:
        return _Spawning(gate, start, prepare_thread).run(prepare)


class _Spawning:
    """One start: a thread that makes the call, and whoever wants it, who lets the process go on."""

    def __init__(self, gate: _Gate, start: Start, prepare_thread: Callable[[], None]) -> None:
        self._gate = gate
        self._start = start
        self._prepare_thread = prepare_thread
        self._pid = 0
        self._children = -1
        """Tells the children of the thread."""
        self._error: BaseException | None = None
        self._has_left = _thread.allocate_lock()

    def run(self, prepare: Callable[[int], None]) -> int:
        gate = self._gate
        arrival = os.open(_path(gate.arrival), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            gate.close()
            try:
                self._begin()
            except OSError:
                gate.open()
                raise
            try:
                held_pid = self._held_pid() if self._has_arrived(arrival) else 0
                failure = self._prepare(held_pid, prepare) if held_pid else None
            finally:
                gate.open()
                self._wait_for_thread()
        finally:
            os.close(arrival)
        if self._error is not None and failure is None:
            raise self._error
        if not held_pid:  # it was killed, or we have stood still for longer than the kernel lets anybody wait
            failure = self._prepare(self._pid, prepare)
        if failure is not None:
            if self._pid:
                os.waitpid(self._pid, 0)
            raise failure
        return self._pid

    def _begin(self) -> None:
        """Let a thread make the call."""
        self._has_left.acquire()
        try:
            # Without what ``threading`` adds, which takes a tenth of the whole time.
            _thread.start_new_thread(self._work, ())
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error

    def _has_arrived(self, arrival: int) -> bool:
        """Wait until the process is there; False if there will be none."""
        poll = select.poll()
        poll.register(arrival, 0)  # it has opened the other end, and closed it again
        poll.register(self._gate.over, select.POLLIN)
        return all(descriptor == arrival for descriptor, _ in poll.poll())

    def _held_pid(self) -> int:
        """The only child of the thread; 0 if that has ended, with the thread."""
        return int(os.pread(self._children, 64, 0) or 0)

    def _prepare(self, pid: int, prepare: Callable[[int], None]) -> Exception | None:
        """Give the process what it is to have; one that cannot have it is ended."""
        self._start.tell_pid(pid)
        try:
            prepare(pid)
        except Exception as error:  # all of them are the caller's, once the process is gone
            os.kill(pid, signal.SIGKILL)
            return error
        return None

    def _wait_for_thread(self) -> None:
        """Wait until the call has come back: nothing is left of it for the next start."""
        self._has_left.acquire()
        os.eventfd_read(self._gate.over)
        if self._children >= 0:
            os.close(self._children)

    def _work(self) -> None:
        try:
            self._children = os.open(
                f"/proc/self/task/{_thread.get_native_id()}/children", os.O_RDONLY | os.O_CLOEXEC
            )
            self._enter_folder()
            self._prepare_thread()
            self._call()
        except BaseException as error:  # all of them are the caller's
            self._error = error
        finally:
            os.eventfd_write(self._gate.over, 1)
            self._has_left.release()

    def _enter_folder(self) -> None:
        if _library().unshare(_CLONE_FS) != 0:
            raise CannotHoldError
        os.umask(self._start.umask)
        os.chdir(self._start.cwd)

    def _call(self) -> None:
        library, start = _library(), self._start
        pid = ctypes.c_int()
        actions = ctypes.create_string_buffer(_ROOM)
        library.posix_spawn_file_actions_init(actions)
        try:
            self._describe(library, actions)
            number = library.posix_spawn(
                ctypes.byref(pid), start.program, actions, _attributes(), start.words, start.variables
            )
        finally:
            library.posix_spawn_file_actions_destroy(actions)
        if number != 0:
            raise OSError(number, os.strerror(number), os.fsdecode(start.program))
        self._pid = pid.value

    def _describe(self, library: ctypes.CDLL, actions: object) -> None:
        """Say what the new process does before it executes its program."""
        gate, start = self._gate, self._start
        number = _free_number(start)
        done = [
            # Its own copy of the lease would hold it back though we had died.
            library.posix_spawn_file_actions_addclose(actions, gate.lease),
            # For reading as well: nobody waits at a FIFO then, if we have died.
            *(
                library.posix_spawn_file_actions_addopen(
                    actions, number, os.fsencode(_path(descriptor)), os.O_RDWR, 0
                )
                for descriptor in (gate.arrival, gate.way)
            ),
        ]
        targets = [*enumerate(start.standard), *((number, number) for number in start.passed)]
        done += [
            library.posix_spawn_file_actions_adddup2(actions, source, number) for number, source in targets
        ]
        lowest = 3
        if start.passed:
            lowest = _ABOVE_PASSED
            others = set(range(3, lowest)) - set(start.passed)
            done += [library.posix_spawn_file_actions_addclose(actions, number) for number in others]
        done.append(library.posix_spawn_file_actions_addclosefrom_np(actions, lowest))
        if any(done):
            raise CannotHoldError


def _free_number(start: Start) -> int:
    """A number at which the new process may open something.

    A low one: it is let go with its limits, one of which may be that of open files.
    """
    taken = {*start.standard, *start.passed}
    try:
        return next(number for number in range(3, _ABOVE_PASSED) if number not in taken)
    except StopIteration:
        raise CannotHoldError from None


@functools.cache
def _attributes() -> object:
    """A session of its own, and signals as a program expects them, in the C library's own form."""
    library = _library()
    attributes, signals = ctypes.create_string_buffer(_ROOM), ctypes.create_string_buffer(_ROOM)
    library.sigemptyset(signals)
    for number in _RESTORED:
        library.sigaddset(signals, int(number))
    library.posix_spawnattr_init(attributes)
    flags = ctypes.c_short(_SET_SESSION | _SET_DEFAULT_SIGNALS)
    done = [
        library.posix_spawnattr_setsigdefault(attributes, signals),
        library.posix_spawnattr_setflags(attributes, flags),
    ]
    if any(done):
        raise CannotHoldError
    return attributes
