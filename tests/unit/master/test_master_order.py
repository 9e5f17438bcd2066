"""The order of hundreds of instances: what waits is looked at by the app, not by the instance."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from pypm.core.actions import Action
from pypm.core.events import Exited, StopRequested
from pypm.core.instance import Instance, Run, Status
from pypm.core.order import still_needed_by
from pypm.core.spec import AppSpec
from pypm.master import order
from pypm.master.engine import Engine
from pypm.master.order import StartOrder

MANY = 100
MODEL = AppSpec("model", ("/model",), "/", instances=MANY)
WORKER = AppSpec("worker", ("/worker",), "/", instances=MANY, depends_on={"model": "ready"})


class Nobody:
    """Carries nothing out."""

    def perform(self, instance: Instance, action: Action) -> None:
        pass


def test_each_end_costs_one_look_at_each_app_and_changes_nobody_who_waits_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = 0

    def counted(instance: Instance, instances: Iterable[Instance]) -> str:
        nonlocal looks
        looks += 1
        return still_needed_by(instance, instances)

    async def whole() -> None:
        nonlocal looks
        engine = Engine(Nobody(), lambda: 100.0)
        start_order = StartOrder(engine, asyncio.get_running_loop())
        for number in range(2 * MANY):
            spec, run = (WORKER, MODEL)[number // MANY], Run(f"r{number}", "t", 1, 1, 0.0, ready=True)
            engine.add(
                Instance(number, spec.name, number % MANY, 0.0, 0.0, spec, status=Status.ONLINE, run=run)
            )
        start_order.end(list(engine.instances.values()), StopRequested())
        models = [each for each in engine.instances.values() if each.app == "model"]
        assert {each.waits_for for each in models} == {"worker to stop"}
        await asyncio.sleep(0)
        monkeypatch.setattr(order, "still_needed_by", counted)
        for number in range(MANY - 2):
            before, looks = engine.revision, 0
            engine.handle(number, Exited(f"r{number}", code=0))
            await asyncio.sleep(0)
            assert (looks, engine.revision - before) == (1, 1)
        engine.handle(MANY - 2, Exited(f"r{MANY - 2}", code=0))
        await asyncio.sleep(0)
        assert engine.instances[MANY].waits_for == f"worker:{MANY - 1} to stop"
        engine.handle(MANY - 1, Exited(f"r{MANY - 1}", code=0))
        while any(engine.instances[each.id].waits_for for each in models):
            await asyncio.sleep(0)

    asyncio.run(whole())
