"""What of the lines of a log is shown: records taken apart, and chosen by time, run, pattern and failure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from pypm.logs.failures import FailureFinder
from pypm.logs.lines import Stamped
from pypm.logs.parse import Record, dated_pattern, may_be_record, parse_record

__all__ = ["Batch", "Picker", "Query"]

MOST_HELD = 1000
"""Lines of one batch; more are given in several."""


class Query(msgspec.Struct, frozen=True):
    """What is asked of a log. Times are Unix milliseconds."""

    since: int | None = None
    until: int | None = None
    run: str | None = None
    """A run id, whole."""
    recorded: bool = False
    """The app's lines are records, which tell their run; then it is found without an index too."""
    patterns: tuple[re.Pattern[bytes], ...] = ()
    """Lines that match one of them; all if there is none."""
    invert: bool = False
    """Lines that match none of them."""
    errors: bool = False
    """What looks like a failure."""
    raw: bool = False
    """Lines as they are in the file, not the messages of records."""

    @property
    def picks(self) -> bool:
        """Whether lines are left out by what is in them."""
        return bool(self.patterns or self.errors)


class Batch(NamedTuple):
    """Lines that came at one time, from one run and stream; with ``errors``: one failure."""

    lines: list[bytes]
    """With their newlines, if they have them."""
    time: int = 0
    """Milliseconds since 1970; 0: not known."""
    exact: bool = False
    """The time is that of a record; else it is known to the second."""
    run: str = ""
    stream: str = ""
    """``out`` or ``error``, where the record tells it."""
    name: str = ""
    """The instance, where the record tells it."""


class Picker:
    """Chooses of the lines of one log, which come in their order."""

    def __init__(self, query: Query, date_format: str | None = None) -> None:
        self._query = query
        self._dated = dated_pattern(date_format)
        self._finder = FailureFinder() if query.errors else None
        self._begun = Batch([])
        """Where the failure began that has not ended."""

    @property
    def pending(self) -> bool:
        """Whether ``flush`` would give something."""
        return self._finder is not None and self._finder.pending

    def pick(self, stamped: Stamped) -> Iterator[Batch]:
        """What is shown of these lines."""
        for batch in self._batches(stamped):
            if not self._is_asked_for(batch):
                continue
            if self._finder is not None:
                yield from self._failures(self._finder, batch)
            elif lines := self._matching(batch.lines):
                yield batch if lines is batch.lines else batch._replace(lines=lines)

    def flush(self) -> Iterator[Batch]:
        """The failure that has begun and whose end nothing has told."""
        if self._finder is not None:
            for group in self._finder.flush():
                yield from self._group(self._begun, group)

    def _batches(self, stamped: Stamped) -> Iterator[Batch]:
        """The lines with what their records tell; those without records as they came."""
        plain = Batch(stamped.lines, stamped.time, run=stamped.run)
        if self._dated is None and not any(map(may_be_record, stamped.lines)):
            yield plain
            return
        batch: Batch | None = None
        for line in stamped.lines:
            record = parse_record(line, self._dated)
            lines = [line] if record is None or self._query.raw else [record.message]
            of_line = self._of_record(plain, record)
            if batch is not None and batch[1:] == of_line[1:] and len(batch.lines) < MOST_HELD:
                batch.lines.extend(lines)
                continue
            if batch is not None:
                yield batch
            batch = of_line._replace(lines=lines)
        if batch is not None:
            yield batch

    def _of_record(self, plain: Batch, record: Record | None) -> Batch:
        if record is None:
            return plain
        time = plain.time if record.time is None else record.time
        return Batch([], time, record.time is not None, record.run, record.stream, record.name)

    def _is_asked_for(self, batch: Batch) -> bool:
        query = self._query
        if query.run is not None and batch.run != query.run:
            return False
        # Times by the index are known to the second only, and the index has chosen already.
        if not batch.exact:
            return True
        early = query.since is not None and batch.time < query.since
        return not early and (query.until is None or batch.time <= query.until)

    def _matching(self, lines: list[bytes]) -> list[bytes]:
        patterns = self._query.patterns
        if not patterns:
            return lines
        if self._query.invert:
            return [line for line in lines if not any(pattern.search(line) for pattern in patterns)]
        if len(patterns) == 1:
            return list(filter(patterns[0].search, lines))
        return [line for line in lines if any(pattern.search(line) for pattern in patterns)]

    def _failures(self, finder: FailureFinder, batch: Batch) -> Iterator[Batch]:
        begun = self._begun if finder.pending else batch
        for group in finder.feed(batch.lines):
            yield from self._group(begun, group)
            begun = batch
        self._begun = begun

    def _group(self, begun: Batch, group: list[bytes]) -> Iterator[Batch]:
        """A failure as a whole, if one of its lines matches."""
        if self._matching(group):
            yield begun._replace(lines=group)
