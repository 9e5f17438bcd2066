"""In which order apps start and stop: what an instance waits for, from values only.

A dependency counts when a dependent is started, and at no other time: one that fails or is restarted later
does not touch what depends on it. At a stop the order is the reverse one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from pypm.core.instance import After, Desired, Health, Instance, Status
from pypm.core.spec import AppSpec, Condition, HealthSpec

__all__ = [
    "Standing",
    "find_cycle",
    "in_order",
    "needed",
    "never_completes",
    "standing",
    "still_needed_by",
]

ByApp = Mapping[str, Sequence[Instance]]
"""The instances of each app that there is."""
Graph = Mapping[str, Iterable[str]]
"""Of each app the names of those that it depends on."""

WANTED: Mapping[Condition, str] = {
    "started": "to be started",
    "ready": "to be ready",
    "healthy": "to be healthy",
    "completed": "to complete",
}


class Standing(NamedTuple):
    """How it stands with the dependencies of an app, and why.

    ``met``: it may start. ``waits``: something has to happen first, and is under way. ``fails``: that will
    not happen by itself.
    """

    kind: Literal["met", "waits", "fails"]
    why: str = ""


MET = Standing("met")


def standing(depends_on: Mapping[str, Condition], by_app: ByApp) -> Standing:
    """How it stands with these dependencies; all instances of each of them count."""
    found = [_of_one(name, condition, by_app.get(name, ())) for name, condition in depends_on.items()]
    for kind in ("fails", "waits"):
        reasons = [each.why for each in found if each.kind == kind]
        if reasons:
            return Standing("fails" if kind == "fails" else "waits", " and ".join(reasons))
    return MET


def _of_one(name: str, condition: Condition, instances: Sequence[Instance]) -> Standing:
    if not instances:
        return Standing("fails", f"there is no app {name}")
    unmet = [each for each in instances if not _is_met(each, condition)]
    for each in unmet:
        if _is_given_up(each):
            reason = f" ({each.reason})" if each.reason else ""
            return Standing("fails", f"{each.name} is {each.status}{reason}")
    if not unmet:
        return MET
    late = [each for each in unmet if each.status in (Status.BACKOFF, Status.HELD)]
    why = f" (it is in {late[0].status}: {late[0].reason})" if late else ""
    return Standing("waits", f"{unmet[0].name if len(unmet) == 1 else name} {WANTED[condition]}{why}")


def _is_met(instance: Instance, condition: Condition) -> bool:
    run, status = instance.run, instance.status
    if condition == "completed":
        return status is Status.EXITED and (instance.spec.schedule is None or _has_done_its_job(instance))
    if condition == "started":
        return status is Status.EXITED or (run is not None and status in (Status.STARTING, Status.ONLINE))
    if status is not Status.ONLINE or run is None or not run.is_ready:
        return False
    if condition == "ready":
        return True
    if instance.health is Health.UNKNOWN:
        return not _says_health(instance.spec.health)
    return instance.health is Health.HEALTHY


def _has_done_its_job(instance: Instance) -> bool:
    last = instance.last
    return last is not None and last.code == 0 and not last.planned


def _says_health(health: HealthSpec) -> bool:
    """Whether an app has anything by which it will be found healthy."""
    clocks = (health.heartbeat_timeout, health.progress_timeout, health.liveness)
    return any(each is not None for each in clocks)


def _is_given_up(instance: Instance) -> bool:
    """Whether it takes somebody to bring it there: it is down and nothing will start it."""
    match instance.status:
        case Status.ERRORED | Status.EXITED:
            return not instance.is_armed
        case Status.HELD:
            return instance.deadline is None
        case Status.STOPPED:
            return instance.desired is Desired.DOWN
        case Status.STOPPING:
            return instance.desired is Desired.DOWN and instance.after in (After.STOP, After.DELETE)
        case _:
            return False


def needed(chosen: Iterable[Instance], by_app: ByApp) -> list[Instance]:
    """What has to be started so that ``chosen`` can be, beside them: dependencies that are down, theirs too.

    Dependencies come before what depends on them.
    """
    found: dict[int, Instance] = {}
    seen: set[str] = set()

    def visit(spec: AppSpec) -> None:
        for name, condition in spec.depends_on.items():
            down = [each for each in by_app.get(name, ()) if not _is_met(each, condition)]
            if name in seen or not down:
                continue
            seen.add(name)
            visit(down[0].spec)
            found.update({each.id: each for each in down if _is_given_up(each)})

    instances = list(chosen)
    for each in instances:
        if each.app not in seen:
            visit(each.spec)
    ids = {each.id for each in instances}
    return [each for each in found.values() if each.id not in ids]


def still_needed_by(instance: Instance, instances: Iterable[Instance]) -> str:
    """What has to be down before ``instance`` is stopped: dependents that are being stopped; empty: nothing.

    One that nobody stops runs on, and is not waited for.
    """
    waits = [
        each
        for each in instances
        if instance.app in each.spec.depends_on and each.status is Status.STOPPING and each.run is not None
    ]
    if not waits:
        return ""
    if len(waits) == 1:
        return f"{waits[0].name} to stop"
    # Without numbers: each end would change what hundreds of instances wait for.
    apps = sorted({each.app for each in waits})
    return f"{apps[0]} to stop" if len(apps) == 1 else f"{apps[0]} and others to stop"


def in_order(graph: Graph) -> list[str]:
    """All apps of the graph, dependencies before what depends on them, else in the graph's order.

    In a graph with a cycle, which ``find_cycle`` finds, the order within the cycle is any.
    """
    done: dict[str, None] = {}
    begun: set[str] = set()
    for root in graph:
        stack = [(root, iter(graph.get(root, ())))] if root not in begun else []
        begun.add(root)
        while stack:
            name, rest = stack[-1]
            following = next((each for each in rest if each not in begun), None)
            if following is None:
                done[name] = None
                stack.pop()
            else:
                begun.add(following)
                stack.append((following, iter(graph.get(following, ()))))
    return [name for name in done if name in graph]


def find_cycle(graph: Graph) -> list[str]:
    """The apps of a cycle, the first one again as the last; empty if there is none."""
    finished: set[str] = set()
    for root in graph:
        path: dict[str, None] = {}
        stack = [(root, iter(graph.get(root, ())))] if root not in finished else []
        path.update(dict.fromkeys(name for name, _ in stack))
        while stack:
            name, rest = stack[-1]
            following = next((each for each in rest if each not in finished), None)
            if following is None:
                finished.add(name)
                del path[name]
                stack.pop()
            elif following in path:
                names = list(path)
                return [*names[names.index(following) :], following]
            else:
                path[following] = None
                stack.append((following, iter(graph.get(following, ()))))
    return []


def never_completes(spec: AppSpec) -> bool:
    """Whether an app is restarted however it ends, so that nobody need wait for it to complete."""
    policy = spec.restart
    if spec.schedule is not None:
        return False
    return policy.autorestart == "always" and not policy.stop_exit_codes and not policy.rules
