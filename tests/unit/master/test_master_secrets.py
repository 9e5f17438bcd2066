"""A start waits for the commands of its secrets, and what they print stays nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

import pytest
from msgspec.structs import replace

from pypm.core.events import Event, SpawnFailed
from pypm.core.instance import Instance, Status
from pypm.core.spec import AppSpec
from pypm.master import secrets
from pypm.master.secrets import Secrets
from pypm.system.probe_process import Command, CommandEnd
from pypm.system.reap import Death

if TYPE_CHECKING:
    from pypm.master.probe_askers import Surroundings

SPEC = AppSpec("a", ("/a",), "/", secrets={"KEY": "cmd:/bin/pass show key", "FILE": "/run/secrets/x"})
STARTING = Instance(0, "a", 0, 0.0, 0.0, SPEC, status=Status.STARTING)
WELL = Death(0, 0, None, False)


class Around:
    """What is around: instances, environments, children; keeps what is ordered and told."""

    def __init__(self) -> None:
        self.instances = {0: STARTING}
        self.ordered: list[int] = []
        self.heard: list[Event] = []
        self.told: list[str] = []
        self.commands: list[Command] = []
        self.answer: Callable[[], Awaitable[CommandEnd]]
        self.open_files = None

    def environment(self, _: Instance) -> dict[str, str]:
        return {"VAULT": "here"}

    def umask(self, _: Instance) -> int:
        return 0o077

    def keep(self, pid: int) -> None: ...

    def let_go(self, pid: int) -> None: ...

    async def run_command(self, command: Command, _: object) -> CommandEnd:
        self.commands.append(command)
        return await self.answer()

    def secrets(self, patience: float = 30.0) -> Secrets:
        made = Secrets(
            asyncio.get_running_loop(),
            self.instances,
            cast("Surroundings", self),
            self,
            lambda _, event: self.heard.append(event),
            lambda instance, _: self.ordered.append(instance.id),
            lambda event, **facts: self.told.append(f"{event} {facts['path']}"),
            patience,
        )
        made.start()
        return made


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch) -> Around:
    made = Around()
    monkeypatch.setattr(secrets, "run_command", made.run_command)
    return made


def prints(content: bytes, death: Death = WELL) -> Callable[[], Awaitable[CommandEnd]]:
    async def answer() -> CommandEnd:
        return CommandEnd(death, content)

    return answer


async def settled(made: Secrets) -> None:
    while made.busy:
        await asyncio.sleep(0)


def test_the_start_is_ordered_anew_with_what_was_printed_and_that_is_given_once(around: Around) -> None:
    async def scene() -> None:
        around.answer = prints(b"sk-1\n")
        made = around.secrets()
        assert not made.may_start(STARTING)
        assert not made.may_start(STARTING)
        await settled(made)
        assert around.ordered == [0]
        assert made.may_start(STARTING)
        assert made.take(STARTING) == {"KEY": "sk-1"}
        assert made.take(STARTING) == {}

    asyncio.run(scene())
    (command,) = around.commands
    assert command.words == ("/bin/pass", "show", "key")
    assert command.env == {"VAULT": "here", "PYPM_PROBE": "secret"}
    assert not command.keep_errors
    assert around.heard == []


def test_without_commands_nothing_waits(around: Around) -> None:
    async def scene() -> None:
        plain = replace(STARTING, spec=replace(SPEC, secrets={"FILE": "/run/secrets/x"}))
        assert around.secrets().may_start(plain)

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("content", "death", "words"),
    [
        (b"sk-very-secret", Death(0, 3, None, False), "secrets.KEY: the command pass failed: exit code 3"),
        (
            b"sk-very-secret",
            Death(0, None, 9, False),
            "secrets.KEY: the command pass failed: killed by SIGKILL",
        ),
        (b"sk-very-secret\0", WELL, "secrets.KEY: what the command pass prints contains a NUL character"),
        (b"sk-very-secret" * 9000, WELL, "secrets.KEY: what the command pass prints is larger than 64 KiB"),
        (b"", WELL, "secrets.KEY: the command pass printed nothing"),
    ],
)
def test_what_fails_a_start_says_nothing_of_what_was_printed(
    around: Around, content: bytes, death: Death, words: str
) -> None:
    async def scene() -> None:
        around.answer = prints(content, death)
        made = around.secrets()
        made.may_start(STARTING)
        await settled(made)

    asyncio.run(scene())
    assert around.heard == [SpawnFailed(words)]
    assert around.ordered == []


def test_a_command_has_its_time(around: Around) -> None:
    async def never() -> CommandEnd:
        await asyncio.Event().wait()
        raise AssertionError

    async def scene() -> None:
        around.answer = never
        made = around.secrets(patience=0.01)
        made.may_start(STARTING)
        await settled(made)

    asyncio.run(scene())
    (event,) = around.heard
    assert isinstance(event, SpawnFailed)
    assert event.error == "secrets.KEY: the command pass has not ended within 10ms"


def test_who_was_stopped_meanwhile_is_not_started_and_nothing_is_kept(around: Around) -> None:
    async def scene() -> None:
        around.answer = prints(b"sk-1")
        made = around.secrets()
        made.may_start(STARTING)
        around.instances[0] = replace(STARTING, status=Status.STOPPED)
        await settled(made)
        assert made.take(STARTING) == {}

    asyncio.run(scene())
    assert around.ordered == []
    assert around.heard == []


def test_a_stop_ends_the_command_and_the_next_start_runs_it_anew(around: Around) -> None:
    async def scene() -> None:
        ended = asyncio.Event()

        async def hangs() -> CommandEnd:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            raise AssertionError

        around.answer = hangs
        made = around.secrets()
        made.may_start(STARTING)
        while not around.commands:
            await asyncio.sleep(0)
        made.changed(0)
        assert made.busy, "it still starts"
        around.instances[0] = replace(STARTING, status=Status.STOPPED)
        made.changed(0)
        assert not made.busy
        around.instances[0] = STARTING
        around.answer = prints(b"sk-2")
        made.may_start(STARTING)
        await settled(made)
        assert ended.is_set()
        assert made.take(STARTING) == {"KEY": "sk-2"}

    asyncio.run(scene())
    assert around.heard == []


def test_what_was_printed_for_a_start_that_never_came_is_forgotten(around: Around) -> None:
    async def scene() -> None:
        around.answer = prints(b"sk-1")
        made = around.secrets()
        made.may_start(STARTING)
        await settled(made)
        around.instances[0] = replace(STARTING, status=Status.STOPPED)
        made.changed(0)
        around.instances[0] = STARTING
        around.answer = prints(b"sk-2")
        assert not made.may_start(STARTING)
        await settled(made)
        assert made.take(STARTING) == {"KEY": "sk-2"}

    asyncio.run(scene())


def test_who_was_declared_anew_meanwhile_gets_what_the_new_command_prints(around: Around) -> None:
    async def scene() -> None:
        around.answer = prints(b"sk-1", Death(0, 1, None, False))
        made = around.secrets()
        made.may_start(STARTING)
        anew = around.instances[0] = replace(STARTING, spec=replace(SPEC, secrets={"KEY": "cmd:/bin/new"}))
        await settled(made)
        assert around.heard == []
        around.answer = prints(b"sk-2")
        assert not made.may_start(anew)
        await settled(made)
        assert made.take(anew) == {"KEY": "sk-2"}

    asyncio.run(scene())
    assert around.ordered == [0, 0]


def test_files_that_others_can_read_are_told_of_once(around: Around, tmp_path) -> None:
    private, shared = tmp_path / "private", tmp_path / "shared"
    private.touch(0o600)
    shared.touch()
    shared.chmod(0o640)
    spec = replace(SPEC, secrets={"KEY": str(private)}, env_files=(str(shared),))

    async def scene() -> None:
        made = around.secrets()
        for _ in range(2):
            made.take(replace(STARTING, spec=spec))

    asyncio.run(scene())
    assert around.told == [f"secrets.exposed {shared}"]
