"""The engine: one step after the other, whatever a step causes."""

from __future__ import annotations

import pytest
from fakes import FakeExecutor, new_engine, new_instance

from pypm.core import events as ev
from pypm.core.actions import Action, Persist
from pypm.core.instance import Instance, Status
from pypm.core.machine import InvalidTransitionError
from pypm.master.engine import KEPT_TRANSITIONS
from pypm.testing import FakeClock


def test_what_a_step_causes_happens_after_it() -> None:
    seen: list[tuple[str, Status]] = []

    class Impatient(FakeExecutor):
        """Tells of the spawn while the step that ordered it is still being carried out."""

        def perform(self, instance: Instance, action: Action) -> None:
            super().perform(instance, action)
            seen.append((type(action).__name__, self.engine.instances[instance.id].status))

    engine, _ = new_engine(executor=Impatient())
    engine.add(new_instance())
    engine.handle(0, ev.StartRequested())
    assert seen == [
        ("Persist", Status.STARTING),  # recorded before it is done
        ("Spawn", Status.STARTING),
        ("Persist", Status.ONLINE),
    ]
    assert engine.instances[0].status is Status.ONLINE


def test_an_action_is_performed_for_the_instance_as_it_is_after_the_step() -> None:
    engine, executor = new_engine()
    saved: list[Status] = []
    perform = executor.perform

    def record(instance: Instance, action: Action) -> None:
        if isinstance(action, Persist):
            saved.append(instance.status)
        perform(instance, action)

    executor.perform = record  # type: ignore[method-assign]
    engine.add(new_instance())
    engine.handle(0, ev.StartRequested())
    assert saved == [Status.STARTING, Status.ONLINE]


def test_each_visible_change_has_a_revision_and_is_told() -> None:
    engine, _ = new_engine()
    told: list[int] = []
    engine.listeners.append(told.append)
    engine.add(new_instance(0))
    engine.add(new_instance(1))
    before = engine.revision
    engine.handle(1, ev.StartRequested())
    assert engine.revision == before + 2
    assert engine.changed_at == {0: before - 1, 1: engine.revision}
    assert told == [0, 1, 1, 1]
    engine.handle(1, ev.StartRequested())  # it is up already
    assert engine.revision == before + 2


def test_the_history_is_bounded_and_has_transitions_only() -> None:
    clock = FakeClock(10.0)
    engine, _ = new_engine(clock)
    engine.add(new_instance())
    engine.handle(0, ev.StartRequested())
    for number in range(100):
        clock.advance(1.0)
        engine.handle(0, ev.Beat("run1"))
        engine.handle(0, ev.StatusReported("run1", f"step {number}"))
        engine.handle(0, ev.ResetRequested())
    history = engine.history(0)
    assert len(history) == KEPT_TRANSITIONS
    assert {type(each.event) for each in history} == {ev.ResetRequested}
    assert history[-1].at == 110.0
    assert [each.at for each in history] == sorted(each.at for each in history)


def test_a_transition_says_from_where_to_where_and_why() -> None:
    engine, _ = new_engine()
    engine.add(new_instance())
    engine.handle(0, ev.StartRequested())
    engine.handle(0, ev.StopRequested())
    steps = [(type(each.event).__name__, each.before, each.after, each.reason) for each in engine.history(0)]
    assert steps == [
        ("StartRequested", "stopped", "starting", ""),
        ("Spawned", "starting", "online", ""),
        ("StopRequested", "online", "stopping", "stopped by operator"),
        ("Exited", "stopping", "stopped", "stopped by operator"),
    ]


@pytest.mark.parametrize("running", [False, True])
def test_what_is_forgotten_leaves_nothing(running: bool) -> None:
    engine, executor = new_engine()
    told: list[int] = []
    engine.listeners.append(told.append)
    engine.add(new_instance())
    if running:
        engine.handle(0, ev.StartRequested())
    told.clear()
    engine.handle(0, ev.DeleteRequested())
    assert engine.instances == {}
    assert engine.changed_at == {}
    assert engine.history(0) == []
    assert told[-1] == 0, "whoever waits for it is told"
    assert executor.kinds(0)[-1] == "Forget", "and nothing is saved after it"


def test_an_event_for_nobody_is_dropped() -> None:
    engine, executor = new_engine()
    engine.handle(7, ev.StartRequested())
    assert executor.performed == []


def test_after_a_bug_the_next_event_is_stepped_as_ever() -> None:
    engine, _ = new_engine()
    engine.add(new_instance())
    with pytest.raises(InvalidTransitionError):
        engine.handle(0, ev.Spawned("r", "t", 1, 1))
    engine.handle(0, ev.StartRequested())
    assert engine.instances[0].status is Status.ONLINE


def test_revisions_go_on_with_the_next_master() -> None:
    clock = FakeClock(100.0)
    before, _ = new_engine(clock)
    for number in range(1000):
        before.add(new_instance(number))
    clock.advance(0.1)
    after, _ = new_engine(clock)
    assert after.revision > before.revision
