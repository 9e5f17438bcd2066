"""Stand-ins for what is around the parts of a master: no processes, no disk, and only a fake clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import Any

from pypm.core import events as ev
from pypm.core.actions import Action, Forget, Persist, Signal, Spawn
from pypm.core.instance import Instance
from pypm.core.spec import AppSpec
from pypm.master.engine import Engine
from pypm.testing import FakeClock

SPEC = AppSpec("agent", ("/bin/agent",), "/")


def new_instance(instance_id: int = 0, spec: AppSpec = SPEC, index: int = 0) -> Instance:
    return Instance(id=instance_id, app=spec.name, index=index, created=0.0, since=0.0, spec=spec)


class Handle:
    """What ``call_later`` gives."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeLoop:
    """The timers of an event loop, on a clock that only the test moves."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self._due: list[tuple[float, int, Handle, Callable[..., object], tuple[Any, ...]]] = []
        self._order = count()

    def time(self) -> float:
        return self.clock()

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Handle:
        handle = Handle()
        heapq.heappush(self._due, (self.clock() + delay, next(self._order), handle, callback, args))
        return handle

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Handle:
        return self.call_later(0.0, callback, *args)

    def run(self, seconds: float) -> None:
        """Let time pass, with all that is due in it."""
        end = self.clock() + seconds
        while self._due and self._due[0][0] <= end:
            time, _, handle, callback, args = heapq.heappop(self._due)
            if not handle.cancelled:
                self.clock.now = max(self.clock.now, time)
                callback(*args)
        self.clock.now = end

    @property
    def pending(self) -> int:
        """How many callbacks wait."""
        return sum(not handle.cancelled for _, _, handle, _, _ in self._due)


class NoKeeper:
    """A guardian that keeps nothing."""

    def holds(self, _: str) -> bool:
        return False

    def take(self, _: str) -> None:
        return None

    def hold(self, _: dict[str, int]) -> None:
        pass

    def holding_together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def drop(self, _: Iterable[str]) -> None:
        pass


class FakeExecutor:
    """Records what is ordered; spawns at once, and ends what is signalled, if it is told to."""

    def __init__(self, *, obedient: bool = True) -> None:
        self.performed: list[tuple[int, Action]] = []
        self.engine: Engine
        self.obedient = obedient
        self._runs = count(1)

    def perform(self, instance: Instance, action: Action) -> None:
        self.performed.append((instance.id, action))
        if isinstance(action, Spawn):
            number = next(self._runs)
            self.engine.handle(instance.id, ev.Spawned(f"run{number}", f"token{number}", 1000 + number, 1))
        elif isinstance(action, Signal) and self.obedient and instance.run is not None:
            self.engine.handle(instance.id, ev.Exited(instance.run.run_id, code=0))

    def kinds(self, instance_id: int) -> list[str]:
        """The names of what was ordered for an instance."""
        return [type(action).__name__ for each, action in self.performed if each == instance_id]


class FakeStore:
    """Remembers what a store would write."""

    def __init__(self) -> None:
        self.apps: dict[str, Any] = {}
        self.instances: dict[int, Instance] = {}
        self.next_id = 0

    def put_app(self, app: Any) -> None:
        self.apps[app.spec.name] = app

    def drop_app(self, name: str) -> None:
        self.apps.pop(name, None)

    def put_instance(self, instance: Instance) -> None:
        self.instances[instance.id] = instance

    def put_next_id(self, next_id: int) -> None:
        self.next_id = next_id


class PersistingExecutor(FakeExecutor):
    """Keeps a store as the real executor does."""

    def __init__(self, store: FakeStore, *, obedient: bool = True) -> None:
        super().__init__(obedient=obedient)
        self.store = store

    def perform(self, instance: Instance, action: Action) -> None:
        if isinstance(action, Persist):
            self.store.put_instance(instance)
        elif isinstance(action, Forget):
            self.store.instances.pop(instance.id, None)
        super().perform(instance, action)


def new_engine(
    clock: FakeClock | None = None, executor: FakeExecutor | None = None
) -> tuple[Engine, FakeExecutor]:
    executor = executor or FakeExecutor()
    executor.engine = Engine(executor, clock or FakeClock())
    return executor.engine, executor
