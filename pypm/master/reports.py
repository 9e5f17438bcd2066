"""What a run looked like before it was ended or when somebody had to know: folders of texts, for people.

They are in ``PYPM_HOME/reports/NAME/``, one folder a report, the latest few of each instance.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pypm.core.events import Captured, Event
from pypm.core.instance import Instance
from pypm.logs.paths import file_stem, log_files
from pypm.logs.reader import tail
from pypm.logs.trouble import stamp
from pypm.system.clock import wall_time
from pypm.system.files import make_private_folder
from pypm.system.process import is_same
from pypm.system.tree import tree_pids

__all__ = ["Reports"]

log = logging.getLogger(__name__)

KEPT = 5
"""Reports of an instance."""
SECONDS = 8.0
"""What a report may take; a restart waits for it a little longer."""
LAST_LINES = 100
LAST_BYTES = 128 * 1024


class GoneError(Exception):
    """There is nothing left to report of."""


class Reports:
    """Makes reports, one after the other, beside the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handle: Callable[[int, Event], None],
        home: str,
        logs_folder: str,
    ) -> None:
        self._loop = loop
        self._handle = handle
        self._folder = os.path.join(home, "reports")
        self._logs_folder = logs_folder
        self._worker = ThreadPoolExecutor(2, "pypm-reports")

    def make(self, instance: Instance, why: str) -> None:
        """Make a report of the present run; ``Captured`` tells where it is, or that there is none."""
        assert instance.run is not None
        run_id = instance.run.run_id
        future = self._loop.run_in_executor(self._worker, self._write, instance, why)

        def done(result: asyncio.Future[str]) -> None:
            if result.cancelled():
                return
            error = result.exception()
            if error is not None:
                log.warning("%s: no report: %s", instance.name, error)
            self._handle(instance.id, Captured(run_id, "" if error else result.result()))

        future.add_done_callback(done)

    def close(self) -> None:
        """Begin no further reports."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _write(self, instance: Instance, why: str) -> str:
        from pypm.system.portrait import portrait

        run = instance.run
        assert run is not None
        if not is_same(run.main_pid, run.main_ticks):
            # Many reports were due before: its pid may be anybody's by now.
            raise GoneError(f"its process {run.main_pid} is gone")
        at = stamp(wall_time())
        parent = os.path.join(self._folder, file_stem(instance.name))
        folder = os.path.join(parent, f"{at.replace(':', '')}-{run.run_id}")
        for each in (self._folder, parent, folder):
            make_private_folder(each)
        facts = f"{instance.name}, run {run.run_id}, pid {run.main_pid}\n{at}\n{why}\n"
        facts += f"status text: {run.status_text}\nlast progress: {run.vitals.progress_text}\n"
        facts += f"waits for: {run.vitals.waiting_for}\n"
        _put(folder, "why", facts.encode())
        files = log_files(self._logs_folder, instance.spec, instance.index)
        for name, path in (("stdout", files.out), ("stderr", files.error)):
            if path is not None:
                _put(folder, name, b"".join(tail(path, LAST_LINES))[-LAST_BYTES:])
        for name, text in portrait(tree_pids(run.main_pid, run.pid), SECONDS):
            _put(folder, name, text.encode("utf-8", "replace"))
        from shutil import rmtree

        for old in sorted(os.listdir(parent))[:-KEPT]:
            rmtree(os.path.join(parent, old), ignore_errors=True)
        return folder


def _put(folder: str, name: str, data: bytes) -> None:
    descriptor = os.open(os.path.join(folder, f"{name}.txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
