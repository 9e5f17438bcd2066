"""What a new master makes of runs that were begun after the last commit: the guardian remembers them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
from fakes import SPEC, new_engine, new_instance
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Action, Spawn
from pypm.core.instance import Desired, Instance, Status
from pypm.core.spec import RestartPolicy, ScheduleSpec
from pypm.master.adoption import Adoption, events_to_have
from pypm.master.begun import Note
from pypm.master.engine import Engine
from pypm.master.link import Reaped
from pypm.system.clock import boot_time
from pypm.system.process import TICKS_PER_SECOND, start_ticks

GONE = 2**22 + 5
"""More than the largest pid that Linux gives."""


class Executor:
    """Writes down what is ordered and adopted."""

    def __init__(self) -> None:
        self.spawns = 0
        self.adopted: list[int] = []
        self.trees = self

    def perform(self, instance: Instance, action: Action) -> None:
        self.spawns += isinstance(action, Spawn)

    def adopt(self, instance: Instance) -> None:
        assert instance.run is not None
        self.adopted.append(instance.run.pid)

    def outlived(self, instance: Instance, begun: set[int]) -> bool:
        return False

    def give_limits(self, instance: Instance) -> None:
        """It has them."""


class Outputs:
    def recover(self, instance: Instance) -> None:
        """Nothing was held."""

    def of(self, instance: Instance) -> Outputs:
        return self

    def inodes(self) -> tuple[int, int]:
        return (7, 8)


class Link:
    other_masters = None

    def __init__(self, ends: dict[int, Reaped]) -> None:
        self.ends = ends

    def learn_ends(self, pids: Any) -> None:
        """All is known already."""


def adopted(instance: Instance, begun: list[Note], ends: dict[int, Reaped]) -> tuple[Instance, Executor]:
    executor = Executor()
    engine = Engine(executor, boot_time)
    engine.add(instance)
    parts = (engine, executor, Outputs(), Link(ends), "/nowhere")
    Adoption(*cast("Any", parts)).run(begun, same_boot=True, saved_at=boot_time())
    return engine.instances[instance.id], executor


def note(pid: int, run_id: str = "r1", ago: float = 5.0) -> Note:
    return Note(0, run_id, "token", pid, int((boot_time() - ago) * TICKS_PER_SECOND))


STARTING = replace(new_instance(), status=Status.STARTING)


def test_a_run_that_lives_is_taken_in_and_not_begun_twice() -> None:
    ticks = start_ticks(os.getpid())
    assert ticks is not None
    instance, executor = adopted(STARTING, [Note(0, "r1", "token", os.getpid(), ticks)], {})
    assert instance.status is Status.ONLINE
    assert instance.run is not None
    assert (instance.run.pid, instance.run.run_id, instance.run.pipes) == (os.getpid(), "r1", (7, 8))
    assert executor.adopted == [os.getpid()]


def test_one_that_ended_since_is_told_with_its_status() -> None:
    instance, executor = adopted(STARTING, [note(GONE)], {GONE: Reaped(7 << 8, boot_time() - 2.0)})
    last = instance.last
    assert last is not None
    assert (last.run_id, last.code, last.reason) == ("r1", 7, "exit code 7")
    assert last.uptime == pytest.approx(3.0, abs=0.5)
    assert instance.restarts == 1
    assert executor.adopted == []


def test_each_of_several_is_told_in_its_order() -> None:
    spec = replace(SPEC, restart=RestartPolicy(delay=0.0, max_restarts=None))
    begun = [note(GONE + number, f"r{number}") for number in range(3)]
    ends = {GONE + number: Reaped(number << 8, boot_time()) for number in range(3)}
    instance, _ = adopted(replace(STARTING, spec=spec), begun, ends)
    assert [(end.run_id, end.code) for end in instance.runs] == [("r2", 2), ("r1", 1), ("r0", 0)]
    assert instance.restarts == 3
    assert instance.status is Status.STARTING


def test_one_that_is_saved_already_is_not_told_again() -> None:
    known = replace(STARTING, runs=(ev_end("r1"),))
    instance, executor = adopted(known, [note(GONE)], {GONE: Reaped(0, boot_time())})
    assert len(instance.runs) == 1
    assert executor.spawns == 1


def test_who_was_wanted_down_is_stopped() -> None:
    ticks = start_ticks(os.getpid())
    assert ticks is not None
    down = replace(new_instance(), desired=Desired.DOWN)
    instance, _ = adopted(down, [Note(0, "r1", "token", os.getpid(), ticks)], {})
    assert (instance.status, instance.desired) == (Status.STOPPING, Desired.DOWN)


@pytest.mark.parametrize(("saved_ago", "is_ended"), [(60.0, True), (-60.0, False)])
def test_one_of_an_app_that_was_never_saved_is_ended(saved_ago: float, is_ended: bool) -> None:
    """It was begun after the last commit, so whoever asked for it asks again."""
    with subprocess.Popen(["sleep", "61.5"]) as process:
        ticks = start_ticks(process.pid)
        assert ticks is not None
        adoption = Adoption(
            *cast("Any", (Engine(Executor(), boot_time), None, Outputs(), Link({}), "/nowhere"))
        )
        begun = [Note(7, "r1", "token", process.pid, ticks)]
        adoption.run(begun, same_boot=True, saved_at=boot_time() - saved_ago)
        if not is_ended:
            assert process.poll() is None
            process.kill()
        assert process.wait(20) == -9


def test_what_it_has_begun_meanwhile_is_ended_with_it(tmp_path: Path) -> None:
    marks = {"PYPM_HOME": str(tmp_path), "PYPM_RUN_ID": "r1", "PATH": os.environ["PATH"]}
    command = ["sh", "-c", "sh -c 'echo; exec sleep 61.6' & wait"]
    with subprocess.Popen(command, env=marks, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n", "its own child is there"
        ticks = start_ticks(process.pid)
        assert ticks is not None
        adoption = Adoption(
            *cast("Any", (Engine(Executor(), boot_time), None, Outputs(), Link({}), str(tmp_path)))
        )
        adoption.run([Note(7, "r1", "token", process.pid, ticks)], same_boot=True, saved_at=boot_time() - 60)
        assert process.stdout.read() == b"", "nobody has its output any more"


def ev_end(run_id: str) -> Any:
    from pypm.core.instance import RunEnd

    return RunEnd(at=1.0, uptime=1.0, reason="exit code 0", code=0, run_id=run_id)


def test_a_job_that_was_armed_has_its_run_and_is_not_begun_by_that() -> None:
    spec = replace(SPEC, schedule=ScheduleSpec(every=60.0))
    armed = replace(new_instance(0, spec), status=Status.EXITED, reason="armed")
    stopped = replace(armed, status=Status.STOPPED, desired=Desired.DOWN)
    for instance in (armed, stopped):
        engine, executor = new_engine()
        executor.perform = lambda *_: None  # type: ignore[method-assign]
        engine.add(instance)
        for event in events_to_have(instance, ev.Spawned("r9", "t9", 4000, 77)):
            engine.handle(0, event)
        after = engine.instances[0]
        assert after.run is not None
        assert (after.status, after.run.run_id, after.desired) == (Status.ONLINE, "r9", instance.desired)


def test_a_note_is_read_as_it_was_written() -> None:
    written = Note(3, "abc", "def", 17, 99)
    assert Note.read(written.written()) == written
    assert isinstance(ev.Spawned("r", "t", 1, 2, (0, 0), written.started).at, float)
