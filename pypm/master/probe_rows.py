"""Probes as clients see them (docs/protocol.md, details)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from pypm.core.instance import Instance, Probes
from pypm.core.probe_spec import ProbeKind

__all__ = ["ProbeReport", "probe_reports"]

KINDS: tuple[ProbeKind, ...] = ("startup", "liveness", "readiness")


class ProbeReport(msgspec.Struct):
    """What one probe of the present run has found."""

    passing: bool | None
    result: str | None
    since: float | None
    """Unix time."""
    successes: int
    failures: int
    unknowns: int
    output: str


def probe_reports(instance: Instance, as_wall: Callable[[float], float]) -> dict[str, ProbeReport]:
    """The probes that the instance's app declares, by kind; ``as_wall`` makes Unix times."""
    found = Probes() if instance.run is None else instance.run.probes
    reports: dict[str, ProbeReport] = {}
    for kind in KINDS:
        if getattr(instance.spec.health, kind) is None:
            continue
        state = found.of(kind)
        since = as_wall(state.since) if state.since else None
        counts = (state.successes, state.failures, state.unknowns)
        reports[kind] = ProbeReport(state.passing, state.result, since, *counts, state.output)
    return reports
