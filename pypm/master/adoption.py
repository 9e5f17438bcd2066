"""What a new master finds of the runs in its state: which go on, which ended and how, which it lacks."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Collection, Iterable, Mapping

from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.instance import Desired, Instance, Status
from pypm.master.begun import Note
from pypm.master.engine import Engine
from pypm.master.executor import SystemExecutor
from pypm.master.link import GuardianLink, Reaped
from pypm.master.output import Outputs
from pypm.system.clock import boot_time
from pypm.system.forked import end_forked, title_of
from pypm.system.marked import MarkedProcess, find_marked
from pypm.system.process import is_same, send, start_ticks
from pypm.system.reap import Death
from pypm.system.sandboxed import unwrapped

__all__ = ["Adoption", "ended_runs", "what_became_of"]

log = logging.getLogger(__name__)

REBOOTED = "the machine was restarted"
UNSAVED = 10.0
"""Seconds for which a run, at most, has been going where no master has ever saved anything."""
PATIENCE = 5.0
"""Seconds that a process has for executing its program."""
LOST = "nothing supervises it; end it before it is started again"
CLOCK_STEP = 0.05
"""Seconds by which a start time in /proc may seem earlier than it was, and then some."""


class Adoption:
    """Makes the engine's instances, as they were stored, true again.

    Adopts what lives, tells of what has ended, finds what was begun after the last commit (``saved_at``, on
    the boot clock), and orders anew what was ordered and not done.
    """

    def __init__(
        self, engine: Engine, executor: SystemExecutor, outputs: Outputs, link: GuardianLink, home: str
    ) -> None:
        self._engine = engine
        self._executor = executor
        self._outputs = outputs
        self._link = link
        self._home = home
        self._saved_at = 0.0
        self._notes: list[Note] = []
        self._begun: set[int] | None = None

    def run_without_state(self, begun: list[Note]) -> list[MarkedProcess]:
        """Do it where nothing was ever saved: end what the first master was starting when it was killed.

        Gives what runs for longer than that: the state that told of it was lost, and it is left alone.
        """
        self.run(begun, same_boot=True, saved_at=boot_time() - UNSAVED)
        lost = [
            process
            for process in find_marked(self._home)
            if process.is_main and process.started < self._saved_at
        ]
        for process in lost:
            log.error("%s, pid %s, still runs, and the state is lost: %s", process.app, process.pid, LOST)
        return lost

    def run(self, begun: list[Note], *, same_boot: bool, saved_at: float) -> None:
        """Do it for all instances; ``begun`` are the runs that were perhaps not saved, in their order."""
        self._saved_at, self._notes = saved_at, begun
        self._wait_for_forked()
        gone = ended_runs(self._engine.instances.values())
        if same_boot:
            self._link.learn_ends(gone)
        for instance in list(self._engine.instances.values()):
            # First all of them: what was being written is finished before others write to the same file.
            self._outputs.recover(instance)
        for instance in list(self._engine.instances.values()):
            self._engine.handle(instance.id, ev.Recovered())
            if end := self._end_of(instance, gone, same_boot=same_boot):
                self._engine.handle(instance.id, end)
        if same_boot:
            self._end_hooks()
            self._replay()
        unsaved = self._unsaved_runs() if same_boot else {}
        for instance in list(self._engine.instances.values()):
            for process in unsaved.pop(str(instance.id), ()):
                self._take_in(instance.id, process)
            self._adopt(instance.id)
        for processes in unsaved.values():
            for process in processes:
                self._end(process)

    def _wait_for_forked(self) -> None:
        """Let what the last master was just starting have its marks, so that nothing starts twice."""
        if self._link.other_masters is None:
            return  # one of them stands by, perhaps, and has our title as well
        known = {os.getpid(), *self._link.other_masters, *(note.pid for note in self._notes)}
        for pid in end_forked(os.getppid(), title_of(os.getpid()), known, PATIENCE):
            log.warning("killed pid %s, which the master before has forked: it executes nothing", pid)

    def _end_of(self, instance: Instance, gone: Collection[int], *, same_boot: bool) -> ev.Event | None:
        if instance.run is None:
            return None
        end = what_became_of(instance, gone, self._link.ends, self._outlived, same_boot=same_boot)
        if end is None or end.signal != signal.SIGKILL or instance.killed:  # killed by us
            return end
        return replace(end, oom=self._executor.oom_in_group(instance))

    def _outlived(self, instance: Instance) -> bool:
        """Whether a run has left something, which the run that has perhaps followed it is not."""
        if self._begun is None:
            found = [process for processes in self._unsaved_runs().values() for process in processes]
            self._begun = {process.pid for process in found} | {note.pid for note in self._notes}
        return self._executor.trees.outlived(instance, self._begun)

    def _adopt(self, instance_id: int) -> None:
        instance = self._engine.instances.get(instance_id)
        if instance is not None and instance.run is not None:
            self._executor.adopt(instance)

    def _replay(self) -> None:
        """Let the instances have the runs that were begun after the last commit, also those that ended."""
        known = self._known_runs()
        notes = [note for note in self._notes if note.run_id not in known]
        ended = {note.pid for note in notes if start_ticks(note.pid) != note.start_ticks}
        self._link.learn_ends(ended)
        for note in notes:
            instance = self._engine.instances.get(note.instance_id)
            if instance is None and note.pid not in ended and note.started >= self._saved_at - CLOCK_STEP:
                self._end(note)  # now: it has perhaps no marks to be found by
            if instance is None or instance.run is not None:
                continue  # a living one is found by its marks, and ended
            log.info("%s: its run, pid %s, was begun and not saved", instance.name, note.pid)
            pipes = self._outputs.of(instance).inodes()
            spawned = _spawned(note, pipes)
            for event in events_to_have(instance, spawned):
                self._engine.handle(instance.id, event)
            instance = self._engine.instances.get(note.instance_id)
            if note.pid in ended and instance is not None and instance.run is not None:
                end = self._end_of(instance, ended, same_boot=True)
                if end is not None:
                    self._engine.handle(instance.id, end)
            else:
                self._give_limits(note.instance_id)

    def _known_runs(self) -> set[str]:
        known = {end.run_id for instance in self._engine.instances.values() for end in instance.runs}
        return known | {each.run.run_id for each in self._engine.instances.values() if each.run is not None}

    def _unsaved_runs(self) -> dict[str, list[MarkedProcess]]:
        """Main processes of runs that the state does not know, by instance id."""
        known = self._known_runs()
        found: dict[str, list[MarkedProcess]] = {}
        for process in find_marked(self._home):
            is_new = process.run_id not in known and process.started >= self._saved_at - CLOCK_STEP
            if process.is_main and is_new:
                found.setdefault(process.instance_id, []).append(process)
        return found

    def _take_in(self, instance_id: int, process: MarkedProcess) -> None:
        """Let the instance have a run that was begun and not saved, unless it has one already."""
        instance = self._engine.instances.get(instance_id)
        if instance is None or instance.app != process.app or instance.run is not None:
            self._end(process)
            return
        log.info("%s: found its run, pid %s, which was begun and not saved", instance.name, process.pid)
        pipes = self._outputs.of(instance).inodes()
        spawned = _spawned(process, pipes)
        for event in events_to_have(instance, spawned):
            self._engine.handle(instance_id, event)
        self._give_limits(instance_id)

    def _give_limits(self, instance_id: int) -> None:
        """It was perhaps held for them when its master was killed."""
        instance = self._engine.instances.get(instance_id)
        if instance is not None and instance.run is not None:
            self._executor.give_limits(instance)

    def _end_hooks(self) -> None:
        """Nobody waits for the hooks of an earlier master any more."""
        for each in find_marked(self._home):
            if each.is_hook and is_same(each.pid, each.start_ticks):
                log.info("killing pid %s, a hook that the master before has begun", each.pid)
                send(each.pid, signal.SIGKILL)

    def _end(self, found: Note | MarkedProcess) -> None:
        """Kill the main process of a run, and what has its mark."""
        log.warning("killing pid %s of run %s, which no instance has", found.pid, found.run_id)
        marked = [each for each in find_marked(self._home) if each.run_id == found.run_id]
        for each in (found, *marked):
            if is_same(each.pid, each.start_ticks):
                send(each.pid, signal.SIGKILL)


def _spawned(found: Note | MarkedProcess, pipes: tuple[int, int]) -> ev.Spawned:
    return ev.Spawned(found.run_id, found.token, found.pid, found.start_ticks, pipes, found.started)


def events_to_have(instance: Instance, spawned: ev.Spawned) -> list[ev.Event]:
    """The events by which an instance without a run comes to have one that was begun and not saved."""
    if instance.status is Status.STARTING:
        return [spawned]
    if instance.status is Status.BACKOFF and instance.deadline is not None:
        return [ev.DeadlinePassed(instance.deadline), spawned]
    if instance.spec.schedule is not None:
        return [ev.RunRequested("its schedule, or by somebody"), spawned]
    if instance.desired is Desired.UP:
        return [ev.StartRequested(), spawned]
    # Somebody wanted it up and was not told that it is: what was saved holds.
    return [ev.StartRequested(), spawned, ev.StopRequested(by="a new master")]


def ended_runs(instances: Iterable[Instance]) -> set[int]:
    """The pids of the recorded main processes that are no more.

    A zombie is not one of them: it is watched like what lives, until its parent (the guardian, or an older
    master that stands by) is done with it and its wait status is known.
    """
    runs = [instance.run for instance in instances]
    return {
        run.main_pid
        for run in runs
        if run is not None and run.leaving is None and start_ticks(run.main_pid) != run.main_ticks
    }


def what_became_of(
    instance: Instance,
    gone: Collection[int],
    ends: Mapping[int, Reaped],
    outlived: Callable[[Instance], bool],
    *,
    same_boot: bool,
) -> ev.Exited | None:
    """The event that tells an instance that its run has ended while there was no master; None if it goes on.

    ``gone`` are the main processes that had ended when that was looked at, and ``ends`` what the guardian
    has told since: what ends later is heard of as always. ``outlived`` tells whether a main process that has
    ended was outlived by others of its run.
    """
    run = instance.run
    assert run is not None
    if not same_boot:
        return ev.Exited(run.run_id, reason=REBOOTED)
    if run.leaving is not None or run.main_pid not in gone:
        return None
    leftovers = instance.spec.treekill and outlived(instance)
    end = ends.get(run.main_pid)
    if end is None or end.at < run.started:
        log.warning("%s: its run has ended while nobody could see how", instance.name)
        return ev.Exited(run.run_id, leftovers=leftovers)
    death = Death.from_status(run.main_pid, end.status)
    if run.sandboxed and not run.named_pid:
        death = unwrapped(death)
    how = (death.code, death.signal, death.core_dumped)
    return ev.Exited(run.run_id, *how, leftovers=leftovers, at=end.at)
