"""What the limits of a spec, and whom it says that its processes are, have to be."""

from __future__ import annotations

import re

from pypm.core.spec import UNLIMITED, AppSpec

__all__ = ["IO_PRIORITY", "LEAST_NICE", "MOST_CPU", "MOST_NICE", "MOST_OOM_SCORE", "fault_of_limits"]

LEAST_NICE, MOST_NICE = -20, 19
MOST_OOM_SCORE = 1000
MOST_CPU = 8191
"""The highest number of a CPU that Linux can be built for."""
IO_PRIORITY = re.compile(r"idle|(?:best-effort|realtime):[0-7]")


def fault_of_limits(spec: AppSpec) -> str:
    """Say what no machine can do; empty if there is nothing of that kind."""
    limits = spec.limits
    sizes = (limits.open_files, limits.file_size, limits.core)
    if any(size is not None and not UNLIMITED <= size < 2**63 for size in sizes):
        return "one of its limits is negative, or more than there can be"
    if limits.nice is not None and not LEAST_NICE <= limits.nice <= MOST_NICE:
        return f"nice {limits.nice}; {LEAST_NICE} to {MOST_NICE} are possible"
    if limits.ionice is not None and not IO_PRIORITY.fullmatch(limits.ionice):
        return f"there is no I/O priority {limits.ionice}"
    if any(not 0 <= cpu <= MOST_CPU for cpu in limits.cpu_affinity):
        return "one of the CPUs of its cpu_affinity cannot be"
    if limits.oom_score_adj is not None and not -MOST_OOM_SCORE <= limits.oom_score_adj <= MOST_OOM_SCORE:
        return f"oom_score_adj {limits.oom_score_adj}; -{MOST_OOM_SCORE} to {MOST_OOM_SCORE} are possible"
    if spec.umask is not None and not 0 <= spec.umask <= 0o777:
        return "its umask is more than permissions have bits"
    if any(name is not None and (not name or "\0" in name) for name in (spec.user, spec.group)):
        return "its user or group has no name, or one with NUL in it"
    return ""
