"""What ``pypm describe`` tells of probes."""

from __future__ import annotations

import shlex
from typing import Any

from pypm.cli.history import moment
from pypm.cli.output import plain
from pypm.config.units import format_duration
from pypm.core.probe_spec import ProbeSpec
from pypm.core.spec import HealthSpec

__all__ = ["probe_fields"]


def probe_fields(detail: dict[str, Any], health: HealthSpec) -> list[tuple[str, str]]:
    """A field for each probe that is declared: what it asks, and what it was told."""
    fields = []
    for kind, report in detail.get("probes", {}).items():
        spec: ProbeSpec | None = getattr(health, kind)
        if spec is not None:
            asked = f"{_question(spec)} every {format_duration(spec.period)}"
            fields.append((f"{kind} probe", plain(f"{asked}: {_found(report)}")))
    return fields


def _question(spec: ProbeSpec) -> str:
    if spec.exec is not None:
        return f"exec {shlex.join(spec.exec)}"
    if spec.file is not None:
        return f"file {spec.file}" + (f" of at most {format_duration(spec.max_age)}" if spec.max_age else "")
    if spec.http is not None:
        return f"{spec.method} {spec.http}"
    if spec.tcp is not None:
        return f"tcp {spec.tcp}"
    wanted = [f"log /{spec.log}/"] if spec.log is not None else []
    return " ".join([*wanted, *([f"not /{spec.log_sick}/"] if spec.log_sick is not None else [])])


def _found(report: dict[str, Any]) -> str:
    if report["result"] is None:
        return "not asked yet" if report["passing"] is None else "not answered yet"
    count = f" ({report['failures']} in a row)" if report["failures"] > 1 else ""
    output = f", {report['output']}" if report["output"] else ""
    return f"{report['result']} since {moment(report['since'])}{count}{output}"
