"""Processes that carry the mark of a home's runs in their environment: how an unsaved run is found."""

from __future__ import annotations

import os
from typing import NamedTuple

from pypm.system.process import TICKS_PER_SECOND, identify

__all__ = ["MarkedProcess", "find_marked", "hook_mark", "run_of"]


HOOK_SIGN = "/"


class MarkedProcess(NamedTuple):
    """A process of a run: the main one or a descendant, which inherits the mark."""

    pid: int
    group: int
    session: int
    start_ticks: int
    run_id: str
    app: str
    instance_id: str
    token: str

    @property
    def is_main(self) -> bool:
        """Whether it is what a run was started as, which leads a session of its own."""
        return self.pid == self.session and not self.is_hook

    @property
    def is_hook(self) -> bool:
        """Whether it is no process of a run but of a hook that is about one."""
        return HOOK_SIGN in self.run_id

    @property
    def started(self) -> float:
        """When it was started, in seconds of the boot clock (to a clock tick)."""
        return self.start_ticks / TICKS_PER_SECOND


def hook_mark(run_id: str, hook: str) -> str:
    """What stands for the run id with the processes of a hook, so that nobody takes them for the run's."""
    return f"{run_id}{HOOK_SIGN}{hook}"


def find_marked(home: str) -> list[MarkedProcess]:
    """Find the processes of all runs of ``home``, in the order in which they were started.

    One that has overwritten its environment, as programs that set their title do, is not found.
    """
    found = [
        process
        for name in os.listdir("/proc")
        if name.isdecimal() and (process := _read(int(name), os.fsencode(home))) is not None
    ]
    return sorted(found, key=lambda process: (process.start_ticks, process.pid))


def run_of(pid: int, home: str) -> str | None:
    """The id of the run of ``home`` whose mark a process carries; None if it carries none."""
    process = _read(pid, os.fsencode(home))
    return None if process is None else process.run_id


def _read(pid: int, home: bytes) -> MarkedProcess | None:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return None  # gone meanwhile, or somebody else's
    marks = dict(entry.partition(b"=")[::2] for entry in entries if entry.startswith(b"PYPM_"))
    hook, run_id = marks.get(b"PYPM_EVENT", b""), marks.get(b"PYPM_RUN_ID", b"")
    if marks.get(b"PYPM_HOME") != home or not (run_id or hook):
        return None
    identity = identify(pid)
    if identity is None:
        return None
    mark = os.fsdecode(run_id)
    mark = hook_mark(mark, os.fsdecode(hook)) if hook else mark
    names = (b"PYPM_APP", b"PYPM_ID", b"PYPM_AGENT_TOKEN")
    return MarkedProcess(pid, *identity, mark, *(os.fsdecode(marks.get(name, b"")) for name in names))
