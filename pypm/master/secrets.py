"""Secrets that commands print: run before each start, and kept until the process has them, no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pypm.core.actions import Spawn
from pypm.core.events import Event, SpawnFailed
from pypm.core.instance import Instance, Status
from pypm.core.policy import describe_duration, describe_exit, signal_name
from pypm.core.secret_sources import secret_commands
from pypm.core.spec import HOOK_TIMEOUT
from pypm.master.probe_askers import Surroundings
from pypm.system.attributes import Attributes
from pypm.system.identity import find_identity
from pypm.system.probe_process import PROBE_VARIABLE, Command, Family, run_command
from pypm.system.secret_values import MOST, exposed_files, secret_value
from pypm.system.spawn_error import SpawnError

__all__ = ["Secrets"]

AT_ONCE = 8
"""How many instances' commands run at the same time; the others wait."""
MARK = "secret"

Handle = Callable[[int, Event], None]
Order = Callable[[Instance, Spawn], None]


class Printed(NamedTuple):
    """What the commands of a start have printed, and which ones these were."""

    sources: Mapping[str, str]
    values: dict[str, str]


class Secrets:
    """Holds a start back until the commands of its secrets have printed them, and tells of open files.

    A command runs beside the loop, as the app's user and in its environment, with nothing to read; one that
    fails fails the start. No error says anything of what was printed. ``order`` orders the start anew.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        instances: Mapping[int, Instance],
        surroundings: Surroundings,
        family: Family,
        handle: Handle,
        order: Order,
        record: Callable[..., None],
        patience: float = HOOK_TIMEOUT,
    ) -> None:
        self._loop = loop
        self._instances = instances
        self._surroundings = surroundings
        self._family = family
        self._handle = handle
        self._order = order
        self._record = record
        self._patience = patience
        self._printed: dict[int, Printed] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._cancelled: set[asyncio.Task[None]] = set()
        self._told: set[str] = set()
        """Files of which has been told that others can read them."""
        self._room = asyncio.Semaphore(AT_ONCE)
        self._started = asyncio.Event()

    def start(self) -> None:
        """Begin to run commands: nothing that an earlier master has left runs any more."""
        self._started.set()

    @property
    def busy(self) -> bool:
        """Whether a command runs, or waits for its turn."""
        return bool(self._tasks)

    async def close(self) -> None:
        """End what still runs."""
        for instance_id in list(self._tasks):
            self._cancel(instance_id)
        await asyncio.gather(*self._cancelled, return_exceptions=True)

    def changed(self, instance_id: int) -> None:
        """Look whether an instance still wants to start: the commands of one that does not are ended.

        What they have printed is forgotten: the next start may come in days, and needs what is valid then.
        """
        is_known = instance_id in self._tasks or instance_id in self._printed
        if is_known and self._still_starts(instance_id) is None:
            self._printed.pop(instance_id, None)
            if instance_id in self._tasks:
                self._cancel(instance_id)

    def may_start(self, instance: Instance) -> bool:
        """Whether all is known that a run needs; if not, the start is ordered anew when it is."""
        if not secret_commands(instance.spec.secrets):
            return True
        printed = self._printed.get(instance.id)
        if printed is not None and printed.sources == instance.spec.secrets:
            return True
        if instance.id not in self._tasks:
            self._tasks[instance.id] = self._loop.create_task(self._resolve(instance))
        return False

    def take(self, instance: Instance) -> dict[str, str]:
        """What was printed for the run that begins now; it is forgotten with that."""
        for path in exposed_files(instance.spec):
            if path not in self._told:
                self._told.add(path)
                self._record("secrets.exposed", name=instance.name, id=instance.id, path=path)
        printed = self._printed.pop(instance.id, None)
        return {} if printed is None else printed.values

    async def _resolve(self, instance: Instance) -> None:
        failure: str | None = None
        try:
            await self._started.wait()
            async with self._room:
                if self._still_starts(instance.id) is not None:
                    values = await self._print_all(instance)
                    self._printed[instance.id] = Printed(instance.spec.secrets, values)
        except SpawnError as error:
            failure = str(error)
        except OSError as error:  # no descriptor left for its pipe
            failure = f"a command of its secrets: {error.strerror or error}"
        del self._tasks[instance.id]
        self._tell(instance, failure)

    def _cancel(self, instance_id: int) -> None:
        task = self._tasks.pop(instance_id)
        task.cancel()
        self._cancelled.add(task)
        task.add_done_callback(self._cancelled.discard)

    def _tell(self, before: Instance, failure: str | None) -> None:
        instance = self._still_starts(before.id)
        if instance is None:  # the listeners hear of that later than we do
            self._printed.pop(before.id, None)
        elif failure is None or instance.spec.secrets != before.spec.secrets:
            self._order(instance, Spawn())
        else:
            self._handle(instance.id, SpawnFailed(failure))

    def _still_starts(self, instance_id: int) -> Instance | None:
        instance = self._instances.get(instance_id)
        starts = instance is not None and instance.status is Status.STARTING and instance.run is None
        return instance if starts else None

    async def _print_all(self, instance: Instance) -> dict[str, str]:
        commands = secret_commands(instance.spec.secrets)
        env = self._surroundings.environment(instance) | {PROBE_VARIABLE: MARK}
        return {name: await self._print(instance, name, words, env) for name, words in commands.items()}

    async def _print(self, instance: Instance, name: str, words: tuple[str, ...], env: dict[str, str]) -> str:
        spec = instance.spec
        attributes = Attributes(
            identity=find_identity(spec.user, spec.group), no_new_privileges=spec.no_new_privileges
        )
        command = Command(
            words,
            spec.cwd,
            env,
            self._surroundings.umask(instance),
            self._surroundings.open_files,
            attributes,
            kept=MOST + 1,
            keep_errors=False,
        )
        what = f"the command {words[0].rpartition('/')[2]}"
        try:
            async with asyncio.timeout(self._patience):
                end = await run_command(command, self._family)
        except SpawnError as error:
            raise SpawnError(f"secrets.{name}: {error}") from error
        except TimeoutError:
            took = describe_duration(self._patience)
            raise SpawnError(f"secrets.{name}: {what} has not ended within {took}") from None
        if end.death.code != 0:
            number = end.death.signal
            how = describe_exit(
                end.death.code, None if number is None else signal_name(number), core_dumped=False
            )
            raise SpawnError(f"secrets.{name}: {what} failed: {how}")
        if not end.content.strip():
            raise SpawnError(f"secrets.{name}: {what} printed nothing")
        return secret_value(name, f"what {what} prints", end.content)
