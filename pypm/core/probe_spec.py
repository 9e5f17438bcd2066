"""What a person declares of a probe: a question that is asked again and again, and what its answers count."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["ProbeKind", "ProbeSpec"]

ProbeKind = Literal["startup", "liveness", "readiness"]


class ProbeSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One probe, with exactly one way to ask. The defaults are those of Kubernetes; times are seconds.

    In ``http``, ``headers``, ``tcp`` and ``file`` a ``$NAME`` stands for a variable of the
    instance's environment.
    """

    http: str | None = None
    """A URL: an answer of 200 to 399, or one of ``status``, within the timeout. https: not verified."""
    tcp: str | None = None
    """``host:port`` or ``unix:/path``: a connection can be opened."""
    exec: tuple[str, ...] | None = None
    """A command that exits with 0, run as the app is: its folder, its environment."""
    file: str | None = None
    """A file that is there and has been written to within ``max_age``."""
    log: str | None = None
    """A regular expression: a line of the run's output in which it is found says yes."""
    log_sick: str | None = None
    """The same for no."""
    method: str = "GET"
    headers: dict[str, str] = {}
    status: tuple[int, ...] = ()
    max_age: float | None = None
    """Seconds; ``None``: it is enough that the file is there."""
    initial_delay: float = 0.0
    """From the moment from which on it may ask to its first question."""
    period: float = 10.0
    """From the end of a question to the next one."""
    timeout: float = 1.0
    success_threshold: int = 1
    """How often in a row the answer has to be yes, after it was no; 1 but for readiness."""
    failure_threshold: int = 3
    """How often in a row the answer has to be no before anything follows from it."""

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways to ask that are given; ``log`` and ``log_sick`` are one."""
        given = [name for name in ("http", "tcp", "exec", "file") if getattr(self, name) is not None]
        return (*given, *(["log"] if self.log is not None or self.log_sick is not None else []))
