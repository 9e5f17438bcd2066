"""Whose output a log holds, as its index tells."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from fakes import NoKeeper, new_instance
from msgspec.structs import replace

from pypm.core.instance import Run, Status
from pypm.logs.index import read_index, run_number
from pypm.logs.listing import files_of
from pypm.logs.registry import LogRegistry
from pypm.master.event_log import EventLog
from pypm.master.output import Outputs


def test_a_run_that_is_found_after_its_streams_were_arranged_owns_its_output(home: Path) -> None:
    """As one does that the last master had begun and not saved."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        outputs = Outputs(
            loop, LogRegistry(), str(home / "logs"), NoKeeper(), EventLog(f"{home}/events.jsonl")
        )
        instance = new_instance()
        outputs.recover(instance)
        out, error = outputs.of(instance).open_writers()
        found = replace(
            instance, status=Status.STARTING, run=Run("35e2bea5b3f0", "t", os.getpid(), 0, 0.0, ready=False)
        )
        outputs.rearrange(found)
        os.write(out, b"serving\n")
        os.close(out)
        os.close(error)
        outputs.drain(instance.id)
        [file] = files_of(str(home / "logs" / f"{instance.name}-out.log"))
        assert read_index(file).run_ranges(run_number("35e2bea5b3f0")) == [(0, 8)]
        outputs.forget(instance.id)

    (home / "logs").mkdir()
    asyncio.run(scenario())
