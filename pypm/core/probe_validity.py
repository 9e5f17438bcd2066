"""What every probe has to be, whoever made it."""

from __future__ import annotations

import re

from pypm.core.probe_spec import ProbeKind, ProbeSpec
from pypm.core.spec import AppSpec, HealthSpec

__all__ = ["fault_of_log_probes", "fault_of_probe", "fault_of_probes"]

LEAST_PERIOD = 0.1
LEAST_TIMEOUT = 0.01
HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
"""What the name of a header is, and a method."""
PLACE = r"https?://(\[[0-9A-Fa-f:.]+\]|(?:[^/?#@]*@)?[^/?#@:\[\]]+)(?::([^/?#]*))?(?:[/?#]|$)"
"""The host of a URL, with the user if there is one, and its port."""
STATUSES = range(100, 600)


def fault_of_probe(kind: ProbeKind, spec: ProbeSpec) -> str:
    """Say what is wrong with a probe; empty if nothing is."""
    if len(spec.ways) != 1:
        return f"it needs exactly one of http, tcp, exec, file and log, and has {len(spec.ways) or 'none'}"
    return _fault_of_numbers(kind, spec) or _fault_of_way(kind, spec)


def fault_of_probes(spec: AppSpec) -> str:
    """Say what is wrong with the probes of an app; empty if nothing is."""
    for kind, probe in _probes(spec.health).items():
        if fault := fault_of_probe(kind, probe):
            return f"its {kind} probe: {fault}"
    return fault_of_log_probes(spec)


def fault_of_log_probes(spec: AppSpec) -> str:
    """Say why there are no lines in which a probe of the app could look; empty if there are."""
    for kind, probe in _probes(spec.health).items():
        if "log" not in probe.ways:
            continue
        logs = spec.logs
        if logs.disabled or logs.out_file == logs.error_file == "/dev/null":
            return f"its {kind} probe looks into logs that are not kept"
        if logs.merge and spec.instances > 1:
            return f"its {kind} probe looks into logs that are not the instance's own (merge_logs)"
    return ""


def _probes(health: HealthSpec) -> dict[ProbeKind, ProbeSpec]:
    probes: dict[ProbeKind, ProbeSpec | None] = {
        "startup": health.startup,
        "liveness": health.liveness,
        "readiness": health.readiness,
    }
    return {kind: probe for kind, probe in probes.items() if probe is not None}


def _fault_of_numbers(kind: ProbeKind, spec: ProbeSpec) -> str:
    endless = float("inf")
    if not 0 <= spec.initial_delay < endless:
        return "its initial_delay is negative or no number"
    if not LEAST_PERIOD <= spec.period < endless:
        return "its period is shorter than 100 ms, or no number"
    if not LEAST_TIMEOUT <= spec.timeout < endless:
        return "its timeout is shorter than 10 ms, or no number"
    if spec.max_age is not None and not 0 < spec.max_age < endless:
        return "its max_age is not above zero"
    if min(spec.success_threshold, spec.failure_threshold) < 1:
        return "its thresholds begin with 1"
    if spec.success_threshold > 1 and kind != "readiness":
        return f"the success_threshold of a {kind} probe is always 1"
    return ""


def _fault_of_way(kind: ProbeKind, spec: ProbeSpec) -> str:
    if spec.http is None and (spec.method != "GET" or spec.headers or spec.status):
        return "method, headers and status are for http"
    if spec.max_age is not None and spec.file is None:
        return "max_age is for a file"
    if spec.http is not None:
        return _fault_of_http(spec)
    if spec.tcp is not None:
        return _fault_of_address(spec.tcp)
    if spec.exec is not None and (not spec.exec or any("\0" in word for word in spec.exec)):
        return "its command is empty, or has a NUL in it"
    return _fault_of_log(kind, spec) if "log" in spec.ways else ""


def _fault_of_http(spec: ProbeSpec) -> str:
    written = spec.http or ""
    if not written.startswith(("http://", "https://")):
        return f"{written!r} does not begin with http:// or https://"
    if not re.fullmatch(HEADER_NAME, spec.method):
        return f"{spec.method!r} is no method"
    if not all(re.fullmatch(HEADER_NAME, name) for name in spec.headers):
        return "one of its headers has a name that none can have"
    if any(sign in value for value in spec.headers.values() for sign in "\r\n\0"):
        return "one of its headers has a line break in it"
    if any(status not in STATUSES for status in spec.status):
        return "one of its statuses is not between 100 and 599"
    if "$" in written:
        return ""  # what it is only shows when it is asked
    place = re.match(PLACE, written)
    if place is None or (place[2] and not _is_port(place[2])):
        return f"{written!r} has no host, or no port that can be"
    return f"{written!r} has a user in it: use headers" if "@" in place[1] else ""


def _is_port(text: str) -> bool:
    return text.isdecimal() and text.isascii() and 1 <= int(text) <= 65535


def _fault_of_address(written: str) -> str:
    if written.startswith("unix:"):
        return "" if len(written) > len("unix:") else "there is no path after unix:"
    host, colon, port = written.rpartition(":")
    if "$" in written:
        return ""
    if not colon or not host or not _is_port(port):
        return f"{written!r} is neither host:port nor unix:/path"
    return ""


def _fault_of_log(kind: ProbeKind, spec: ProbeSpec) -> str:
    if kind == "liveness" and (spec.log is not None or spec.log_sick is None):
        return "of a liveness probe log_sick says which line is a bad sign, and there is no log"
    if kind != "liveness" and spec.log is None:
        return f"of a {kind} probe log says which line is a good sign"
    if kind == "startup" and spec.log_sick is not None:
        return "log_sick is for liveness and readiness"
    for pattern in (spec.log, spec.log_sick):
        try:
            re.compile(pattern or "")
        except re.error as error:
            return f"{pattern!r} is no regular expression: {error}"
    return ""
