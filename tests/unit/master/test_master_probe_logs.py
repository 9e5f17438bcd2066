"""Probes that look into a log: nothing that was read is lost when a question is cut short."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pypm.core.instance import Instance, Run, Status
from pypm.core.probe_spec import ProbeSpec
from pypm.core.spec import AppSpec
from pypm.master.probe_logs import LogAsker
from pypm.master.probes import Target
from pypm.system.beside import Beside

RUN = Run("00000000000b", "token", 10, 1, 0.0)
INSTANCE = Instance(
    3, "worker", 0, 0.0, 0.0, AppSpec("worker", ("/bin/worker",), "/"), status=Status.STARTING, run=RUN
)
PROBE = ProbeSpec(log="^serving", period=0.1)


class TooLate(Beside):
    """Does what it is asked for; at the given calls nobody waits for that any more."""

    def __init__(self, *late: int) -> None:
        super().__init__()
        self._late = late
        self._calls = 0

    async def call(self, function: Callable[[], Any], patience: float) -> Any:
        value = await super().call(function, patience)
        self._calls += 1
        if self._calls in self._late:
            raise TimeoutError
        return value


@pytest.mark.parametrize("late", [1, 2], ids=["the lines come too late", "the end of the log is not reached"])
def test_a_line_that_a_question_did_not_come_to_is_seen_by_the_next_one(tmp_path: Path, late: int) -> None:
    async def whole() -> None:
        log = tmp_path / "worker-out.log"
        log.write_text("")
        asker = LogAsker(Target(INSTANCE, RUN.run_id, "readiness", PROBE), str(tmp_path), TooLate(late + 1))
        try:
            assert (await asker.ask()).result == "failure"
            log.write_text("serving on port 80\n")
            with pytest.raises(TimeoutError):
                await asker.ask()
            assert await asker.ask() == ("success", "serving on port 80")
        finally:
            asker.close()

    asyncio.run(whole())
