"""Declaring apps: what is so already is left alone, what is new or changed is made so."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import SPEC, FakeStore, PersistingExecutor, new_instance
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.instance import Desired, Status
from pypm.core.spec import AppSpec, Origin, RestartPolicy
from pypm.core.state import App
from pypm.master.apps import Apps, Change
from pypm.master.engine import Engine
from pypm.testing import FakeClock

ORIGIN = Origin({"PATH": "/bin"})
THREE = replace(SPEC, instances=3)


class House:
    """Apps with their engine and store."""

    def __init__(self, *, obedient: bool = True) -> None:
        self.clock = FakeClock(100.0)
        self.store = FakeStore()
        self.executor = PersistingExecutor(self.store, obedient=obedient)
        self.engine = self.executor.engine = Engine(self.executor, self.clock)
        self.apps = Apps(self.engine, self.store, self.clock)  # type: ignore[arg-type]

    def declare(self, spec: AppSpec, origin: Origin = ORIGIN) -> list[tuple[str, str]]:
        changes = self.apps.declare(spec, origin)
        self.check()
        return short(changes)

    def scale(self, name: str, count: int) -> list[tuple[str, str]]:
        changes = self.apps.scale(name, count)
        self.check()
        return short(changes)

    def tell(self, instance_id: int, event: ev.Event) -> None:
        self.engine.handle(instance_id, event)
        self.check()

    def statuses(self, name: str = "agent") -> list[str]:
        return [str(instance.status) for instance in self.apps.instances_of(name)]

    def run_ids(self) -> dict[str, str]:
        return {each.name: each.run.run_id for each in self.engine.instances.values() if each.run is not None}

    def check(self) -> None:
        """What would be written is what there is."""
        assert self.store.instances == self.engine.instances
        assert self.store.apps == self.apps.by_name
        assert self.store.next_id == self.apps.next_id
        assert {each.app for each in self.engine.instances.values()} == set(self.apps.by_name)


def short(changes: list[Change]) -> list[tuple[str, str]]:
    return [(change["name"], change["action"]) for change in changes]


def test_a_new_app_is_added_and_started() -> None:
    house = House()
    assert house.declare(THREE) == [("agent:0", "added"), ("agent:1", "added"), ("agent:2", "added")]
    assert house.statuses() == ["online"] * 3
    assert sorted(house.engine.instances) == [0, 1, 2]
    assert house.apps.by_name["agent"] == App(THREE, 100.0, ORIGIN)


def test_without_autostart_it_is_added_and_stays_down() -> None:
    house = House()
    assert house.declare(replace(SPEC, autostart=False)) == [("agent", "added")]
    assert house.statuses() == ["stopped"]
    assert house.engine.instances[0].desired is Desired.DOWN
    assert house.declare(replace(SPEC, autostart=False)) == [("agent", "unchanged")]
    house.tell(0, ev.StartRequested())
    assert house.statuses() == ["online"]


def test_the_same_again_changes_nothing_but_starts_what_is_down() -> None:
    house = House()
    house.declare(THREE)
    runs = house.run_ids()
    assert {action for _, action in house.declare(THREE, Origin({"PATH": "/other"}))} == {"unchanged"}
    assert house.run_ids() == runs
    assert house.apps.by_name["agent"].origin == ORIGIN, "what it inherited stays"
    house.tell(1, ev.StopRequested())
    assert house.declare(THREE) == [
        ("agent:0", "unchanged"),
        ("agent:1", "started"),
        ("agent:2", "unchanged"),
    ]


def test_a_change_that_needs_a_new_run_gets_one_with_its_reason() -> None:
    house = House()
    house.declare(SPEC)
    changed = replace(SPEC, env={"A": "1"}, cwd="/tmp")
    assert house.declare(changed) == [("agent", "restarted")]
    assert house.run_ids() == {"agent": "run2"}
    assert house.engine.instances[0].spec == changed
    assert house.engine.instances[0].reason == "restarted for a change of cwd, env"


def test_a_change_that_holds_at_once_needs_no_new_run() -> None:
    house = House()
    house.declare(SPEC)
    changed = replace(SPEC, kill_timeout=1.0, max_memory=5, restart=RestartPolicy(max_restarts=3))
    assert house.declare(changed) == [("agent", "unchanged")]
    assert house.run_ids() == {"agent": "run1"}
    assert house.engine.instances[0].spec == changed


@pytest.mark.parametrize("status", ["stopped", "errored", "exited"])
def test_what_is_down_is_started_with_the_change(status: str) -> None:
    house = House()
    house.declare(replace(SPEC, restart=RestartPolicy(autorestart="never")))
    if status == "stopped":
        house.tell(0, ev.StopRequested())
    else:
        house.tell(0, ev.Exited("run1", code=0 if status == "exited" else 1))
    assert house.statuses() == [status]
    assert house.declare(replace(SPEC, env={"A": "1"})) == [("agent", "started")]
    assert house.statuses() == ["online"]


def test_what_is_being_stopped_comes_back_up() -> None:
    house = House(obedient=False)
    house.declare(SPEC)
    house.tell(0, ev.StopRequested())
    assert house.declare(SPEC) == [("agent", "started")]
    house.tell(0, ev.Exited("run1", code=0))
    assert house.statuses() == ["online"]


def test_more_instances_by_a_declaration() -> None:
    house = House()
    house.declare(SPEC)
    assert house.declare(THREE) == [("agent:1", "added"), ("agent:2", "added"), ("agent:0", "unchanged")]
    assert house.run_ids() == {"agent:0": "run1", "agent:1": "run2", "agent:2": "run3"}


def test_scaling_takes_the_newest_first_and_keeps_the_others_runs() -> None:
    house = House()
    house.declare(THREE)
    runs = house.run_ids()
    assert house.scale("agent", 2) == [
        ("agent:2", "deleted"),
        ("agent:0", "unchanged"),
        ("agent:1", "unchanged"),
    ]
    assert house.run_ids() == {"agent:0": runs["agent:0"], "agent:1": runs["agent:1"]}
    assert house.scale("agent", 4)[:2] == [("agent:2", "added"), ("agent:3", "added")]
    assert sorted(house.engine.instances) == [0, 1, 3, 4], "an id is not given twice"


def test_scaling_starts_nothing_that_was_stopped() -> None:
    house = House()
    house.declare(THREE)
    house.tell(0, ev.StopRequested())
    house.scale("agent", 4)
    assert house.statuses() == ["stopped", "online", "online", "online"]


def test_scaling_while_one_still_ends() -> None:
    house = House(obedient=False)
    house.declare(THREE)
    house.scale("agent", 2)
    assert house.statuses() == ["online", "online", "stopping"]
    house.scale("agent", 3)
    house.tell(2, ev.Exited("run3", code=0))
    assert house.statuses() == ["online"] * 3, "the later word counts"


def test_with_its_last_instance_an_app_is_gone_and_ids_begin_anew() -> None:
    house = House()
    house.declare(THREE)
    house.declare(replace(SPEC, name="other"))
    for number in range(3):
        house.tell(number, ev.DeleteRequested())
    assert set(house.apps.by_name) == {"other"}
    house.declare(replace(SPEC, name="next"))
    assert sorted(house.engine.instances) == [3, 4]
    for number in (3, 4):
        house.tell(number, ev.DeleteRequested())
    assert house.apps.by_name == {}
    house.declare(SPEC)
    assert sorted(house.engine.instances) == [0]


def test_a_new_origin_is_kept_for_the_next_run() -> None:
    house = House()
    house.declare(SPEC)
    house.apps.set_origin("agent", Origin({"PATH": "/new"}))
    house.check()
    assert house.apps.by_name["agent"].origin.env == {"PATH": "/new"}
    assert house.run_ids() == {"agent": "run1"}


def test_what_an_earlier_master_left_is_taken_over() -> None:
    house = House()
    instances = [new_instance(4), new_instance(9, index=1)]
    house.apps.restore([App(replace(SPEC, instances=2), 5.0, ORIGIN)], instances, 3)
    house.check()
    assert house.apps.next_id == 10, "never an id that somebody has"
    assert [each.status for each in house.engine.instances.values()] == [Status.STOPPED] * 2


def test_changes_tell_ids_and_names() -> None:
    house = House()
    change: dict[str, Any] = house.apps.declare(SPEC, ORIGIN)[0]
    assert change == {"id": 0, "name": "agent", "action": "added"}
