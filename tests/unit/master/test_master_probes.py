"""Probes are asked one at a time, from end to start, within bounds, and ended with what they are about."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from pypm.core.events import Event, Probed
from pypm.core.instance import Instance, ProbeState, Run, Status
from pypm.core.instance import Probes as ProbeStates
from pypm.core.probe_spec import ProbeSpec
from pypm.core.spec import AppSpec, HealthSpec
from pypm.core.state import App
from pypm.master import probe_askers
from pypm.master.probe_askers import Askers, Surroundings, expanded
from pypm.master.probes import Probes, Target
from pypm.system.beside import BusyError
from pypm.system.probe_answer import Answer, success
from pypm.system.spawn import SpawnError

PROBE = ProbeSpec(tcp="h:1", period=0.1, timeout=5.0)


def instance(number: int = 0, status: Status = Status.STARTING, **probes: ProbeSpec) -> Instance:
    spec = AppSpec("a", ("/a",), "/", health=HealthSpec(**(probes or {"readiness": PROBE})))
    return Instance(number, "a", 0, 0.0, 0.0, spec, status=status, run=Run("r", "t", 1, 1, 0.0))


class Asker:
    """Answers as a test wants it, and counts."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def ask(self) -> Answer:
        self.world.under_way += 1
        self.world.most = max(self.world.most, self.world.under_way)
        self.world.asked += 1
        try:
            return await self.world.answer()
        finally:
            self.world.under_way -= 1

    def close(self) -> None:
        self.world.closed += 1


class World:
    """Instances, and what their probes are answered."""

    def __init__(self, *instances: Instance) -> None:
        self.instances = {each.id: each for each in instances}
        self.told: list[Event] = []
        self.asked = self.most = self.under_way = self.closed = 0
        self.answer: Callable[[], asyncio.Future[Answer]]
        self.probes: Probes

    def run(self, scenario: Callable[[], object]) -> None:
        async def whole() -> None:
            loop = asyncio.get_running_loop()
            self.probes = Probes(
                loop,
                lambda _id, event: self.told.append(event),
                self.instances,
                lambda _: Asker(self),
                lambda: 0.0,
            )
            self.probes.start()
            async with asyncio.timeout(20):
                await scenario()  # type: ignore[misc]
                await self.probes.close()
            assert self.under_way == 0

        asyncio.run(whole())

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0)


def test_one_question_at_a_time_and_all_are_told() -> None:
    world = World(instance())

    async def answer() -> Answer:
        await asyncio.sleep(0)
        return success("yes")

    world.answer = answer  # type: ignore[assignment]
    world.run(lambda: world.until(lambda: len(world.told) >= 3))
    assert world.most == 1
    assert world.told[:3] == [Probed("r", "readiness", "success", "yes")] * 3
    assert world.closed == 1


def test_only_so_many_are_under_way_and_the_others_wait_their_turn() -> None:
    world = World(*(instance(number) for number in range(250)))
    gate = []

    async def answer() -> Answer:
        await world.until(lambda: bool(gate))
        return success("yes")

    async def scenario() -> None:
        await world.until(lambda: world.under_way == 100)
        for _ in range(20):
            await asyncio.sleep(0)
        gate.append(True)
        await world.until(lambda: len(world.told) >= 250)

    world.answer = answer  # type: ignore[assignment]
    world.run(scenario)
    assert world.most == 100


def test_a_question_ends_with_the_run_that_it_is_about() -> None:
    world = World(instance())
    cancelled = []

    async def answer() -> Answer:
        try:
            return await asyncio.Event().wait()  # type: ignore[return-value]
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def scenario() -> None:
        await world.until(lambda: world.under_way == 1)
        old = world.instances[0]
        world.probes.changed(0)
        assert old.run is not None
        world.instances[0] = replace(old, run=replace(old.run, run_id="other"))
        world.probes.changed(0)
        await world.until(lambda: len(cancelled) == 1 and world.asked == 2)
        world.instances[0] = replace(old, status=Status.STOPPING)
        world.probes.changed(0)
        await world.until(lambda: world.under_way == 0)
        del world.instances[0]
        world.probes.changed(0)

    world.answer = answer  # type: ignore[assignment]
    world.run(scenario)
    assert (len(cancelled), world.told) == (2, [])


@pytest.mark.parametrize(
    ("error", "result", "output"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "failure", "Connection refused"),
        (OSError(errno.EMFILE, "Too many open files"), "unknown", "Too many open files"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "failure", "Connection timed out"),
        (BusyError("all threads hang"), "unknown", "all threads hang"),
        (ZeroDivisionError("a bug"), "unknown", "ZeroDivisionError: a bug"),
    ],
)
def test_what_the_errors_say(error: Exception, result: str, output: str) -> None:
    world = World(instance())

    async def answer() -> Answer:
        raise error

    world.answer = answer  # type: ignore[assignment]
    world.run(lambda: world.until(lambda: bool(world.told)))
    told = world.told[0]
    assert isinstance(told, Probed)
    assert told.result == result
    assert output in told.output


def test_no_answer_in_time_is_a_no() -> None:
    world = World(instance(0, readiness=replace(PROBE, timeout=0.05)))

    async def answer() -> Answer:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    world.answer = answer  # type: ignore[assignment]
    world.run(lambda: world.until(lambda: bool(world.told)))
    assert world.told[0] == Probed("r", "readiness", "failure", "no answer within 50ms")


def test_phases_are_spread_where_nobody_waits_for_the_answer() -> None:
    """First questions of what starts come at once; of what is adopted or alive, anywhen in the period."""

    async def delays() -> list[list[float]]:
        probes = Probes(
            asyncio.get_running_loop(), lambda *_: None, {}, lambda _: Asker(World()), lambda: 100.0
        )
        spec = replace(PROBE, period=50.0, initial_delay=130.0)
        starting = instance(readiness=PROBE)
        waiting = replace(instance(readiness=spec), since=90.0)
        alive = replace(instance(status=Status.ONLINE, liveness=spec), since=0.0)
        known = ProbeStates(readiness=ProbeState(result="success"))
        adopted = replace(starting, run=Run("r", "t", 1, 1, 0.0, probes=known))
        targets = [
            Target(starting, "r", "readiness", PROBE),
            Target(waiting, "r", "readiness", spec),
            Target(alive, "r", "liveness", spec),
            Target(adopted, "r", "readiness", replace(PROBE, period=50.0)),
        ]
        return [[probes._first_delay(target) for _ in range(300)] for target in targets]

    starting, waiting, alive, adopted = asyncio.run(delays())
    assert set(starting) == {0.0}
    assert set(waiting) == {30.0}
    assert 30.0 <= min(alive) < 40.0 < 70.0 < max(alive) <= 80.0
    assert 0.0 <= min(adopted) < 10.0 < 40.0 < max(adopted) <= 50.0


def test_variables() -> None:
    env = {"PORT": "80", "A_1": "x"}
    assert expanded("http://h:$PORT/${A_1}y?$$PORT&a=$&b=$9", env) == "http://h:80/xy?$PORT&a=$&b=$9"
    with pytest.raises(KeyError, match="NONE"):
        expanded("$NONE", env)


def test_what_a_probe_sees_of_the_environment(tmp_path: Path) -> None:
    own = {"PYPM_NAME": "a", "PYPM_RUN_ID": "r", "PYPM_AGENT_TOKEN": "secret", "NOTIFY_SOCKET": "/s"}
    found = instance()
    app = App(replace(found.spec, env={"MY": "own"}), 0.0)
    around = Surroundings({"a": app}, lambda _: own, None)
    env = around.environment(replace(found, spec=app.spec))
    assert (env["MY"], env["PYPM_NAME"]) == ("own", "a")
    assert {"PYPM_RUN_ID", "PYPM_AGENT_TOKEN", "NOTIFY_SOCKET"}.isdisjoint(env)
    spec = ProbeSpec(file="$MY.alive")
    (tmp_path / "own.alive").touch()
    target = Target(replace(found, spec=replace(app.spec, cwd=str(tmp_path))), "r", "readiness", spec)

    async def ask() -> Answer:
        return await Askers(around, None, "").make(target).ask()  # type: ignore[arg-type]

    assert asyncio.run(ask()).result == "success"


@pytest.mark.parametrize(
    ("number", "result"),
    [
        (errno.EMFILE, "unknown"),
        (errno.EAGAIN, "unknown"),
        (errno.ENOENT, "failure"),
        (errno.EACCES, "failure"),
    ],
)
def test_a_command_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch, number: int, result: str) -> None:
    """What this machine lacks says nothing about the agent; a command that is not there does."""

    async def run_command(*_: object) -> None:
        raise SpawnError("refused") from OSError(number, "refused")

    monkeypatch.setattr(probe_askers, "run_command", run_command)
    found = instance(readiness=ProbeSpec(exec=("x",)))
    around = Surroundings({"a": App(found.spec, 0.0)}, lambda _: {}, None)
    target = Target(found, "r", "readiness", ProbeSpec(exec=("x",)))
    asker = Askers(around, None, "").make(target)  # type: ignore[arg-type]
    assert asyncio.run(asker.ask()) == (result, "refused")
