"""Successors take the places of others when they are up, and are taken away when they fail."""

from __future__ import annotations

from fakes import SPEC, FakeLoop, FakeStore, PersistingExecutor
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.instance import Status
from pypm.core.spec import Origin
from pypm.master.apps import Apps, change_of
from pypm.master.engine import Engine
from pypm.master.surges import Known, Surges
from pypm.testing import FakeClock


class Outcome:
    """A future, for who does not wait."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def done(self) -> bool:
        return self.reason is not None

    def set_result(self, reason: str) -> None:
        self.reason = reason


class Loop(FakeLoop):
    """A loop that remembers the futures that it has made."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.outcomes: list[Outcome] = []

    def create_future(self) -> Outcome:
        self.outcomes.append(Outcome())
        return self.outcomes[-1]


class House:
    """Three instances that run, and what lets others take their places."""

    def __init__(self, *, obedient: bool = True) -> None:
        self.clock = FakeClock(100.0)
        self.loop = Loop(self.clock)
        store = FakeStore()
        executor = PersistingExecutor(store, obedient=obedient)
        self.engine = executor.engine = Engine(executor, self.clock)
        self.apps = Apps(self.engine, store, self.clock)  # type: ignore[arg-type]
        self.marked: list[int] = []
        self.surges = self.more()
        self.apps.declare(replace(SPEC, instances=3, min_uptime=1.0), Origin())
        self.clock.advance(60.0)

    def more(self) -> Surges:
        return Surges(self.loop, self.engine, self.apps, self.marked.append, self.clock)  # type: ignore[arg-type]

    def ids(self) -> dict[int, int]:
        """The ids that people know, by the instances' own."""
        return {each.id: each.shown_id for each in self.engine.instances.values()}


def test_it_takes_the_place_and_the_id_when_it_is_up() -> None:
    house = House()
    assert house.surges.begin(house.engine.instances[1]) == 3
    assert house.surges.begin(house.engine.instances[1]) == 3, "it has one already"
    house.loop.run(0.9)
    assert house.ids() == {0: 0, 1: 1, 2: 2, 3: 3}
    assert house.engine.instances[1].status is Status.ONLINE
    house.loop.run(0.2)
    assert house.ids() == {0: 0, 2: 2, 3: 1}
    successor = house.engine.instances[3]
    assert (successor.name, successor.restarts, successor.replaces) == ("agent:1", 1, None)
    assert (house.loop.outcomes[0].reason, house.marked) == ("", [3])
    assert house.surges.own_ids([0, 1, 7]) == [0, 3, 7]
    assert house.surges.shown([change_of(successor, "stopped")])[0]["id"] == 1
    assert Known.of(successor)[:3] == (1, 3, "agent:1")


def test_it_can_be_replaced_itself_and_the_id_stays() -> None:
    house = House()
    for own in (3, 4):
        old = next(each for each in house.engine.instances.values() if each.shown_id == 1)
        assert house.surges.begin(old) == own
        house.loop.run(2.0)
        assert house.ids() == {0: 0, 2: 2, own: 1}
    assert house.engine.instances[4].restarts == 2


def test_one_that_fails_is_taken_away_and_the_old_one_was_not_touched() -> None:
    house = House()
    before = house.engine.instances[1]
    successor = house.surges.begin(before)
    run = house.engine.instances[successor].run
    assert run is not None
    house.engine.handle(successor, ev.Exited(run.run_id, code=3))
    house.loop.run(5.0)
    assert house.ids() == {0: 0, 1: 1, 2: 2}
    assert house.engine.instances[1] is before
    assert house.loop.outcomes[0].reason == "exit code 3"


def test_one_that_is_stopped_or_deleted_meanwhile_is_over() -> None:
    for event in (ev.StopRequested(), ev.DeleteRequested()):
        house = House()
        house.engine.handle(house.surges.begin(house.engine.instances[1]), event)
        house.loop.run(5.0)
        assert house.ids() == {0: 0, 1: 1, 2: 2}
        assert "meanwhile" in str(house.loop.outcomes[0].reason)


def test_a_stop_or_a_deletion_of_the_old_one_is_one_of_the_new_one() -> None:
    for event, left in ((ev.StopRequested(), {0: 0, 1: 1, 2: 2}), (ev.DeleteRequested(), {0: 0, 2: 2})):
        house = House()
        house.surges.begin(house.engine.instances[1])
        house.engine.handle(1, event)
        house.loop.run(5.0)
        assert house.ids() == left
        assert "meanwhile" in str(house.loop.outcomes[0].reason)


def end(house: House, own: int) -> None:
    run = house.engine.instances[own].run
    assert run is not None
    house.engine.handle(own, ev.Exited(run.run_id, code=0))


def test_who_was_replaced_comes_back_for_no_order() -> None:
    orders = (ev.StartRequested(), ev.RestartRequested(), ev.StopRequested(), ev.DeleteRequested())
    for order in orders:
        house = House(obedient=False)
        house.surges.begin(house.engine.instances[1])
        house.loop.run(2.0)
        assert house.engine.instances[1].status is Status.STOPPING
        house.engine.handle(1, order)
        end(house, 1)
        assert house.ids() == {0: 0, 2: 2, 3: 1}, order


def test_a_change_of_the_app_brings_nobody_back_who_was_replaced() -> None:
    house = House(obedient=False)
    house.surges.begin(house.engine.instances[1])
    house.loop.run(2.0)
    assert [each.id for each in house.apps.instances_of("agent")] == [0, 3, 2]
    assert house.apps.down() == {"agent": 0}
    changes = house.apps.declare(replace(SPEC, instances=3, kill_timeout=2.0), Origin())
    changes += house.apps.scale("agent", 3)
    assert {change["id"] for change in changes} == {0, 2, 3}
    assert {change["action"] for change in changes} == {"unchanged"}
    end(house, 1)
    assert house.ids() == {0: 0, 2: 2, 3: 1}


def test_a_failed_one_that_is_on_its_way_out_comes_back_for_no_order() -> None:
    house = House(obedient=False)
    successor = house.surges.begin(house.engine.instances[1])
    house.engine.handle(successor, ev.StopRequested())
    house.loop.run(1.0)
    house.engine.handle(successor, ev.StartRequested())
    house.apps.declare(replace(SPEC, instances=3, kill_timeout=2.0), Origin())
    end(house, successor)
    house.loop.run(5.0)
    assert house.ids() == {0: 0, 1: 1, 2: 2}


def test_one_that_is_being_renewed_counts_once() -> None:
    house = House(obedient=False)
    house.surges.begin(house.engine.instances[1])
    house.engine.handle(1, ev.StopRequested())
    assert house.apps.down() == {"agent": 1}
    house.engine.handle(3, ev.StopRequested())
    assert house.apps.down() == {"agent": 1}


def test_the_next_master_goes_on_with_it() -> None:
    house = House()
    house.apps.add_successor(house.engine.instances[1])
    house.loop.run(5.0)
    assert house.ids() == {0: 0, 1: 1, 2: 2, 3: 3}, "nobody has taken it up"
    house.more().start()
    house.loop.run(2.0)
    assert house.ids() == {0: 0, 2: 2, 3: 1}
