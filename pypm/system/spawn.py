"""Start one process as an agent: in a session and process group of its own, with the descriptors it gets."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from pypm.system import held
from pypm.system.attributes import Attributes, inherited_oom_score
from pypm.system.clock import boot_time
from pypm.system.limits import limit_open_files
from pypm.system.process import TICKS_PER_SECOND, start_ticks
from pypm.system.spawn_error import SpawnError

__all__ = ["PASSED_NUMBERS", "Child", "SpawnError", "keep_passed_numbers", "spawn"]

PASSED_NUMBERS = range(3, 10)
"""Numbers, after the three standard ones, at which a child may want a descriptor."""

_WORDS = {
    errno.ENOENT: "no such file or folder",
    errno.EACCES: "permission denied",
    errno.ENOEXEC: "it is no program that the kernel can execute (a script needs a first line with #!)",
    errno.ENOTDIR: "part of the path is no folder",
    errno.EAGAIN: "the limit of processes is reached",
    errno.EMFILE: "the limit of open files is reached",
    errno.ENOMEM: "there is not enough memory",
    errno.E2BIG: "its arguments and environment are too long",
}


class Child(NamedTuple):
    """A started process: its pid and its start time in clock ticks after boot."""

    pid: int
    start_ticks: int


def spawn(
    command: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    stdin: int,
    stdout: int,
    stderr: int,
    umask: int,
    open_files: int | None = None,
    passed: Mapping[int, int] | None = None,
    pid_variable: str | None = None,
    attributes: Attributes = Attributes(),  # noqa: B008 (it is immutable)
    on_begun: Callable[[Child], None] = lambda _: None,
) -> Child:
    """Start ``command`` in a session of its own; the caller reaps it.

    The descriptors become 0, 1 and 2; of others those are inherited that ``passed`` names by the number that
    they have in the child: one of ``PASSED_NUMBERS``, or the one that they have here.

    ``pid_variable`` gets the pid of the program: while the process is held, or where that cannot be from a
    shell that executes it, which drops variables whose names it does not like. Signals that this process
    ignores or blocks are ignored or blocked in the new one too: ``restore_signals`` sees to that.
    ``open_files`` is its soft limit, if that is not to be ours and ``attributes`` have none. ``on_begun`` is
    told of the process as soon as there is one: of one that is held before it gets anything, so the start may
    still fail. Raises SpawnError when the kernel refuses, which includes a missing program or cwd.
    """
    standard = (stdin, stdout, stderr)
    try:
        return _start(
            _Order(
                command,
                cwd,
                env,
                standard,
                umask,
                open_files,
                passed or {},
                attributes,
                pid_variable,
                on_begun,
                boot_time(),
            )
        )
    except OSError as error:
        raise SpawnError(_explain(error, command[0])) from error
    except ValueError as error:  # a NUL in an argument or in the environment
        raise SpawnError(str(error)) from error


class _Order(NamedTuple):
    """What ``spawn`` was asked for."""

    command: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    standard: tuple[int, int, int]
    umask: int
    open_files: int | None
    passed: Mapping[int, int]
    attributes: Attributes
    pid_variable: str | None
    on_begun: Callable[[Child], None]
    asked: float
    """When it was asked for, on the boot clock."""

    @property
    def is_to_be_held(self) -> bool:
        """Whether the new process gets something that only who holds it can give."""
        attributes = self.attributes
        return attributes.need_limits or (self.pid_variable is not None and attributes.need_no_words)

    def begun(self, pid: int) -> Child:
        """Tell of the new process."""
        child = Child(pid, _start_ticks(pid, self.asked))
        self.on_begun(child)
        return child

    def by_shell(self) -> _Order:
        """The same by way of a shell, where the pid has to be told by somebody who has it."""
        if self.pid_variable is None:
            return self
        _check_program(self.command[0], self.cwd, self.env)
        script = f'export {self.pid_variable}=$$; exec "$@"'
        return self._replace(command=("/bin/sh", "-c", script, "sh", *self.command))


def _start(order: _Order) -> Child:
    if order.is_to_be_held and held.is_possible():
        with contextlib.suppress(held.CannotHoldError):
            return _start_held(order)
    return _start_with_words(order.by_shell())


def _start_held(order: _Order) -> Child:
    """Start a process that gets its limits while it is held. Raises CannotHoldError."""
    attributes = order.attributes
    start = held.Start(
        order.command,
        order.cwd,
        order.env,
        order.umask,
        order.standard,
        tuple(order.passed),
        order.pid_variable,
    )

    begun: list[Child] = []

    def prepare(pid: int) -> None:
        begun.append(order.begun(pid))
        attributes.give_limits(pid, order.open_files)

    with _lent(order):
        held.spawn_held(start, attributes.forbid_privileges, prepare)
    return begun[0]


def _start_with_words(order: _Order) -> Child:
    """Start a process, by way of the programs that have to go before its own."""
    attributes = order.attributes
    prefix = attributes.prefix(order.open_files, order.command[0], order.cwd, order.env)
    if prefix:
        _check_program(order.command[0], order.cwd, order.env)
    stdin, stdout, stderr = order.standard
    start = partial(
        subprocess.Popen,
        [*prefix, *order.command],
        cwd=order.cwd,
        env=order.env,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        umask=order.umask,
        start_new_session=True,
        pass_fds=tuple(order.passed),
    )
    with _lent(order):
        process = _in_thread(attributes, start) if attributes.need_thread else start()
    # The master reaps by itself; without this, Popen would complain that nobody did.
    process.returncode = 0
    child = order.begun(process.pid)
    if order.open_files is not None and not prefix:
        # Done before it has been loaded: lowering our own limit for the fork would be felt by our threads.
        limit_open_files(process.pid, order.open_files)
    return child


@contextlib.contextmanager
def _lent(order: _Order) -> Iterator[None]:
    """Let this process have, for the time of a start, what the new one inherits from it."""
    numbers = at_numbers(order.passed) if order.passed else contextlib.nullcontext()
    with numbers, inherited_oom_score(order.attributes.limits.oom_score_adj):
        yield


def _check_program(program: str, cwd: str, env: Mapping[str, str]) -> None:
    """Raise OSError for a program that cannot be started, where another one is to start it."""
    from shutil import which  # brings compression along, and few apps need this

    path = os.path.join(cwd, program) if "/" in program else which(program, path=env.get("PATH"))
    if path is None or not os.access(path, os.X_OK):
        number = errno.EACCES if path is not None and os.path.exists(path) else errno.ENOENT
        raise OSError(number, os.strerror(number), program)


def _in_thread(attributes: Attributes, start: Callable[[], subprocess.Popen[Any]]) -> subprocess.Popen[Any]:
    """Start a process from a thread that has got the attributes; it inherits them."""
    outcome: list[subprocess.Popen[Any] | Exception] = []

    def work() -> None:
        try:
            attributes.give_to_thread()
            outcome.append(start())
        except Exception as error:  # all of them are the caller's
            outcome.append(error)

    thread = threading.Thread(target=work, name="pypm-spawn")
    try:
        thread.start()
    except RuntimeError as error:  # there are as many threads as there may be
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
    thread.join()
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def keep_passed_numbers(filler: int) -> None:
    """Let no descriptor of this process get one of ``PASSED_NUMBERS``: those that are free become ``filler``.

    For a process with threads, which might use one of them in the moment in which it is something else.
    """
    for number in PASSED_NUMBERS:
        try:
            os.fstat(number)
        except OSError:
            os.dup2(filler, number, inheritable=False)


@contextlib.contextmanager
def at_numbers(passed: Mapping[int, int]) -> Iterator[None]:
    """Let descriptors have these numbers in this process too, for the time of a fork."""
    saved: dict[int, int | None] = {}
    try:
        for number, descriptor in passed.items():
            if number != descriptor:
                saved[number] = _duplicate(number)
                os.dup2(descriptor, number, inheritable=False)
        yield
    finally:
        for number, before in saved.items():
            if before is None:
                os.close(number)
            else:
                os.dup2(before, number, inheritable=False)
                os.close(before)


def _duplicate(number: int) -> int | None:
    try:
        return os.dup(number)
    except OSError as error:
        if error.errno == errno.EBADF:
            return None
        raise


def _start_ticks(pid: int, before: float) -> int:
    """The start time of a process that was started after ``before`` and until now.

    Mostly both are the same tick, which saves a read of /proc that waits while the program is being loaded.
    """
    ticks = int(before * TICKS_PER_SECOND)
    if ticks == int(boot_time() * TICKS_PER_SECOND):
        return ticks
    return start_ticks(pid) or ticks


def _explain(error: OSError, program: str) -> str:
    words = _WORDS.get(error.errno or 0, (error.strerror or str(error)).lower())
    name = error.filename if isinstance(error.filename, str) else program
    if error.errno == errno.ENOENT and name == program and os.path.exists(program):
        return f"{program}: the interpreter that its first line names is missing"
    return f"{name}: {words}"
