"""The limits of an app, and as whom it runs, in words."""

from __future__ import annotations

from collections.abc import Callable

from pypm.config.units import format_size
from pypm.core.spec import UNLIMITED, AppSpec

__all__ = ["as_whom", "limits_in_words"]


def limits_in_words(spec: AppSpec) -> str:
    """What its processes may have; empty if nothing is limited."""
    limits = spec.limits
    sizes: list[tuple[str, int | None, Callable[[int], str]]] = [
        ("open files", limits.open_files, str),
        ("file size", limits.file_size, format_size),
        ("core dumps", limits.core, format_size),
    ]
    words = [f"{name} {_amount(size, form)}" for name, size, form in sizes if size is not None]
    numbers = [("nice", limits.nice), ("oom_score_adj", limits.oom_score_adj)]
    words += [f"{name} {number}" for name, number in numbers if number is not None]
    words += [f"I/O {limits.ionice}"] if limits.ionice else []
    words += [f"CPUs {', '.join(map(str, limits.cpu_affinity))}"] if limits.cpu_affinity else []
    return "; ".join(words)


def _amount(size: int, form: Callable[[int], str]) -> str:
    return "unlimited" if size == UNLIMITED else form(size)


def as_whom(spec: AppSpec) -> str:
    """As which user it runs, and how; empty if that is nothing special."""
    words = [f"user {spec.user}"] if spec.user is not None else []
    words += [f"group {spec.group}"] if spec.group is not None else []
    words += [f"umask {spec.umask:03o}"] if spec.umask is not None else []
    words += ["no new privileges"] if spec.no_new_privileges else []
    return ", ".join(words)
