"""Start order and stop order as values: who waits for whom, what fails, what may go, and that all do go."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.actions import Action, Signal, Spawn
from pypm.core.instance import After, Desired, Health, Instance, Run, Status
from pypm.core.machine import step
from pypm.core.order import find_cycle, in_order, needed, standing, still_needed_by
from pypm.core.spec import AppSpec, Condition, HealthSpec, RestartPolicy

RUN = Run(run_id="r1", token="t", pid=4000, start_ticks=77, started=10.0, ready=True)


def instance(name: str, status: Status = Status.ONLINE, **fields: object) -> Instance:
    depends_on = fields.pop("depends_on", {})
    spec = AppSpec(name, ("/bin/agent",), "/", depends_on=depends_on)  # type: ignore[arg-type]
    runs = status in (Status.ONLINE, Status.STOPPING)
    given = {"id": 0, "index": 0, "created": 1.0, "since": 1.0, "spec": spec, "run": RUN if runs else None}
    return Instance(app=name, status=status, **{**given, **fields})  # type: ignore[arg-type]


CLOCKS = AppSpec("model", ("/bin/model",), "/", health=HealthSpec(heartbeat_timeout=5.0))
RELOADING = replace(RUN, vitals=replace(RUN.vitals, reloading=True))


@pytest.mark.parametrize(
    ("condition", "dependency", "kind"),
    [
        ("started", instance("model"), "met"),
        ("started", instance("model", Status.STARTING, run=replace(RUN, ready=False)), "met"),
        ("started", instance("model", Status.STARTING), "waits"),
        ("started", instance("model", Status.EXITED), "met"),
        ("ready", instance("model"), "met"),
        ("ready", instance("model", run=RELOADING), "waits"),
        ("ready", instance("model", Status.STARTING, run=replace(RUN, ready=False)), "waits"),
        ("ready", instance("model", Status.BACKOFF, deadline=9.0, reason="exit code 1"), "waits"),
        ("ready", instance("model", Status.HELD, deadline=9.0, reason="rate limit"), "waits"),
        ("ready", instance("model", Status.HELD, reason="failed login"), "fails"),
        ("ready", instance("model", Status.STOPPED), "waits"),
        ("ready", instance("model", Status.STOPPED, desired=Desired.DOWN), "fails"),
        ("ready", instance("model", Status.STOPPING, after=After.RESTART), "waits"),
        ("ready", instance("model", Status.STOPPING, desired=Desired.DOWN), "fails"),
        ("ready", instance("model", Status.ERRORED, reason="exit code 1"), "fails"),
        ("ready", instance("model", Status.EXITED), "fails"),
        ("healthy", instance("model"), "met"),
        ("healthy", instance("model", spec=CLOCKS), "waits"),
        ("healthy", instance("model", spec=CLOCKS, health=Health.HEALTHY), "met"),
        ("healthy", instance("model", health=Health.UNHEALTHY), "waits"),
        ("healthy", instance("model", Status.STARTING, run=replace(RUN, ready=False)), "waits"),
        ("completed", instance("model", Status.EXITED), "met"),
        ("completed", instance("model"), "waits"),
        ("completed", instance("model", Status.ERRORED, reason="exit code 1"), "fails"),
    ],
)
def test_when_a_condition_is_met(condition: Condition, dependency: Instance, kind: str) -> None:
    found = standing({"model": condition}, {"model": [dependency]})
    assert found.kind == kind
    assert (found.why == "") == (kind == "met"), "whoever waits is told for what"


def test_what_is_waited_for_in_words() -> None:
    late = instance("model", Status.BACKOFF, deadline=9.0, reason="exit code 1")
    why = standing({"model": "ready"}, {"model": [late]}).why
    assert why == "model to be ready (it is in backoff: exit code 1)"
    both = standing({"a": "started", "b": "completed"}, {"a": [instance("a", Status.STARTING)], "b": [late]})
    assert both.why.startswith("a to be started and model to complete")
    gone = standing({"a": "ready", "b": "ready"}, {"a": [instance("a", Status.STARTING)]})
    assert gone == ("fails", "there is no app b"), "that one waits in vain"


def test_all_instances_have_to_be_there() -> None:
    spec = replace(instance("pool").spec, instances=2)
    pool = [instance("pool", spec=spec), instance("pool", Status.STARTING, id=1, index=1, spec=spec)]
    assert standing({"pool": "ready"}, {"pool": pool}).why == "pool:1 to be ready"
    assert standing({"pool": "ready"}, {"pool": pool[:1]}).kind == "met"


def test_what_is_needed_comes_with_what_it_needs() -> None:
    down = {"status": Status.STOPPED, "desired": Desired.DOWN}
    base = instance("base", id=1, **down)
    model = instance("model", id=2, depends_on={"base": "ready"}, **down)
    job = instance("job", Status.EXITED, id=3)
    other = instance("other", id=4, **down)
    worker = instance("worker", id=5, depends_on={"model": "ready", "job": "completed"}, **down)
    by_app = {each.app: [each] for each in (base, model, job, other, worker)}
    assert [each.app for each in needed([worker], by_app)] == ["base", "model"]
    assert [each.app for each in needed([worker, model], by_app)] == ["base"]
    by_app["model"] = [replace(model, status=Status.ONLINE, run=RUN, desired=Desired.UP)]
    assert needed([worker], by_app) == [], "what is up needs nothing any more"


def test_only_dependents_that_are_being_stopped_are_waited_for() -> None:
    model = instance("model")
    runs = instance("a", depends_on={"model": "ready"})
    stops = instance("b", Status.STOPPING, depends_on={"model": "ready"})
    assert still_needed_by(model, [runs]) == ""
    assert still_needed_by(model, [runs, stops, instance("c", Status.STOPPING)]) == "b to stop"


def test_a_dependency_that_fails_holds_and_its_return_lets_go() -> None:
    waiting = instance("worker", Status.STARTING)
    held, _ = step(waiting, ev.DependencyFailed("model is errored"), 5.0)
    assert (held.status, held.reason, held.deadline) == (Status.HELD, "model is errored", None)
    assert held.last is not None
    assert held.last.cause == "dependency"
    begun, actions = step(held, ev.LetGo(), 6.0)
    assert begun.status is Status.STARTING
    assert Spawn() in actions
    assert (begun.restarts, begun.failures) == (0, 0), "it has not failed"


def test_a_stop_that_is_held_back_sends_no_signal_before_it_is_let_go() -> None:
    held, actions = step(instance("model"), ev.StopRequested(waits_for="worker to stop"), 5.0)
    assert (held.status, held.deadline, held.waits_for) == (Status.STOPPING, None, "worker to stop")
    assert not any(isinstance(action, Signal) for action in actions)
    again, actions = step(held, ev.Recovered(), 6.0)
    assert (again, actions) == (held, []), "also not by the next master"
    told, actions = step(held, ev.LetGo(), 7.0)
    assert told.deadline == 7.0 + told.spec.kill_timeout
    assert Signal("SIGTERM", group=True) in actions


# --- whole graphs ---


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, dict[str, Condition]]:
    """Graphs without a cycle: each depends only on names before its own, in an order that is then mixed."""
    names = [f"n{number}" for number in range(draw(st.integers(1, 8)))]
    conditions = st.sampled_from(["started", "ready", "healthy"])
    graph = {}
    for index, name in enumerate(names):
        chosen = draw(st.sets(st.sampled_from(names[:index]))) if index else set()
        graph[name] = {each: draw(conditions) for each in sorted(chosen)}
    return {name: graph[name] for name in draw(st.permutations(names))}


@given(graph=graphs())
def test_an_order_respects_every_edge(graph: dict[str, dict[str, Condition]]) -> None:
    assert find_cycle(graph) == []
    order = in_order(graph)
    assert sorted(order) == sorted(graph)
    assert all(order.index(each) < order.index(name) for name in graph for each in graph[name])


@given(
    graph=graphs(),
    others=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=6),
    data=st.data(),
)
def test_no_cycle_passes(
    graph: dict[str, dict[str, Condition]], others: list[tuple[int, int]], data: st.DataObject
) -> None:
    names = sorted(graph)
    ring = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    edges = {name: dict(graph[name]) for name in graph}
    for name, following in zip(ring, [*ring[1:], ring[0]], strict=True):
        edges[name][following] = "ready"
    for first, second in others:
        edges[names[first % len(names)]][names[second % len(names)]] = "ready"
    cycle = find_cycle(edges)
    assert len(cycle) >= 2
    assert cycle[0] == cycle[-1]
    assert all(following in edges[name] for name, following in pairwise(cycle))
    assert sorted(in_order(edges)) == names, "an order of some kind there is all the same"


@dataclass
class World:
    """All instances of a graph, and the master's part in their order, without a master."""

    instances: dict[int, Instance] = field(default_factory=dict)
    to_spawn: list[int] = field(default_factory=list)
    told_to_end: list[str] = field(default_factory=list)

    def handle(self, number: int, event: ev.Event) -> None:
        self.instances[number], actions = step(self.instances[number], event, 100.0)
        for action in actions:
            self._perform(number, action)

    def _perform(self, number: int, action: Action) -> None:
        if isinstance(action, Spawn):
            self.to_spawn.append(number)
        elif isinstance(action, Signal):
            self.told_to_end.append(self.instances[number].app)

    def by_app(self) -> dict[str, list[Instance]]:
        return {each.app: [each] for each in self.instances.values()}

    def spawn(self, number: int) -> bool:
        """Spawn what may start; hold back what may not."""
        each = self.instances[number]
        found = standing(each.spec.depends_on, self.by_app())
        if found.kind == "met":
            self.handle(number, ev.Spawned(f"run{number}", "t", 1000 + number, 1))
            return True
        assert found.kind == "waits", "nothing has failed"
        self.handle(number, ev.HeldBack(found.why))
        return False

    def let_go(self) -> None:
        for number, each in list(self.instances.items()):
            if not each.waits_for:
                continue
            if each.status is Status.STOPPING:
                may_go = not still_needed_by(each, self.instances.values())
            else:
                may_go = standing(each.spec.depends_on, self.by_app()).kind == "met"
            if may_go:
                self.handle(number, ev.LetGo())


def world_of(graph: dict[str, dict[str, Condition]], *, wait_ready: bool = False) -> World:
    world = World()
    for number, (name, depends_on) in enumerate(graph.items()):
        spec = AppSpec(name, ("/bin/x",), "/", depends_on=depends_on, wait_ready=wait_ready)
        world.instances[number] = instance(name, Status.STOPPED, id=number, spec=spec)
    return world


@settings(deadline=None)
@given(graph=graphs(), wait_ready=st.booleans(), data=st.data())
def test_everything_starts_and_in_order(
    graph: dict[str, dict[str, Condition]], wait_ready: bool, data: st.DataObject
) -> None:
    """Whatever is started first, and whoever is quick to be ready: everything comes up, none too early."""
    world = world_of(graph, wait_ready=wait_ready)
    for number in data.draw(st.permutations(sorted(world.instances))):
        world.handle(number, ev.StartRequested())
    for _ in range(4 * len(graph)):
        while world.to_spawn:
            number = world.to_spawn.pop(data.draw(st.integers(0, len(world.to_spawn) - 1)))
            if world.spawn(number):
                for name, condition in world.instances[number].spec.depends_on.items():
                    dependency = world.by_app()[name][0]
                    assert dependency.run is not None
                    assert condition == "started" or dependency.run.ready
        unready = [number for number, each in world.instances.items() if each.run and not each.run.ready]
        if unready:
            number = data.draw(st.sampled_from(unready))
            world.handle(number, ev.Ready(f"run{number}"))
        world.let_go()
    assert {each.status for each in world.instances.values()} == {Status.ONLINE}


@settings(deadline=None)
@given(graph=graphs(), data=st.data())
def test_everything_stops_in_reverse(graph: dict[str, dict[str, Condition]], data: st.DataObject) -> None:
    world = world_of(graph)
    for number, each in world.instances.items():
        run = replace(RUN, run_id=f"run{number}")
        world.instances[number] = replace(each, status=Status.ONLINE, run=run)
    numbers = {each.app: number for number, each in world.instances.items()}
    for name in reversed(in_order(graph)):
        why = still_needed_by(world.instances[numbers[name]], world.instances.values())
        world.handle(numbers[name], ev.StopRequested(waits_for=why))
    ended: list[str] = []
    while len(ended) < len(graph):
        running = [name for name in world.told_to_end if name not in ended]
        assert running, "somebody is always on the way out"
        name = data.draw(st.sampled_from(running))
        assert all(name not in graph[other] for other in set(graph) - {*ended, name})
        world.handle(numbers[name], ev.Exited(f"run{numbers[name]}", signal=15))
        ended.append(name)
        world.let_go()
    assert {each.status for each in world.instances.values()} == {Status.STOPPED}


def test_a_rule_may_say_what_follows_a_failed_dependency() -> None:
    from pypm.core.spec import Rule

    policy = RestartPolicy(rules=(Rule("stop", causes=("dependency",)),))
    waiting = instance("worker", Status.STARTING, spec=replace(instance("worker").spec, restart=policy))
    after, _ = step(waiting, ev.DependencyFailed("model is errored"), 5.0)
    assert after.status is Status.ERRORED
    assert after.waits_for == ""
