"""Probes in a file: the tables ``startup``, ``liveness`` and ``readiness`` of ``health``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from pypm.config import values
from pypm.config.faults import nearest
from pypm.config.units import parse_duration, shown
from pypm.core.errors import ConfigError
from pypm.core.probe_spec import ProbeKind, ProbeSpec
from pypm.core.probe_validity import fault_of_probe

__all__ = ["PROBE_KEYS", "Probe"]

MOST_FAILURES = 1_000_000


def _command(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            return tuple(shlex.split(values.text(value)))
        except ValueError as error:
            raise ConfigError(f"{shown(value)}: {error}") from None
    if not isinstance(value, list) or not value:
        raise ConfigError(f'{shown(value)}: expected a command such as ["pg_isready", "-q"]')
    return tuple(values.checked(values.scalar_text(word)) for word in value)


def _statuses(value: object) -> tuple[int, ...]:
    convert = values.whole(100, 599)
    return tuple(convert(each) for each in (value if isinstance(value, list) else [value]))


def _headers(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{shown(value)} is {values.kind(value)}: expected a table of headers")
    return {str(name): values.scalar_text(each) for name, each in value.items()}


_threshold = values.whole(1, MOST_FAILURES)

PROBE_KEYS: Mapping[str, Callable[[object], Any]] = {
    "http": values.text,
    "tcp": values.text,
    "exec": _command,
    "file": values.text,
    "log": values.text,
    "log_sick": values.text,
    "method": values.text,
    "headers": _headers,
    "status": _statuses,
    "max_age": parse_duration,
    "initial_delay": parse_duration,
    "period": parse_duration,
    "timeout": parse_duration,
    "success_threshold": _threshold,
    "failure_threshold": _threshold,
}
"""The keys of a probe, and what converts their values."""


class Probe:
    """A converter for the table of one kind of probe."""

    def __init__(self, kind: ProbeKind) -> None:
        self.kind = kind

    def __call__(self, value: object) -> ProbeSpec:
        """Give the probe."""
        if not isinstance(value, Mapping):
            raise ConfigError(
                f"{shown(value)} is {values.kind(value)}: expected a table such as [apps.health.{self.kind}]"
            )
        spec = ProbeSpec(**_fields(value))
        if fault := fault_of_probe(self.kind, spec):
            raise ConfigError(fault)
        return spec


def _fields(table: Mapping[str, object]) -> dict[str, Any]:
    given = {key: value for key, value in table.items() if value is not None}
    if isinstance(given.get("file"), Mapping):  # file = { path = "…", max_age = "60s" }
        given |= _file_table(given)
    fields: dict[str, Any] = {}
    faults: list[str] = []
    for key, value in given.items():
        if key not in PROBE_KEYS:
            faults.append(f"unknown key {shown(key)}{nearest(key, PROBE_KEYS)}")
            continue
        try:
            fields[key] = PROBE_KEYS[key](value)
        except ConfigError as error:
            faults.append(f"{key}: {error.message}")
    if faults:
        raise ConfigError("; ".join(faults))
    if "file" in fields:
        fields["file"] = os.path.expanduser(fields["file"])
    if "log_sick" in fields:
        fields.setdefault("failure_threshold", 1)  # one such line is meant
    return fields


def _file_table(given: Mapping[str, object]) -> dict[str, object]:
    file = given["file"]
    assert isinstance(file, Mapping)
    for key in file:
        if key not in ("path", "max_age"):
            raise ConfigError(f"file: unknown key {shown(key)}; it has path and max_age")
        if key == "max_age" and key in given:
            raise ConfigError('max_age says the same as "file.max_age"; keep one of them')
    if "path" not in file:
        raise ConfigError("file: path is missing")
    return {"file": file["path"], **({"max_age": file["max_age"]} if "max_age" in file else {})}
