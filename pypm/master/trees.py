"""The processes of runs beyond their main ones: kept together, found and ended when the main one has ended.

The question whether a run has left anything is asked at every death and has to cost next to nothing: what has
left a run's group and lost its parents is a child of ours (we are a subreaper), and a child that we did not
start is rare. Only where there is something, all of /proc is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

from pypm.core.instance import Instance
from pypm.system import cgroup, process
from pypm.system.cgroup import Groups
from pypm.system.marked import run_of
from pypm.system.sandboxed import keepers
from pypm.system.sweep import (
    Main,
    Mark,
    Member,
    ProcessTable,
    belongs,
    child_pids,
    descendant_pids,
    escaped_descendants,
    send_to,
)

__all__ = ["Trees"]

log = logging.getLogger(__name__)

INIT = 1
LOOK_FIRST = 0.005
LOOK_AGAIN = 0.05
"""Seconds until the first look at a tree whose main process has ended, and from one look to the next."""
HUNTS = 10
"""How often we look for what was forked while the rest was killed, before we leave it to the next look."""
NAMED = 20
"""How many of the processes that were ended are named in the log."""

Gone = Callable[[int, str], None]
Mains = Callable[[], set[int]]


class Leaving:
    """A run whose main process has ended and whose tree is being ended."""

    def __init__(self, instance: Instance, mark: Mark, seen: Iterable[Member]) -> None:
        self.instance = instance.id
        self.name = instance.name
        self.mark = mark
        self.seen = list(seen)
        """Living members as of the last look, and those that had left the session before the stop."""
        self.told: set[Member] = set()
        """Those outside of the group to which the polite signal was sent."""
        self.looked = False
        self.ended: dict[Member, None] = {}
        """What it had left behind and we had to signal, in the order in which it was found."""


class Trees:
    """Knows what belongs to each run. ``mains`` gives the pids of all main processes.

    ``on_gone`` is told instance id and run id when the last process of a run that is watched is gone;
    ``instance_of`` gives the instance as it is now.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        home: str,
        mains: Mains,
        instance_of: Callable[[int], Instance | None],
        on_gone: Gone,
    ) -> None:
        self.groups = Groups.from_environment(home)
        self._loop = loop
        self._home = home
        self._mains = mains
        self._instance_of = instance_of
        self._on_gone = on_gone
        self._folders: dict[int, str] = {}
        self._entering: list[tuple[int, int, int]] = []
        """Instance, pid and start time of runs that have begun since the last time."""
        self._escaped: dict[str, list[Member]] = {}
        self._leaving: dict[str, Leaving] = {}
        self._strays: dict[bool, set[int]] = {}
        self._table: ProcessTable | None = None
        self._blind = False
        """The last look failed."""
        self._look: asyncio.TimerHandle | None = None
        self._worker = ThreadPoolExecutor(1, "pypm-groups")

    def close(self) -> None:
        """Remove the groups, when the master ends."""
        self._worker.shutdown()
        self.groups.close()

    # --- groups ---

    def begun(self, instance: Instance, pid: int, ticks: int, limited: str = "") -> None:
        """A run has been started: it is to enter its instance's group.

        ``limited`` is a group that is there and holds the run to limits: that is urgent.
        """
        if limited:
            self._use(instance.id, limited)
            self._worker.submit(self._enter_whole, limited, pid, ticks)
        elif instance.spec.treekill and self.groups.folder:
            self._use(instance.id, self.groups.path(instance.id))
            self._entering.append((instance.id, pid, ticks))

    def _use(self, instance_id: int, folder: str) -> None:
        """From now on that is the group of an instance."""
        before = self._folders.get(instance_id, folder)
        self._folders[instance_id] = folder
        if before != folder:
            self._worker.submit(self._remove, before)

    def take_in(self, instance: Instance, folder: str) -> None:
        """Put a run that is in no group into this one, which is there."""
        if instance.run is not None:
            self._use(instance.id, folder)
            run = instance.run
            self._worker.submit(self._enter_whole, folder, run.main_pid, run.main_ticks)

    def enter_again(self, instance: Instance) -> None:
        """Put a run into its group if somebody has taken it out of it."""
        folder, run = self.folder_of(instance.id), instance.run
        if not folder or run is None or run.leaving is not None:
            return
        present = cgroup.folder_of(run.main_pid)
        if present and present != folder and not present.startswith(f"{folder}/"):
            self._worker.submit(self._enter_whole, folder, run.main_pid, run.main_ticks)

    def folder_of(self, instance_id: int) -> str:
        """The group of an instance's run; empty if it is in none."""
        return self._folders.get(instance_id, "")

    def enter_groups(self) -> None:
        """Put what has begun into its groups.

        That is done by a thread, because the kernel may take milliseconds for it, and for many runs at once,
        because the start of the next one is more urgent; a child that a run has forked before is found by its
        marks.
        """
        if self._entering:
            self._worker.submit(self._enter_all, self._entering)
            self._entering = []

    def _enter_all(self, runs: list[tuple[int, int, int]]) -> None:
        for instance_id, pid, ticks in runs:
            folder = self.groups.make(instance_id)
            if folder is not None:
                self._enter(folder, pid, ticks)

    def _enter_whole(self, folder: str, pid: int, ticks: int) -> None:
        """Put a run into its group with what it has started meanwhile."""
        self._enter(folder, pid, ticks)
        if process.is_same(pid, ticks):
            inside = cgroup.members(folder)
            for each in descendant_pids(pid):
                if each not in inside:
                    cgroup.write(f"{folder}/cgroup.procs", str(each))

    def _enter(self, folder: str, pid: int, ticks: int) -> None:
        if cgroup.put(folder, pid, ticks) or not process.is_same(pid, ticks) or self.groups.trouble:
            return
        if os.path.exists(folder):  # else somebody has removed it, and it is made anew at the next look
            self.groups.trouble = f"the kernel refuses to move a process into {folder}"
            log.warning("no groups: %s", self.groups.trouble)

    def adopted(self, instance: Instance, folder: str) -> None:
        """The run of another master goes on; its group may be elsewhere than ``folder``, where ours would be.

        With an empty ``folder``, it needs none.
        """
        if instance.run is not None:
            found = cgroup.instance_folder(
                cgroup.folder_of(instance.run.main_pid), cgroup.group_name(self._home), instance.id
            )
            if found or folder:
                self._folders[instance.id] = found or folder

    def forget(self, instance_id: int) -> None:
        """An instance is gone, and so is its group."""
        folder = self._folders.pop(instance_id, None)
        if folder is not None:
            self._worker.submit(self._remove, folder)

    def _remove(self, folder: str) -> None:
        """Remove an instance's group; that of its namespace goes with its last one."""
        if folder in list(self._folders.values()):
            return  # ids begin anew where all is deleted: it is another instance's by now
        above = os.path.dirname(folder)
        if cgroup.remove(folder) and above != self.groups.folder and cgroup.is_namespace(above):
            with contextlib.suppress(OSError):
                os.rmdir(above)

    def _mark(self, instance: Instance) -> Mark:
        run = instance.run
        assert run is not None
        folder = self._folders.get(instance.id) or self.groups.path(instance.id)
        main = Main(run.named_pid, run.named_ticks) if run.named_pid else None
        return Mark(run.pid, run.start_ticks, run.run_id, self._home, run.pipes, folder, main)

    # --- what a main process has left ---

    def strays(self, *, guardians: bool = False) -> set[int]:
        """Our children that are no main processes: orphans of runs. ``guardians``: those that it took in."""
        if guardians not in self._strays:
            # One list is good for all deaths that one turn of the loop tells of: they came before it.
            if not self._strays:
                self._loop.call_soon(self._strays.clear)
            self._strays[guardians] = self._find_strays(os.getppid() if guardians else os.getpid())
        return self._strays[guardians]

    def _find_strays(self, parent: int) -> set[int]:
        children = child_pids(parent) if parent != INIT else None
        if children is None:
            children = ProcessTable.read().children(parent)
        return children.difference(self._mains(), {os.getpid()})

    def has_leftovers(self, instance: Instance, strays: Collection[int]) -> bool:
        """Whether anything is left of a run whose main process has ended; zombies may count."""
        mark = self._mark(instance)
        # Its group is no sign yet: the main process is in it until it is reaped.
        return _seen_alive(mark, self._escaped.get(mark.run_id, ()), strays)

    def outlived(self, instance: Instance, begun: Collection[int] = ()) -> bool:
        """The same for a run whose end we have not seen: by reading all of /proc.

        ``begun`` are main processes of later runs that are not known otherwise yet.
        """
        if self._table is None:
            # As above: a new master may find a thousand ends in one turn.
            self._loop.call_soon(self._forget_table)
            self._table = ProcessTable.read()
        return bool(self._table.members(self._mark(instance), self._mains().union(begun)))

    def _forget_table(self) -> None:
        self._table = None

    def watch(self, instance: Instance) -> None:
        """The main process has ended and others have not: look after them until they are gone."""
        mark = self._mark(instance)
        if mark.run_id not in self._leaving:
            self._leaving[mark.run_id] = Leaving(instance, mark, self._escaped.pop(mark.run_id, ()))
            self._look_in(LOOK_FIRST)

    def owner_of(self, pid: int, instances: Iterable[Instance]) -> Instance | None:
        """The instance to whose run a process belongs, by its ancestors, its session or its mark."""
        numbers = set(ProcessTable.read().lineage(pid))
        run_id = run_of(pid, self._home)
        for instance in instances:
            run = instance.run
            if run is not None and (not numbers.isdisjoint((run.pid, run.main_pid)) or run.run_id == run_id):
                return instance
        return None

    def over(self, run_id: str) -> None:
        """Nothing was left of a run."""
        self._escaped.pop(run_id, None)

    def look(self) -> None:
        """See which trees are gone; as long as there are others, look again soon."""
        if self._look is not None:
            self._look.cancel()
            self._look = None
        if not self._leaving:
            return
        try:
            self._look_at_all()
            self._blind = False
        except OSError as error:  # no descriptor left to look with: nothing seems gone by that
            if not self._blind:
                log.warning("cannot see what runs have left: %s", error)
            self._blind = True
        if self._leaving:
            self._look_in(LOOK_AGAIN)

    def _look_at_all(self) -> None:
        strays = self.strays() | self.strays(guardians=True)
        table: ProcessTable | None = None
        for leaving in list(self._leaving.values()):
            # The first look is a whole one: an earlier master may have lost sight of something.
            if not leaving.looked or _may_live(leaving.mark, leaving.seen, strays):
                table = table or ProcessTable.read()
                leaving.looked = True
                leaving.seen = self._members(leaving, table)
                self._tell(leaving)
            else:
                leaving.seen = []
            if not leaving.seen:
                self._finish(leaving)

    def _look_in(self, seconds: float) -> None:
        if self._look is None:
            self._look = self._loop.call_later(seconds, self.look)

    def _members(self, leaving: Leaving, table: ProcessTable) -> list[Member]:
        return table.members(leaving.mark, self._mains(), leaving.seen)

    def _finish(self, leaving: Leaving) -> None:
        del self._leaving[leaving.mark.run_id]
        if leaving.ended:
            names = [f"{each.pid} {each.name}" for each in leaving.ended]
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            words = "1 process" if len(names) == 1 else f"{len(names)} processes"
            listed = ", ".join(names[:NAMED])
            log.info("%s: %s left by its run were ended: %s%s", leaving.name, words, listed, more)
        self._on_gone(leaving.instance, leaving.mark.run_id)

    # --- signals ---

    def _tell(self, leaving: Leaving) -> None:
        """The second look: what was not in the group when the signal was sent gets it now."""
        instance = self._instance_of(leaving.instance)
        if instance is None:
            return
        if instance.killed:
            self._kill(leaving)
            return
        number = process.signal_number(instance.spec.kill_signal)
        outside = [each for each in leaving.seen if each.pgid != leaving.mark.pid]
        self._send(leaving, [each for each in outside if each not in leaving.told], number)
        leaving.told.update(outside)

    def signal_left(self, instance: Instance, number: int) -> None:
        """Send a signal to all that a run's main process has left."""
        self.watch(instance)
        mark = self._mark(instance)
        leaving = self._leaving[mark.run_id]
        leaving.seen = self._members(leaving, ProcessTable.read())
        if number == signal.SIGKILL:
            self._kill(leaving)
            return
        # A group is signalled as a whole: one after the other, it could fork meanwhile.
        inside = [each for each in leaving.seen if each.pgid == mark.pid]
        if inside:
            process.send_group(mark.pid, number)
            leaving.ended.update(dict.fromkeys(inside))
        # A look may have come first: the signal waits for the disk.
        outside = [each for each in leaving.seen if each.pgid != mark.pid and each not in leaving.told]
        self._send(leaving, outside, number)
        leaving.told.update(outside)

    def signal_all(self, instance: Instance, number: int) -> None:
        """Send a signal to the group of a run whose main process lives; SIGKILL also to what has left it."""
        mark = self._mark(instance)
        if number != signal.SIGKILL:
            self._escaped[mark.run_id] = escaped_descendants(mark)
            sandboxed = instance.run is not None and instance.run.sandboxed
            if mark.main is None and not sandboxed:
                process.send_group(mark.pid, number)
            else:
                self._signal_groups(instance.name, mark, number, keepers(mark.pid) if sandboxed else ())
            return
        seen = self._escaped.get(mark.run_id, ())
        try:
            members = ProcessTable.read().members(mark, self._mains(), seen)
        except OSError as error:  # no descriptor left to look with: what has left the group is found later
            log.warning("%s: cannot see what has left its group: %s", instance.name, error)
            members = []
        if mark.main is None or process.is_same(mark.pid, mark.start_ticks):
            process.send_group(mark.pid, number)
        if mark.group:
            cgroup.kill_all(mark.group)
        for member in members:
            _send_quietly(instance.name, member, number)

    def _signal_groups(self, name: str, mark: Mark, number: int, spared: Collection[int]) -> None:
        """Send a signal to the group of the named main process and to the first one, process by process.

        The first process may be long gone, and its number be another group's. A sandbox itself is
        ``spared``, unless there is nobody within yet.
        """
        members = ProcessTable.read().members(mark, self._mains(), self._escaped[mark.run_id])
        groups = {mark.pid} | {each.pgid for each in members if mark.main and each.pid == mark.main.pid}
        receivers = [each for each in members if each.pgid in groups]
        for member in [each for each in receivers if each.pid not in spared] or receivers:
            _send_quietly(name, member, number)

    def _kill(self, leaving: Leaving) -> None:
        if leaving.mark.group:
            cgroup.kill_all(leaving.mark.group)
        self._send(leaving, leaving.seen, signal.SIGKILL)
        self._hunt(leaving)

    def _hunt(self, leaving: Leaving) -> None:
        """What was forked while we read /proc, by a process that has ended since, is a child of ours now."""
        for _ in range(HUNTS):
            strays = self._find_strays(os.getpid()) | self._find_strays(os.getppid())
            found = [member for pid in strays if (member := belongs(pid, leaving.mark)) is not None]
            if not found:
                return
            self._send(leaving, found, signal.SIGKILL)

    def _send(self, leaving: Leaving, members: list[Member], number: int) -> None:
        for member in members:
            if _send_quietly(leaving.name, member, number):
                leaving.ended[member] = None


def _send_quietly(name: str, member: Member, number: int) -> bool:
    try:
        return send_to(member, number)
    except OSError as error:  # another user's by now, or no descriptor left
        log.warning("%s: cannot signal %s (%s): %s", name, member.pid, member.name, error)
        return False


def _may_live(mark: Mark, seen: Iterable[Member], strays: Collection[int]) -> bool:
    """A quick look at whether anything of a run may live; what it says no to is gone."""
    return process.group_exists(mark.pid) or _seen_alive(mark, seen, strays)


def _seen_alive(mark: Mark, seen: Iterable[Member], strays: Collection[int]) -> bool:
    return (
        any(process.is_same(each.pid, each.start_ticks) for each in seen)
        or any(belongs(pid, mark) is not None for pid in strays)
        or bool(mark.group and not cgroup.is_empty(mark.group))
    )
