"""All processes of a run, wherever they have gone: found by one pass over /proc, signalled without mistake.

A run's processes are those of its session, of its process group and of its cgroup, those that bear its
marks, and the descendants of all of these. Marks are needed for what has left the session and lost its
parents: it has the run's id in its environment, or the instance's log pipe as stdout or stderr. Both may be
given away by a program that wants to; only a cgroup cannot.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterable
from typing import NamedTuple

from pypm.system import cgroup
from pypm.system.marked import run_of
from pypm.system.process import is_same, read_stat

__all__ = [
    "Main",
    "Mark",
    "Member",
    "ProcessTable",
    "belongs",
    "child_pids",
    "descendant_pids",
    "escaped_descendants",
    "is_marked",
    "send_to",
]


class Main(NamedTuple):
    """A process that a run has named its main one, which is not the one that it was started as."""

    pid: int
    start_ticks: int


class Mark(NamedTuple):
    """By what the processes of one run are known."""

    pid: int
    """Of its first process, which is the number of its session and of its first process group too."""
    start_ticks: int
    run_id: str
    home: str
    pipes: tuple[int, int] = (0, 0)
    """Inode numbers of the pipes that are its stdout and stderr; 0 for none."""
    group: str = ""
    """The folder of its cgroup; empty for none."""
    main: Main | None = None


class Member(NamedTuple):
    """A living process of a run; with the start time it cannot be taken for another one."""

    pid: int
    start_ticks: int
    pgid: int
    name: str


class _Process(NamedTuple):
    parent: int
    pgid: int
    session: int
    start_ticks: int
    alive: bool
    name: str


class ProcessTable:
    """All processes at one moment."""

    def __init__(self, processes: dict[int, _Process]) -> None:
        self._processes = processes
        self._children: dict[int, list[int]] = {}
        for pid, process in processes.items():
            self._children.setdefault(process.parent, []).append(pid)

    @classmethod
    def read(cls) -> ProcessTable:
        """Read /proc: about 10 µs a process."""
        processes = {}
        for name in os.listdir("/proc"):
            if name.isdecimal() and (process := _read_process(int(name))) is not None:
                processes[int(name)] = process
        return cls(processes)

    def children(self, pid: int) -> set[int]:
        """The children of a process, zombies included."""
        return set(self._children.get(pid, ()))

    def lineage(self, pid: int) -> list[int]:
        """A process and its ancestors, with the numbers of their sessions and groups."""
        found: list[int] = []
        while (process := self._processes.get(pid)) is not None:
            found += (pid, process.session, process.pgid)
            pid = process.parent
        return found

    def members(
        self, mark: Mark, other_mains: Collection[int] = (), seen: Iterable[Member] = ()
    ) -> list[Member]:
        """The living processes of a run, its main process included.

        ``other_mains`` are the main processes of other runs, to which what descends from them belongs;
        ``seen`` are processes that were members before, and are so still where they live.
        """
        other_mains = set(other_mains) - self._own_mains(mark)
        found = self._first_members(mark, other_mains)
        found.update(
            each.pid
            for each in seen
            if each.pid in self._processes and self._processes[each.pid].start_ticks == each.start_ticks
        )
        queue = list(found)
        while queue:
            for child in self._children.get(queue.pop(), ()):
                if child not in found and child not in other_mains:
                    found.add(child)
                    queue.append(child)
        return [
            Member(pid, process.start_ticks, process.pgid, process.name)
            for pid in sorted(found)
            if (process := self._processes[pid]).alive
        ]

    def _own_mains(self, mark: Mark) -> set[int]:
        """The pids of a run's first and main process, unless the kernel has given them anew."""
        own = [(mark.pid, mark.start_ticks)] + ([mark.main] if mark.main else [])
        return {
            pid
            for pid, ticks in own
            if pid not in self._processes or self._processes[pid].start_ticks == ticks
        }

    def _first_members(self, mark: Mark, other_mains: Collection[int]) -> set[int]:
        """Those that are known by themselves, not by their parents."""
        in_group = cgroup.members(mark.group) if mark.group else set()
        main = self._processes.get(mark.pid)
        # The kernel gives a pid anew only when nothing of its session and group is left. That may be long ago
        # where the run goes on as another process: then a session of that number tells nothing.
        is_first = mark.main is None if main is None else main.start_ticks == mark.start_ticks
        session = mark.pid if is_first else 0
        return {
            pid
            for pid, process in self._processes.items()
            if process.start_ticks >= mark.start_ticks
            and pid not in other_mains
            and (
                (session and session in (process.session, process.pgid))
                or (pid, process.start_ticks) == mark.main
                or (pid in in_group and not self._is_of_another_run(pid, mark, other_mains))
                or (self._lost_its_parents(process, mark) and process.alive and is_marked(pid, mark))
            )
        }

    def _is_of_another_run(self, pid: int, mark: Mark, other_mains: Collection[int]) -> bool:
        """Whether a process belongs to a later run of the instance, which shares the group."""
        if not set(other_mains).isdisjoint(self.lineage(pid)):
            return True
        return run_of(pid, mark.home) not in (None, mark.run_id)

    def _lost_its_parents(self, process: _Process, mark: Mark) -> bool:
        """Whether its parent is none that a process of the run is born with: only then its marks are read.

        Orphans go to the master, to the guardian, or to init: to something that is older than the run, but
        for a master that has adopted the run.
        """
        parent = self._processes.get(process.parent)
        return parent is None or parent.start_ticks < mark.start_ticks or process.parent == os.getpid()


def _read_process(pid: int) -> _Process | None:
    data = read_stat(pid)
    if data is None:
        return None
    # The name is in parentheses and may itself contain spaces and parentheses.
    end = data.rindex(b")")
    fields = data[end + 2 :].split(None, 20)
    return _Process(
        parent=int(fields[1]),
        pgid=int(fields[2]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
        alive=fields[0] not in (b"Z", b"X"),
        name=data[data.index(b"(") + 1 : end].decode(errors="replace"),
    )


def belongs(pid: int, mark: Mark) -> Member | None:
    """A living process as a member of a run, whatever its parent is; None if nothing tells that it is one."""
    process = _read_process(pid)
    if process is None or not process.alive or process.start_ticks < mark.start_ticks:
        return None
    if mark.pid not in (process.session, process.pgid) and not is_marked(pid, mark):
        return None
    return Member(pid, process.start_ticks, process.pgid, process.name)


def is_marked(pid: int, mark: Mark) -> bool:
    """Whether a process has the run's id in its environment, or none and its log pipe as stdout or stderr.

    The pipe is the instance's: another run's id tells that it is that run's. False for a process of another
    user, whose marks we may not read.
    """
    run_id = run_of(pid, mark.home)
    return _has_pipe(pid, mark) if run_id is None else run_id == mark.run_id


def _has_pipe(pid: int, mark: Mark) -> bool:
    wanted = {f"pipe:[{inode}]" for inode in mark.pipes if inode}
    for number in (1, 2) if wanted else ():
        try:
            if os.readlink(f"/proc/{pid}/fd/{number}") in wanted:
                return True
        except OSError:
            continue
    return False


def send_to(member: Member, number: int) -> bool:
    """Send a signal to exactly this process; False if it is no more.

    Raises PermissionError where it has become another user's.
    """
    try:
        descriptor = os.pidfd_open(member.pid)
    except ProcessLookupError:
        return False
    try:
        # The descriptor cannot come to mean another process: it is ours if it has our start time now.
        if not is_same(member.pid, member.start_ticks):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def child_pids(pid: int) -> set[int] | None:
    """The children of a process, zombies included; a process that is no more has none.

    None where the kernel does not tell (it was built without CONFIG_PROC_CHILDREN).
    """
    found: set[int] = set()
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        children = _read_children(f"/proc/{pid}/task/{thread}/children")
        if children is None:
            return None if os.path.exists(f"/proc/{pid}/task/{thread}") else found
        found.update(children)
    return found


def descendant_pids(pid: int) -> list[int]:
    """The children of a process, theirs, and so on, as far as the kernel tells them."""
    found: dict[int, None] = {}
    queue = [pid]
    while queue:
        for child in child_pids(queue.pop()) or ():
            if child not in found:
                found[child] = None
                queue.append(child)
    return list(found)


def _read_children(path: str) -> list[int] | None:
    try:
        with open(path, "rb", buffering=0) as file:
            return [int(word) for word in file.readall().split()]
    except FileNotFoundError:
        return None
    except OSError:
        return []


def escaped_descendants(mark: Mark) -> list[Member]:
    """The living descendants of a run's first process, and of its main one, that have left its session.

    Read before the run is stopped: afterwards some may have no parent left that tells whose they are.
    """
    found: dict[int, Member] = {}
    queue = [mark.pid]
    if mark.main is not None and is_same(*mark.main):
        queue.append(mark.main.pid)
        _add_escaped(found, mark.main.pid, mark)
    while queue:
        children = child_pids(queue.pop()) or ()
        queue += [child for child in children if child not in found and _add_escaped(found, child, mark)]
    return list(found.values())


def _add_escaped(found: dict[int, Member], pid: int, mark: Mark) -> bool:
    """Whether it is of the run's time; added to ``found`` if it lives and has left the run's session."""
    process = _read_process(pid)
    if process is None or process.start_ticks < mark.start_ticks:
        return False
    if process.alive and process.session != mark.pid:
        found[pid] = Member(pid, process.start_ticks, process.pgid, process.name)
    return True
