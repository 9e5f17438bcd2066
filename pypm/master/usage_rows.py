"""What an instance uses and has used, as clients see it (docs/protocol.md, ``usage`` of a detail)."""

from __future__ import annotations

import msgspec

from pypm.core.instance import Instance
from pypm.master.sampler import Sampler
from pypm.master.usage_history import INTERVAL
from pypm.system.clock import boot_time, wall_time

__all__ = ["UsageReport", "usage_report"]


class UsageReport(msgspec.Struct):
    """The last hour, and what the present run uses beyond what its row says."""

    interval: float = INTERVAL
    """Seconds for which one figure stands."""
    end: float | None = None
    """Unix time at which the last of them ends."""
    memory: list[int | None] = []
    """The most bytes that were seen in each interval, oldest first; null: nothing of it ran."""
    cpu: list[float | None] = []
    """Percent of a core in each interval."""
    memory_slope: float | None = None
    """Bytes a second by which memory changes, where that is a trend."""
    reaches_limit_in_seconds: float | None = None
    """When its memory is at the limit, where that is foreseeable."""
    processes: int | None = None
    threads: int | None = None
    descriptors: int | None = None
    proportional_bytes: int | None = None
    """Memory in which a page that several processes share counts in parts (PSS)."""
    read_bytes: int | None = None
    written_bytes: int | None = None


def usage_report(sampler: Sampler, instance: Instance) -> UsageReport:
    """All that the sampler knows of an instance; some of it is measured now."""
    report = UsageReport()
    history = sampler.history(instance.id)
    if history is not None:
        report.end = round(wall_time() - (boot_time() - history.end), 3)
        report.memory, report.cpu = history.memory, history.cpu
    if (trend := sampler.trend(instance)) is not None:
        report.memory_slope = round(trend.slope, 1)
        left = trend.reaches_limit_in
        report.reaches_limit_in_seconds = None if left is None else round(left, 1)
    sample, whole = sampler.of(instance), sampler.whole(instance)
    if sample is not None and whole is not None:
        report.processes, report.threads = sample.processes, sample.threads
        report.proportional_bytes, report.descriptors = whole.proportional, whole.descriptors
        report.read_bytes, report.written_bytes = whole.read_bytes, whole.written_bytes
    return report
