"""Who waits is woken by what happens, and by time where time alone decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from fakes import SPEC, FakeExecutor, new_instance
from msgspec.structs import replace

from pypm.core import events as ev
from pypm.core.instance import Instance, Status
from pypm.core.spec import HealthSpec, RestartPolicy, Rung
from pypm.master.engine import Engine
from pypm.master.waiting import Outcome, Waiting
from pypm.system.clock import boot_time
from pypm.testing import FakeClock

DONE = Outcome(done=True, timed_out=False)
TIMED_OUT = Outcome(done=False, timed_out=True)
CHANGED = Outcome(done=False, timed_out=False)
QUICK = replace(SPEC, min_uptime=0.0)
NEVER = replace(SPEC, restart=RestartPolicy(autorestart="never"))
Test = Callable[[Engine, Waiting, FakeExecutor], Coroutine[Any, Any, None]]


def with_waiting(test: Test, *, clock: Callable[[], float] = boot_time, obedient: bool = True) -> None:
    async def run() -> None:
        executor = FakeExecutor(obedient=obedient)
        engine = executor.engine = Engine(executor, clock)
        waiting = Waiting(engine, clock)
        await test(engine, waiting, executor)
        assert waiting._waiters == set(), "nobody who has been answered is still remembered"

    asyncio.run(asyncio.wait_for(run(), 20.0))


async def started(waiting: Coroutine[Any, Any, Outcome]) -> asyncio.Task[Outcome]:
    """Begin to wait; it has looked once when this returns."""
    task = asyncio.ensure_future(waiting)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


def test_nobody_to_wait_for_is_done() -> None:
    async def test(engine: Engine, waiting: Waiting, _: FakeExecutor) -> None:
        assert await waiting.wait([], "settled") == DONE
        assert await waiting.wait([5], "stopped") == DONE, "gone is both"
        assert await waiting.wait([5], "settled") == DONE

    with_waiting(test)


def test_a_change_is_waited_for_whatever_they_are() -> None:
    """Also where nothing runs, which is the end of all other waits."""

    async def test(engine: Engine, waiting: Waiting, _: FakeExecutor) -> None:
        engine.add(new_instance())
        assert await waiting.wait([0], "changed", revision=0, timeout=0.0) == CHANGED
        assert await waiting.wait([0], "changed", revision=engine.revision, timeout=0.0) == TIMED_OUT
        task = await started(waiting.wait([0], "changed", revision=engine.revision))
        assert not task.done()
        engine.handle(0, ev.StartRequested())
        assert await task == CHANGED
        assert await waiting.wait([5], "changed") == DONE, "it was deleted"

    with_waiting(test)


def test_stopped_is_when_the_last_run_is_over() -> None:
    async def test(engine: Engine, waiting: Waiting, _: FakeExecutor) -> None:
        for number in range(2):
            engine.add(new_instance(number))
            engine.handle(number, ev.StartRequested())
        task = await started(waiting.wait([0, 1], "stopped"))
        for number in range(2):
            assert not task.done()
            engine.handle(number, ev.StopRequested())
            await asyncio.sleep(0)
            assert not task.done()
            engine.handle(number, ev.Exited(f"run{number + 1}", code=0))
            await asyncio.sleep(0)
        assert await task == DONE

    with_waiting(test, obedient=False)


def test_what_somebody_starts_again_is_not_waited_for() -> None:
    async def test(engine: Engine, waiting: Waiting, _: FakeExecutor) -> None:
        for number in range(2):
            engine.add(new_instance(number))
            engine.handle(number, ev.StartRequested())
            engine.handle(number, ev.StopRequested())
        task = await started(waiting.wait([0, 1], "stopped"))
        engine.handle(1, ev.StartRequested())
        await asyncio.sleep(0)
        engine.handle(1, ev.Exited("run2", code=0))
        await asyncio.sleep(0)
        assert not task.done(), "the other one is still to stop"
        engine.handle(0, ev.Exited("run1", code=0))
        assert await task == Outcome(done=False, timed_out=False, begun_again=(1,))

    with_waiting(test, obedient=False)


def test_settled_is_up_for_as_long_as_the_app_says() -> None:
    clock = FakeClock(50.0)

    async def test(engine: Engine, waiting: Waiting, _: FakeExecutor) -> None:
        engine.add(new_instance(0, replace(SPEC, min_uptime=3600.0)))
        engine.handle(0, ev.StartRequested())
        assert await waiting.wait([0], "settled", timeout=0.0) == TIMED_OUT
        clock.advance(3600.0)
        assert await waiting.wait([0], "settled") == DONE

    with_waiting(test, clock=clock)


def test_time_alone_settles() -> None:
    async def test(engine: Engine, waiting: Waiting, _: FakeExecutor) -> None:
        engine.add(new_instance(0, replace(SPEC, min_uptime=0.05)))
        engine.handle(0, ev.StartRequested())
        assert await waiting.wait([0], "settled") == DONE

    with_waiting(test)


def test_settled_is_ready_where_that_has_to_be_said() -> None:
    async def test(engine: Engine, waiting: Waiting, _: FakeExecutor) -> None:
        engine.add(new_instance(0, replace(SPEC, wait_ready=True, min_uptime=0.0)))
        engine.handle(0, ev.StartRequested())
        task = await started(waiting.wait([0], "settled"))
        assert not task.done()
        engine.handle(0, ev.Ready("run1"))
        assert await task == DONE

    with_waiting(test)


def test_settled_is_not_ready_in_time_where_nothing_more_is_done_about_it() -> None:
    clock = FakeClock(50.0)

    async def test(engine: Engine, waiting: Waiting, _: FakeExecutor) -> None:
        ladder = HealthSpec(on_startup=(Rung("alert"), Rung("alert", after=5.0)))
        engine.add(new_instance(0, replace(SPEC, wait_ready=True, listen_timeout=10.0, health=ladder)))
        engine.handle(0, ev.StartRequested())
        for seconds, expected in ((10.0, TIMED_OUT), (5.0, DONE)):
            clock.advance(seconds)
            engine.handle(0, ev.DeadlinePassed(engine.instances[0].deadline or 0.0))
            assert await waiting.wait([0], "settled", timeout=0.0) == expected
        assert engine.instances[0].status == "starting"

    with_waiting(test, clock=clock)


def test_settled_is_also_failed_or_waiting_for_its_restart() -> None:
    async def test(engine: Engine, waiting: Waiting, _: FakeExecutor) -> None:
        delayed = replace(SPEC, restart=RestartPolicy(delay=100.0))
        for number, spec in enumerate((NEVER, delayed)):
            engine.add(new_instance(number, spec))
            engine.handle(number, ev.StartRequested())
        task = await started(waiting.wait([0, 1], "settled"))
        engine.handle(0, ev.Exited("run1", code=1))
        engine.handle(1, ev.Exited("run2", code=1))
        assert await task == DONE
        assert [each.status for each in engine.instances.values()] == ["errored", "backoff"]

    with_waiting(test)


def test_who_was_settled_once_counts() -> None:
    """A crash loop that is seen between two restarts is decided: waiting does not go on with it.

    Its failure is known when the last one is there, also where it is on its way again by then.
    """

    async def test(engine: Engine, waiting: Waiting, _: FakeExecutor) -> None:
        delayed = replace(SPEC, min_uptime=3600.0, restart=RestartPolicy(delay=100.0))
        engine.add(new_instance(0, delayed))
        engine.add(new_instance(1, replace(QUICK, wait_ready=True)))
        for number in range(2):
            engine.handle(number, ev.StartRequested())
        decided: dict[int, Instance] = {}
        plain = await started(waiting.wait([0, 1], "settled"))
        told = await started(waiting.wait([0, 1], "settled", decided=decided))
        engine.handle(0, ev.Exited("run1", code=1))
        await asyncio.sleep(0)
        engine.handle(0, ev.StartRequested())
        await asyncio.sleep(0)
        assert not plain.done()
        assert not told.done()
        engine.handle(1, ev.Ready("run2"))
        assert await plain == await told == DONE
        assert engine.instances[0].status == "online"
        assert {number: each.status for number, each in decided.items()} == {0: "backoff", 1: "online"}

    with_waiting(test)


def test_who_only_waits_for_what_has_failed_is_not_waited_for() -> None:
    """Nor who waits for one that waits so. Where the goal is an end that has to come, it is."""

    async def test(engine: Engine, waiting: Waiting, _: FakeExecutor) -> None:
        broken = replace(SPEC, name="broken", restart=RestartPolicy(delay=100.0))
        engine.add(new_instance(0, broken))
        for number, needs in ((1, "broken"), (2, "app1"), (3, "fine")):
            spec = replace(QUICK, name=f"app{number}", depends_on={needs: "ready"})
            engine.add(new_instance(number, spec))
        for number in range(4):
            engine.handle(number, ev.StartRequested())
        for number in range(1, 4):
            engine.instances[number] = replace(engine.instances[number], run=None, status=Status.STARTING)
            engine.handle(number, ev.HeldBack("something to be ready"))
        decided: dict[int, Instance] = {}
        both = await started(waiting.wait([0, 1, 2], "settled", decided=decided))
        with_other = await started(waiting.wait([1, 3], "settled", decided={}))
        plain = await started(waiting.wait([1], "settled"))
        assert not both.done(), "it has not failed yet"
        engine.handle(0, ev.Exited("run1", code=1))
        assert await both == DONE
        assert {number: each.status for number, each in decided.items()} == {0: "backoff"}
        engine.handle(1, ev.HeldBack("something that has failed"))
        engine.handle(3, ev.HeldBack("something else"))
        for task in (with_other, plain):
            await asyncio.sleep(0)
            assert not task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    with_waiting(test)


def test_a_deletion_is_an_end() -> None:
    async def test(engine: Engine, waiting: Waiting, _: FakeExecutor) -> None:
        engine.add(new_instance(0))
        engine.handle(0, ev.StartRequested())
        task = await started(waiting.wait([0], "stopped"))
        engine.handle(0, ev.DeleteRequested())
        assert await task == DONE

    with_waiting(test)


def test_the_time_is_over() -> None:
    async def test(engine: Engine, waiting: Waiting, _: FakeExecutor) -> None:
        engine.add(new_instance(0))
        engine.handle(0, ev.StartRequested())
        assert await waiting.wait([0], "stopped", timeout=0.01) == TIMED_OUT

    with_waiting(test)


def test_with_a_revision_each_change_is_told() -> None:
    async def test(engine: Engine, waiting: Waiting, _: FakeExecutor) -> None:
        engine.add(new_instance(0))
        engine.add(new_instance(1))
        engine.handle(0, ev.StartRequested())
        assert await waiting.wait([0], "stopped", revision=0) == CHANGED, "it differs from that already"
        task = await started(waiting.wait([0], "stopped", revision=engine.revision))
        engine.handle(1, ev.StartRequested())
        await asyncio.sleep(0)
        assert not task.done(), "somebody else"
        engine.handle(0, ev.StatusReported("run1", "reading"))
        assert await task == CHANGED

    with_waiting(test)


def test_who_gives_up_waiting_is_forgotten() -> None:
    async def test(engine: Engine, waiting: Waiting, _: FakeExecutor) -> None:
        engine.add(new_instance(0))
        engine.handle(0, ev.StartRequested())
        task = await started(waiting.wait([0], "stopped"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with_waiting(test)
