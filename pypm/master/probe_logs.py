"""Probes that look into the log of a run: a line that says yes, and one that says no."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Literal

from pypm.core.instance import Status
from pypm.logs.follow import Follower
from pypm.logs.listing import files_of
from pypm.logs.parse import dated_pattern, parse_record
from pypm.logs.paths import log_files
from pypm.logs.rotation import Position
from pypm.logs.spans import last_bytes, of_run, whole
from pypm.master.probes import Target
from pypm.system.beside import Beside
from pypm.system.probe_answer import Answer, failure, success, unknown
from pypm.system.time_limit import time_limit

__all__ = ["LogAsker"]

LONGEST_LINE = 2000
"""Characters of a line that are looked at."""
LOOKS = 8
"""How often 1 MiB of each log is read for one question; what is left is read for the next one."""
READ_AGAIN = 1024 * 1024
"""Bytes of an adopted run's log that are read again."""
MATCHING_TIME = 0.2
"""Seconds that the patterns may take for as much, as nothing else happens meanwhile."""

Found = tuple[Literal["success", "failure"], str]


class LogAsker:
    """Reads what a run has written since the last question; the last line that says something counts.

    ``log`` holds until ``log_sick`` is found, and the other way round. A liveness probe, which has no line
    that says yes, is answered by what is new.
    """

    def __init__(self, target: Target, logs_folder: str, beside: Beside) -> None:
        instance = target.instance
        assert instance.run is not None
        self._target = target
        self._beside = beside
        files = log_files(logs_folder, instance.spec, instance.index)
        paths = [path for path in (files.out, files.error) if path is not None and path != "/dev/null"]
        self._paths = list(dict.fromkeys(paths))
        self._dated = dated_pattern(instance.spec.logs.date_format)
        spec = target.spec
        self._good = None if spec.log is None else re.compile(spec.log)
        self._sick = None if spec.log_sick is None else re.compile(spec.log_sick)
        state = instance.run.probes.of(target.kind)
        self._is_adopted = state.result is not None and instance.status is Status.ONLINE
        self._follower: Follower[str] | None = None
        self._held: Found | None = None
        self._found: Found | None = None
        """What the lines say that this question has seen; one that is cut short leaves it to the next."""
        self._unseen: deque[str] = deque()
        """Lines that were read and not looked at."""
        if self._is_adopted and state.passing is not None:
            self._held = ("success" if state.passing else "failure", state.output)
        self._was_slow = False
        """The lines of the last question could not be looked at in time."""
        self._is_closed = False
        self._is_reading = False

    async def ask(self) -> Answer:
        """Look at what is new."""
        if self._is_reading:
            return unknown("the log is still being read for the question before")
        for _ in range(LOOKS):
            is_end = not await self._beside.call(self._read, self._target.spec.timeout)
            lines = self._taken()
            try:
                with time_limit(MATCHING_TIME):
                    self._found = self._last_of(lines) or self._found
                self._was_slow = False
            except TimeoutError:
                # Perhaps it was the machine: they are looked at once more.
                if not self._was_slow:
                    self._unseen.extendleft(reversed(lines))
                self._was_slow = not self._was_slow
                return unknown("the pattern takes too long")
            if is_end:
                break
        found, self._found = self._found, None
        if self._target.kind == "liveness":
            return failure(found[1]) if found is not None else success("no bad sign")
        self._held = found or self._held
        if self._held is None:
            return failure("there was no such line yet")
        return success(self._held[1]) if self._held[0] == "success" else failure(self._held[1])

    def close(self) -> None:
        """Close the files, or let the thread do it that still reads them."""
        self._is_closed = True
        if self._follower is not None and not self._is_reading:
            self._follower.close()

    def _taken(self) -> list[str]:
        """The lines that have been read since the last time, also for a question that was cut short."""
        return [self._unseen.popleft() for _ in range(len(self._unseen))]

    def _last_of(self, lines: list[str]) -> Found | None:
        """The last line that says something, and what."""
        for line in reversed(lines):
            if self._sick is not None and self._sick.search(line):
                return "failure", line
            if self._good is not None and self._good.search(line):
                return "success", line
        return None

    # --- in a thread ---

    def _read(self) -> bool:
        """Read the next lines of the run; whether there were any."""
        self._is_reading = True
        try:
            if self._follower is None:
                self._follower = self._begin()
            chunks = self._follower.poll()
            lines = [text for _, chunk in chunks for line in chunk.lines for text in self._texts(line)]
            self._unseen.extend(lines)
            return bool(lines)
        finally:
            self._is_reading = False
            if self._is_closed and self._follower is not None:
                self._follower.close()

    def _begin(self) -> Follower[str]:
        follower: Follower[str] = Follower()
        for path in self._paths:
            follower.add(path, path, self._position(path))
        return follower

    def _position(self, path: str) -> Position | None:
        """Where the output of the run begins, or where the log ends now.

        Another master may have died before it had saved what it read last, so that is read again; but not for
        a liveness probe, for which each bad line counts once.
        """
        files = files_of(path)
        is_begun = self._is_adopted and self._target.kind == "liveness"
        spans = [] if is_begun else of_run(whole(files), int(self._target.run_id, 16))
        if self._is_adopted:
            spans = last_bytes(spans, READ_AGAIN)
        if spans:
            return Position(spans[0].generation.identity, spans[0].start)
        return Position(files[-1].identity, files[-1].size) if files else None

    def _texts(self, line: bytes) -> Iterator[str]:
        record = parse_record(line, self._dated)
        if record is not None and record.run != self._target.run_id:
            return
        message = line if record is None else record.message
        yield message[: 4 * LONGEST_LINE].decode("utf-8", "replace").rstrip("\r\n")[:LONGEST_LINE]
