"""What the kernel holds a control group to: memory, CPU and tasks, by the controllers of version 2.

A controller works in a group where the group above it has handed it down (``cgroup.subtree_control``), and
only a group without processes of its own may do so. So, before the first limit, guardian and master move from
their group into one below it (``cgroup.LEAF``), with all that they have started there. Nobody else's process
is moved, unless the group has been given to us whole: a delegated unit of systemd, or a container.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from pypm.system import cgroup
from pypm.system.cgroup import Groups
from pypm.system.kinship import read_kinship

__all__ = ["CONTROLLERS", "NO_BOUNDS", "Bounds", "Controllers", "oom_kills", "reached", "refused_tasks"]

CONTROLLERS = ("memory", "cpu", "pids")
PERIOD = 100_000
"""Microseconds within which the CPU time of a group is counted, as everybody has it."""
ATTEMPTS = 3
"""How often we look whether a group is empty: what is being moved may fork."""
INIT = 1


class Bounds(NamedTuple):
    """What a group, and all below it, may use; None: what there is."""

    memory: int | None = None
    """Bytes at which the kernel kills; cache that it can do without is no reason."""
    memory_high: int | None = None
    """Bytes from which on it is slowed down while the kernel looks for memory that it can take back."""
    cpu: float | None = None
    """CPU time, in parts of one core: 1.5 is one and a half."""
    tasks: int | None = None
    """Processes and threads."""

    @property
    def controllers(self) -> frozenset[str]:
        """The names of the controllers that these need."""
        has_memory = self.memory is not None or self.memory_high is not None
        wanted = (("memory", has_memory), ("cpu", self.cpu is not None), ("pids", self.tasks is not None))
        return frozenset(name for name, needed in wanted if needed)

    def files(self) -> list[tuple[str, str, str]]:
        """Controller, file and text for each of a group's files that say this."""
        cpu = "max" if self.cpu is None else f"{round(self.cpu * PERIOD)}"
        return [
            ("memory", "memory.high", _text(self.memory_high)),
            ("memory", "memory.max", _text(self.memory)),
            # A tree that has lost one process at random is neither alive nor dead.
            ("memory", "memory.oom.group", "0" if self.memory is None else "1"),
            ("cpu", "cpu.max", f"{cpu} {PERIOD}"),
            ("pids", "pids.max", _text(self.tasks)),
        ]


NO_BOUNDS = Bounds()


def _text(number: int | None) -> str:
    return "max" if number is None else str(number)


class Controllers:
    """The controllers of a home's groups: whether they can be had, having them, and setting limits.

    ``own_pids`` gives the pids of guardian and master: these, and what they have started, may be moved.
    """

    def __init__(self, groups: Groups, own_pids: Callable[[], Iterable[int]]) -> None:
        self._groups = groups
        self._own_pids = own_pids

    def enabled(self) -> frozenset[str]:
        """The controllers that work in our groups now."""
        return _words(f"{self._groups.folder}/cgroup.subtree_control") if self._groups.folder else frozenset()

    def fault(self, name: str) -> str:
        """Why a controller cannot be had, for people; empty where it can. Changes nothing."""
        groups = self._groups
        if not groups.folder:
            return groups.trouble
        if name in self.enabled():
            return ""
        offered = _words(f"{groups.base}/cgroup.controllers")
        if name not in offered:
            listed = " ".join(sorted(offered)) or "none"
            return f"{groups.base} has no {name} controller (it has: {listed})"
        if not os.access(f"{groups.base}/cgroup.subtree_control", os.W_OK):
            return f"{groups.base}/cgroup.subtree_control is not ours to write"
        return "" if name in _words(f"{groups.base}/cgroup.subtree_control") else self._fault_of_base()

    def enable(self, names: Iterable[str]) -> dict[str, str]:
        """Have these controllers in our groups; gives those that cannot be had, and why."""
        wanted = sorted(set(names) - self.enabled())
        faults = {name: fault for name in wanted if (fault := self.fault(name))}
        wanted = [name for name in wanted if name not in faults]
        above = _words(f"{self._groups.base}/cgroup.subtree_control") if wanted else frozenset()
        if any(name not in above for name in wanted) and (fault := self._leave_base()):
            return faults | dict.fromkeys(wanted, fault)
        for name in wanted:
            if fault := self._hand_down(name):
                faults[name] = fault
        return faults

    def apply(self, path: str, bounds: Bounds) -> dict[str, str]:
        """Hold a group that is there to ``bounds``; gives the controllers that do not, and why.

        What ``bounds`` leave open is given back, where it had been limited.
        """
        faults: dict[str, str] = {}
        for controller, name, text in bounds.files():
            file = f"{path}/{name}"
            if controller in faults or not (controller in bounds.controllers or os.path.exists(file)):
                continue
            if not cgroup.write(file, text) and controller in bounds.controllers:
                what = "refuses" if os.path.exists(file) else "has no"
                faults[controller] = f"{path} {what} {name}"
        return faults

    def holds(self, path: str, bounds: Bounds) -> dict[str, str]:
        """What of ``bounds`` a group does not have any more: the controllers, and why."""
        faults: dict[str, str] = {}
        for controller, name, text in bounds.files():
            if controller not in bounds.controllers or controller in faults:
                continue
            found = cgroup.read(f"{path}/{name}").strip()
            if not found:
                faults[controller] = f"{path}/{name} is gone"
            elif _differs(found, text):
                faults[controller] = f"{path}/{name} is {found} and not {text}"
        return faults

    def _hand_down(self, name: str) -> str:
        for folder in (self._groups.base, self._groups.folder):
            file = f"{folder}/cgroup.subtree_control"
            if name not in _words(file) and not cgroup.write(file, f"+{name}"):
                return f"the kernel refuses {name} in {file}"
        return ""

    def _fault_of_base(self) -> str:
        """Why our group cannot be left by all that is in it."""
        base = self._groups.base
        if _is_root(base) or self._is_given_to_us():
            return ""
        own = set(self._own_pids())
        others = [pid for pid in _pids(base) if not _descends_from(pid, own)]
        if not others:
            return ""
        return f"{base} has other processes than ours in it (pid {others[0]}), and is not delegated"

    def _is_given_to_us(self) -> bool:
        base = self._groups.base
        for name in ("user.delegate", "trusted.delegate"):
            try:
                if os.getxattr(base, name) == b"1":
                    return True
            except OSError:
                continue
        return self._groups.is_namespace_root

    def _leave_base(self) -> str:
        """Move what is in our group to the one below it that is for that; says why it cannot be."""
        base, leaf = self._groups.base, self._groups.leaf
        if _is_root(base):
            return ""
        try:
            os.makedirs(leaf, exist_ok=True)
        except OSError as error:
            return f"{leaf}: {error.strerror}"
        for _ in range(ATTEMPTS):
            pids = _pids(base)
            if not pids:
                return ""
            for pid in pids:
                cgroup.write(f"{leaf}/cgroup.procs", str(pid))
        left = _pids(base)
        return f"{base} has processes that do not leave it (pid {left[0]})" if left else ""


def oom_kills(path: str) -> int:
    """How many processes of a group, and of those below it, the kernel has killed for want of memory."""
    return _count(f"{path}/memory.events", "oom_kill")


def reached(path: str) -> bool:
    """Whether it was the group's own limit for which the kernel had to look for somebody to kill."""
    return _count(f"{path}/memory.events.local", "oom") > 0


def refused_tasks(path: str) -> int:
    """How often a group has had as many tasks as it may have, and wanted another one."""
    return _count(f"{path}/pids.events", "max")


def _count(file: str, word: str) -> int:
    found = re.search(rf"^{word} ([0-9]+)$", cgroup.read(file), re.MULTILINE)
    return int(found[1]) if found else 0


def _words(file: str) -> frozenset[str]:
    return frozenset(cgroup.read(file).split())


def _pids(folder: str) -> list[int]:
    """Those in one group; 0 is one that we cannot see, of another pid namespace."""
    return [int(word) for word in cgroup.read(f"{folder}/cgroup.procs").split()]


def _is_root(folder: str) -> bool:
    """Whether it is the first group of the machine, which may have processes and hand controllers down."""
    return os.path.exists(f"{folder}/cgroup.controllers") and not os.path.exists(f"{folder}/cgroup.type")


def _differs(found: str, text: str) -> bool:
    """Whether a limit is another one than we have set; the kernel rounds down to whole pages."""
    if found.isdecimal() and text.isdecimal():
        return not int(text) - os.sysconf("SC_PAGE_SIZE") < int(found) <= int(text)
    return found.split() != text.split()


def _descends_from(pid: int, ancestors: set[int]) -> bool:
    while pid > INIT:
        if pid in ancestors:
            return True
        kin = read_kinship(pid)
        if kin is None:
            return False
        pid = kin.parent
    return pid in ancestors
