"""The last lines that one run has written, of all that its log holds."""

from __future__ import annotations

from pypm.logs.history import history
from pypm.logs.listing import files_of
from pypm.logs.picking import Query
from pypm.logs.spans import last_bytes, of_run, whole

__all__ = ["last_words"]

MOST_BYTES = 64 * 1024
LONGEST_LINE = 4000
"""Bytes of a line that are given."""


def last_words(
    path: str, run_id: str, lines: int, *, recorded: bool, date_format: str | None = None
) -> list[str]:
    """The last lines of a run in the log ``path``, oldest first; of the last 64 KiB that it has written.

    ``recorded``: the log has records, of which the messages are given. Empty where the log does not tell
    which run wrote what, and where there is none. Raises OSError for what cannot be read.
    """
    spans = whole(files_of(path))
    inside = of_run(spans, int(run_id, 16)) or (spans if recorded else [])
    query = Query(run=run_id, recorded=recorded)
    batches = history(last_bytes(inside, MOST_BYTES), query, lines, date_format=date_format)
    texts = [line[:LONGEST_LINE].decode("utf-8", "replace") for batch in batches for line in batch.lines]
    return [text.rstrip("\r\n") for text in texts]
