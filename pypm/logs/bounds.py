"""Which files of logs go: the deciding only, values in and values out.

Current files never go. Of the rotated ones each log's oldest goes first, so that what is left of a log is
always its end, without a gap.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from pypm.logs.rotation import Compression, Generation

__all__ = ["Deletion", "KeptLog", "Reason", "deletions", "next_expiry", "to_compress"]

Reason = Literal["retain", "retain_age", "total_size", "home"]

NANOSECONDS = 1_000_000_000


class KeptLog(msgspec.Struct, frozen=True):
    """One log: its files, oldest first, and what its app wants of it."""

    path: str
    generations: tuple[Generation, ...]
    app: str | None = None
    """``None``: no app writes here (any more); only the bound of the home holds."""
    retain: int | None = None
    """How many rotated files are kept; ``None``: any number."""
    retain_age: float | None = None
    """Seconds since a rotated file's last byte after which it goes."""
    compress: Compression = "none"

    @property
    def rotated(self) -> list[Generation]:
        """The rotated files, oldest first."""
        return [file for file in self.generations if file.number]


class Deletion(msgspec.Struct, frozen=True):
    """A file that has to go, and why."""

    file: Generation
    reason: Reason


def deletions(
    logs: Sequence[KeptLog], app_sizes: Mapping[str, int], home_size: int, now: float
) -> list[Deletion]:
    """The rotated files that are beyond a bound, in the order in which they go.

    ``app_sizes`` are the bytes that all logs of an app may have together, ``home_size`` those of all logs
    (0: any number); ``now`` is in seconds since 1970.
    """
    gone: list[Deletion] = []
    left = {log.path: log.rotated for log in logs}
    for log in logs:
        gone += _outlived(log, left[log.path], now)
    by_app: dict[str, list[KeptLog]] = {}
    for log in logs:
        if log.app is not None:
            by_app.setdefault(log.app, []).append(log)
    for app, of_app in by_app.items():
        gone += _beyond(of_app, left, app_sizes.get(app, 0), "total_size")
    gone += _beyond(logs, left, home_size, "home")
    return gone


def _outlived(log: KeptLog, rotated: list[Generation], now: float) -> list[Deletion]:
    """What is beyond a log's own bounds, taken out of ``rotated``."""
    gone: list[Deletion] = []
    while log.retain is not None and len(rotated) > log.retain:
        gone.append(Deletion(rotated.pop(0), "retain"))
    if log.retain_age is not None:
        oldest = (now - log.retain_age) * NANOSECONDS
        while rotated and rotated[0].modified < oldest:
            gone.append(Deletion(rotated.pop(0), "retain_age"))
    return gone


def _beyond(
    logs: Sequence[KeptLog], left: dict[str, list[Generation]], bound: int, reason: Reason
) -> list[Deletion]:
    """What is too much of these logs together, taken out of ``left``."""
    if not bound:
        return []
    size = sum(file.size for log in logs for file in log.generations if not file.number)
    size += sum(file.size for log in logs for file in left[log.path])
    oldest = [(left[log.path][0].modified, log.path) for log in logs if left[log.path]]
    heapq.heapify(oldest)
    gone: list[Deletion] = []
    while size > bound and oldest:
        _, path = heapq.heappop(oldest)
        file = left[path].pop(0)
        size -= file.size
        gone.append(Deletion(file, reason))
        if left[path]:
            heapq.heappush(oldest, (left[path][0].modified, path))
    return gone


def next_expiry(logs: Iterable[KeptLog]) -> float | None:
    """When the next rotated file will be too old, in seconds since 1970; ``None``: none will be."""
    times = (
        log.rotated[0].modified / NANOSECONDS + log.retain_age
        for log in logs
        if log.retain_age is not None and log.rotated
    )
    return min(times, default=None)


def to_compress(logs: Iterable[KeptLog]) -> list[tuple[Generation, Compression]]:
    """The rotated files that are to be compressed and are not, oldest first, and with what."""
    plain = [
        (file, log.compress)
        for log in logs
        if log.compress != "none"
        for file in log.rotated
        if file.compression == "none"
    ]
    return sorted(plain, key=lambda each: each[0].modified)
