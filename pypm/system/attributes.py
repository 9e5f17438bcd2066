"""What a new process has before its first instruction: limits, priorities, CPUs, and who it is.

Priorities, CPUs and "no new privileges" belong to a thread in Linux, and a new process has those of the
thread that starts it: a thread is made for them, which ends then. How soon the kernel kills it for want of
memory is inherited too. Limits are given to a process that is held before its program (``held.py``). Where
that cannot be, the new process sets them itself, by ``prlimit``, and its ids by ``setpriv``: programs that
become the one that was asked for. A fork that runs our own code would cost several times as much as these,
and is not safe in a process with threads.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import resource
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pypm.core.spec import UNLIMITED, AppSpec, LimitSpec
from pypm.system.identity import Identity, find_identity
from pypm.system.limits import OWN_OOM_SCORE, limit_open_files, oom_score_of_shell
from pypm.system.sandbox import Sandbox, sandbox_of
from pypm.system.spawn_error import SpawnError

if TYPE_CHECKING:
    import ctypes

__all__ = ["IO_CLASSES", "TOOLS", "Attributes", "attributes_of", "inherited_oom_score"]

TOOLS = "/usr/bin:/bin:/usr/sbin:/sbin:/run/current-system/sw/bin"
"""Where ``prlimit`` and ``setpriv`` are looked for: never in an app's PATH."""
IO_CLASSES = {"realtime": 1, "best-effort": 2, "idle": 3}
_IOPRIO_SET = {"x86_64": 251, "i386": 289, "i686": 289, "aarch64": 30, "riscv64": 30, "loongarch64": 30}
"""Numbers of the system call, for which the C library has no function."""
_IOPRIO_OF_PROCESS = 1
_IOPRIO_CLASS_SHIFT = 13
_PR_SET_NO_NEW_PRIVS = 38
_RESOURCES = {
    "open_files": ("nofile", resource.RLIMIT_NOFILE),
    "file_size": ("fsize", resource.RLIMIT_FSIZE),
    "core": ("core", resource.RLIMIT_CORE),
}
"""Fields of a LimitSpec: the option of ``prlimit``, and the kernel's number."""


class Attributes(NamedTuple):
    """What a process is to have that differs from what this one has."""

    limits: LimitSpec = LimitSpec()
    identity: Identity | None = None
    no_new_privileges: bool = False
    sandbox: Sandbox | None = None

    @property
    def need_thread(self) -> bool:
        """Whether some belong to the thread that starts the process."""
        limits = self.limits
        has_priority = limits.nice is not None or limits.ionice is not None
        return has_priority or bool(limits.cpu_affinity) or self.no_new_privileges

    @property
    def need_no_words(self) -> bool:
        """Whether nothing else has to go before its program."""
        return self.identity is None and self.sandbox is None

    @property
    def need_limits(self) -> bool:
        """Whether a process has to be held to get limits, and nothing else goes before its program."""
        has_limits = any(getattr(self.limits, name) is not None for name in _RESOURCES)
        return has_limits and self.need_no_words

    def give_to_thread(self) -> None:
        """Give the calling thread, which must not do anything else afterwards, what belongs to a thread.

        Raises SpawnError.
        """
        self.give_priority(0)
        self.forbid_privileges()

    def forbid_privileges(self) -> None:
        """Let the calling thread and what it starts get no new privileges, if so asked. Raises SpawnError."""
        if self.no_new_privileges:
            _try("no_new_privileges", "true", _forbid_new_privileges)

    def give_limits(self, pid: int, soft_open_files: int | None) -> None:
        """Give a process of ours its limits, and what ``give_priority`` does.

        ``soft_open_files`` is the soft limit of open files where none is asked for. Raises SpawnError.
        """
        self.give_priority(pid)
        if soft_open_files is not None and self.limits.open_files is None:
            limit_open_files(pid, soft_open_files)
        for name, (_, number) in _RESOURCES.items():
            if (size := getattr(self.limits, name)) is not None:
                _check_limit(name, size)
                both = (size, size)  # UNLIMITED is RLIM_INFINITY
                _try(f"limits.{name}", size, functools.partial(resource.prlimit, pid, number, both))

    def give_to_running(self, pid: int, soft_open_files: int | None) -> None:
        """Give the same to a process of ours that runs its program already, and to all of its threads.

        Raises SpawnError, also where the process, or one of its threads, ends meanwhile.
        """
        self.give_limits(pid, soft_open_files)
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError as error:
            raise SpawnError(f"pid {pid} has ended") from error
        for thread in threads:
            self.give_priority(int(thread))

    def give_priority(self, pid: int) -> None:
        """Give the main thread of a process of ours (0: the calling thread) its priorities and its CPUs.

        Raises SpawnError.
        """
        limits = self.limits
        if cpus := limits.cpu_affinity:
            if missing := set(cpus) - set(range(os.cpu_count() or 1)):
                raise SpawnError(f"limits.cpu_affinity: this machine has no CPU {min(missing)}")
            _try("limits.cpu_affinity", list(cpus), lambda: os.sched_setaffinity(pid, cpus))
        if (nice := limits.nice) is not None:
            _try("limits.nice", nice, lambda: os.setpriority(os.PRIO_PROCESS, pid, nice))
        if (ionice := limits.ionice) is not None:
            _try("limits.ionice", ionice, lambda: _set_io_priority(pid, ionice))

    def prefix(
        self, soft_open_files: int | None, program: str, cwd: str, env: Mapping[str, str]
    ) -> list[str]:
        """The words that go before a command, for what belongs to a process.

        ``soft_open_files`` is the soft limit of open files where none is asked for. Raises SpawnError
        where the machine does not allow something, or lacks the program for it.
        """
        words = self._limit_words(soft_open_files)
        if self.sandbox is not None:
            words += self.sandbox.prefix(program, cwd, env)
        if self.identity is not None:  # within the sandbox, which it may take root to make
            words += [_tool("setpriv", "user"), *self.identity.options(), "--"]
        return words

    def refusal(self, program: str, cwd: str) -> str:
        """Why no process can be given these here, for people; empty if one can, or if that cannot be tried.

        Changes nothing.
        """
        faults: list[str] = []
        if self == Attributes():
            return ""

        def attempt() -> None:
            try:
                self._attempt(program, cwd)
            except SpawnError as error:
                faults.append(str(error))
            except OSError:  # no descriptor is left, for example: the start itself will tell
                pass

        thread = threading.Thread(target=attempt, name="pypm-attempt")
        try:
            thread.start()
        except RuntimeError:  # there are as many threads as there may be, at present
            return ""
        thread.join()
        return "".join(faults)

    def _attempt(self, program: str, cwd: str) -> None:
        """Do what a start would, in a thread that ends after it. Raises SpawnError."""
        for name in _RESOURCES:
            if (size := getattr(self.limits, name)) is not None:
                _check_limit(name, size)
        if self.identity is not None:
            _tool("setpriv", "user")
        if self.sandbox is not None:
            self.sandbox.prefix(program, cwd, {})
        if self.limits.oom_score_adj is not None:
            with inherited_oom_score(self.limits.oom_score_adj):
                pass  # it can be set
        self.give_to_thread()

    def _limit_words(self, soft_open_files: int | None) -> list[str]:
        wanted = {name: size for name in _RESOURCES if (size := getattr(self.limits, name)) is not None}
        has_soft = soft_open_files is not None and "open_files" not in wanted
        # A sandbox has forked before its limits could be set from here.
        if not wanted and not (has_soft and self.sandbox is not None):
            return []
        words = [_tool("prlimit", next(iter(wanted), "sandbox"))]
        words += [_prlimit_option(name, size) for name, size in wanted.items()]
        if has_soft:
            words.append(f"--nofile={soft_open_files}:")
        return [*words, "--"]


def attributes_of(spec: AppSpec) -> Attributes:
    """What the processes of an app are to have. Raises SpawnError if there is no such user."""
    identity = find_identity(spec.user, spec.group)
    sandbox = sandbox_of(spec, None if identity is None else (identity.uid, identity.gid))
    return Attributes(spec.limits, identity, spec.no_new_privileges, sandbox)


@contextlib.contextmanager
def inherited_oom_score(adjustment: int | None) -> Iterator[None]:
    """Let processes that are started meanwhile be killed sooner, or later, for want of memory.

    ``None``: as soon as before we were protected. Raises SpawnError.
    """
    wanted = oom_score_of_shell() if adjustment is None else adjustment
    if wanted is None:
        yield
        return
    with open(OWN_OOM_SCORE, "r+b", buffering=0) as file:
        before = file.read()
        _try("limits.oom_score_adj", wanted, lambda: file.write(b"%d" % wanted))
        try:
            yield
        finally:
            file.write(before)


def _prlimit_option(name: str, size: int) -> str:
    text = _check_limit(name, size)
    return f"--{_RESOURCES[name][0]}={text}:{text}"


def _check_limit(name: str, size: int) -> str:
    """The limit in words. Raises SpawnError for more than we can give."""
    number = _RESOURCES[name][1]
    wanted = float("inf") if size == UNLIMITED else size
    text = "unlimited" if size == UNLIMITED else str(size)
    if wanted > resource.getrlimit(number)[1] != resource.RLIM_INFINITY and wanted > (most := _most(number)):
        raise SpawnError(f"limits.{name} = {text}: more than the machine allows us, which is {most:.0f}")
    return text


def _most(number: int) -> float:
    """To what a limit can be set by us."""
    hard = resource.getrlimit(number)[1]
    if hard != resource.RLIM_INFINITY and not _may_raise_limits():
        return hard
    if number == resource.RLIMIT_NOFILE:
        with open("/proc/sys/fs/nr_open", encoding="ascii") as file:
            return int(file.read())
    return float("inf")


def _may_raise_limits() -> bool:
    """Whether this process has CAP_SYS_RESOURCE, which root in a container often lacks."""
    with open("/proc/thread-self/status", encoding="ascii", errors="replace") as file:
        line = next((line for line in file if line.startswith("CapEff:")), "CapEff: 0")
    return bool(int(line.split()[1], 16) >> 24 & 1)


def _tool(name: str, key: str) -> str:
    from shutil import which  # brings compression along, and few apps need this

    path = which(name, path=TOOLS)
    if path is None:
        raise SpawnError(f"{key}: it needs the program {name} (package util-linux), which is not there")
    return path


def _try(key: str, value: object, act: Callable[[], object]) -> None:
    try:
        act()
    except (OSError, ValueError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SpawnError(f"{key} = {value}: {why}") from error


def _set_io_priority(pid: int, word: str) -> None:
    name, _, level = word.partition(":")
    number = _IOPRIO_SET.get(platform.machine())
    if number is None:
        raise OSError(f"not known how on {platform.machine()}")
    value = IO_CLASSES[name] << _IOPRIO_CLASS_SHIFT | int(level or (0 if name == "idle" else 4))
    _call("syscall", number, _IOPRIO_OF_PROCESS, pid, value)


def _forbid_new_privileges() -> None:
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _call(function: str, *arguments: int) -> None:
    """Call a function of the C library. Raises OSError."""
    import ctypes

    if _c_library()[function](*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@functools.cache
def _c_library() -> ctypes.CDLL:
    """Looked up once: each time would be a tenth of a start."""
    import ctypes

    return ctypes.CDLL(None, use_errno=True)
