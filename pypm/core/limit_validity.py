"""What the limits of a spec, and whom it says that its processes are, have to be."""

from __future__ import annotations

import re
from signal import Signals

from pypm.core.spec import UNLIMITED, AppSpec, LimitSpec, NamespaceLimits

__all__ = [
    "IO_PRIORITY",
    "LEAST_CPU_MAX",
    "LEAST_NICE",
    "MOST_CPU",
    "MOST_CPU_MAX",
    "MOST_NICE",
    "MOST_OOM_SCORE",
    "MOST_TASKS",
    "fault_of_limits",
]

LEAST_NICE, MOST_NICE = -20, 19
MOST_OOM_SCORE = 1000
MOST_CPU = 8191
"""The highest number of a CPU that Linux can be built for."""
MOST_TASKS = 2**22
"""As many as Linux can have at all."""
LEAST_CPU_MAX, MOST_CPU_MAX = 0.01, float(MOST_CPU + 1)
"""Parts of one core; the kernel counts no less."""
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
    if (
        fault := _fault_of_usage(limits)
        or _fault_of_shares(limits)
        or _fault_of_namespace(spec.namespace_limits)
    ):
        return fault
    if spec.umask is not None and not 0 <= spec.umask <= 0o777:
        return "its umask is more than permissions have bits"
    if any(name is not None and (not name or "\0" in name) for name in (spec.user, spec.group)):
        return "its user or group has no name, or one with NUL in it"
    return ""


def _fault_of_usage(limits: LimitSpec) -> str:
    """What is wrong with how much may be used before something follows."""
    if any(
        level is not None and not 0 <= level < 2**63 for level in (limits.memory_warn, limits.memory_high)
    ):
        return "one of its levels of memory is negative, or more than there can be"
    if limits.memory_high_signal is not None and limits.memory_high_signal not in Signals.__members__:
        return f"there is no signal {limits.memory_high_signal}"
    cpu = limits.cpu
    if cpu is not None and not (0 < cpu.percent < float("inf") and 0 < cpu.seconds < float("inf")):
        return "the percent of its cpu, or the time for which it has to be above, is not above zero"
    times = (limits.max_runtime, limits.runtime_jitter, limits.recycle_grace)
    if any(time is not None and not 0 <= time < float("inf") for time in times) or limits.max_runtime == 0:
        return "one of the times of its max_runtime is negative or no number, or it ends at once"
    return ""


def _fault_of_shares(limits: LimitSpec | NamespaceLimits) -> str:
    if limits.tasks is not None and not 1 <= limits.tasks <= MOST_TASKS:
        return f"at most {limits.tasks} tasks; 1 to {MOST_TASKS} are possible"
    if limits.cpu_max is not None and not LEAST_CPU_MAX <= limits.cpu_max <= MOST_CPU_MAX:
        return f"cpu_max is {limits.cpu_max} cores; {LEAST_CPU_MAX} to {MOST_CPU_MAX:g} are possible"
    return ""


def _fault_of_namespace(limits: NamespaceLimits | None) -> str:
    if limits is None:
        return ""
    if limits.memory is not None and limits.memory <= 0:
        return "what its namespace may use of memory is not above zero"
    fault = _fault_of_shares(limits)
    return f"its namespace: {fault}" if fault else ""
