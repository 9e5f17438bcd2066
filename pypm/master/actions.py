"""Actions: what agents let people ask of them. Who has which is in the telemetry; here are those being asked.

What is asked is neither saved nor asked again: a master that is lost leaves a client without an answer, and
the agent with the action done or not.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from pypm.core.errors import RequestError
from pypm.core.instance import Instance
from pypm.master.telemetry import Offer, RunTelemetry, Telemetry

__all__ = ["MEMORY_PRESSURE", "ActionResult", "Actions", "Send"]

Send = Callable[[bytes, bytes], bool]
"""Sends a frame over the connection of a name; False where that is gone."""

MEMORY_PRESSURE = "memory-pressure"
"""The action by which agents give memory back (``on_memory_pressure`` of ``pypm.agent``)."""
RECONNECTS = 5.0
"""Seconds in which runs that an earlier master has started have told this one what they offer."""
GRACE = 0.3
"""Seconds that an agent has to say that its time is over: its own word is better than ours."""
LOOK = 0.05
"""Seconds between two looks whether one has."""


class ActionResult(msgspec.Struct):
    """What became of an action in one instance: ``result``, any JSON, or where not ``ok`` an ``error``."""

    id: int
    name: str
    ok: bool
    result: Any = None
    error: str = ""


class Actions:
    """The actions that are being carried out. ``send`` is the agent channel's, once that is there."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        instances: Mapping[int, Instance],
        telemetry: Telemetry,
        clock: Callable[[], float],
    ) -> None:
        self.send: Send = lambda _, __: False
        self._loop = loop
        self._instances = instances
        self._telemetry = telemetry
        self._clock = clock
        self._began = clock()
        self._asked: dict[str, tuple[int, str, asyncio.Future[ActionResult]]] = {}
        """Instance, run and answer, by the id of the request."""

    async def find(self, instance: Instance, name: str) -> Offer:
        """Who carries out an action of an instance. Raises RequestError, which names those there are."""
        while (offer := self._offers(instance).get(name)) is None and self._may_come(instance):
            await asyncio.sleep(LOOK)
            instance = self._instances.get(instance.id, instance)
        if offer is not None:
            return offer
        if instance.run is None:
            raise RequestError(f"{instance.name} does not run")
        names = sorted(self._offers(instance))
        if not names:
            hint = "agents register them with pypm.agent.action (docs/agent.md)"
            raise RequestError(f"{instance.name} has registered no actions", hint=hint)
        close = get_close_matches(name, names, n=1)
        meant = f"did you mean {close[0]!r}? " if close else ""
        raise RequestError(
            f"{instance.name} has no action {name!r}", hint=f"{meant}it has {', '.join(names)}"
        )

    async def ask(
        self, instance: Instance, offer: Offer, name: str, param: str | None, timeout: float
    ) -> ActionResult:
        """Let it be carried out, and give what came of it within ``timeout`` seconds."""
        run = self._instances[instance.id].run if instance.id in self._instances else None
        if run is None:
            return ActionResult(instance.id, instance.name, False, error="it does not run any more")
        number = secrets.token_hex(8)
        request = {"v": 1, "type": "action", "id": number, "name": name, "expires": time.time() + timeout}
        if param is not None:
            request["param"] = param
        if not self.send(offer.connection, json.dumps(request).encode()):
            self._telemetry.of(run.run_id).withdraw(offer)
            return ActionResult(instance.id, instance.name, False, error="who has registered it is gone")
        answer: asyncio.Future[ActionResult] = self._loop.create_future()
        self._asked[number] = instance.id, run.run_id, answer
        try:
            return await asyncio.wait_for(answer, timeout + GRACE)
        except TimeoutError:
            error = f"no answer within {timeout:g} s; it may still be carrying it out"
            return ActionResult(instance.id, instance.name, False, error=error)
        finally:
            del self._asked[number]

    def tell(self, instance: Instance, name: str) -> bool:
        """Let it be carried out, if the instance has it, whatever comes of it; False: nobody was told."""
        run, offer = instance.run, self._offers(instance).get(name)
        if run is None or offer is None:
            return False
        request = {"v": 1, "type": "action", "id": secrets.token_hex(8), "name": name}
        if self.send(offer.connection, json.dumps(request).encode()):
            return True
        self._telemetry.of(run.run_id).withdraw(offer)
        return False

    def offered(self, instance_id: int, run_id: str, before: Collection[str]) -> None:
        """A process of a run has said what it offers; ``before``: what there was until then.

        Who can give memory back, and says so only when there is little left, is asked at once; not again
        who has told it to the master before this one.
        """
        instance = self._instances.get(instance_id)
        run = None if instance is None else instance.run
        if instance is None or run is None or run.run_id != run_id or run.memory_level != "high":
            return
        if MEMORY_PRESSURE not in before and not self._may_come(instance):
            self.tell(instance, MEMORY_PRESSURE)

    def answered(self, run_id: str, number: str, ok: bool, result: object, error: str) -> None:
        """A run has answered. What nobody waits for any more, or another run was asked, is dropped."""
        instance_id, asked, answer = self._asked.get(number, (0, "", None))
        instance = self._instances.get(instance_id)
        if answer is not None and instance is not None and asked == run_id and not answer.done():
            words = "" if ok else error or "it failed, and does not say why"
            answer.set_result(ActionResult(instance_id, instance.name, ok, result if ok else None, words))

    def changed(self, instance_id: int) -> None:
        """Something about an instance has changed: a run that is over does not answer any more."""
        for asked, run_id, answer in self._asked.values():
            if asked == instance_id and not answer.done():
                instance = self._instances.get(instance_id)
                if instance is None or instance.run is None or instance.run.run_id != run_id:
                    name = "" if instance is None else instance.name
                    error = "its run ended before it answered"
                    answer.set_result(ActionResult(instance_id, name, False, error=error))

    def _offers(self, instance: Instance) -> Mapping[str, Offer]:
        said: RunTelemetry | None = None
        if instance.run is not None:
            said = self._telemetry.find(instance.run.run_id)
        return {} if said is None else said.actions

    def _may_come(self, instance: Instance) -> bool:
        """Whether it may have actions which it has told another master only."""
        run = instance.run
        return run is not None and run.started < self._began and self._clock() < self._began + RECONNECTS
