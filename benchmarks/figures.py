"""Samples and what is said about them: median, worst, spread, ratio, and how a number is printed."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Samples", "format_number"]

WIDE_SPREAD = 0.5
"""Samples whose interquartile range exceeds this share of the median are marked."""


@dataclass(frozen=True)
class Samples:
    """The values of one measurement, in the order in which they were taken; at least one."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("samples need at least one value")

    @classmethod
    def of(cls, values: Iterable[float]) -> Samples:
        """The samples of any iterable of numbers; raises ``ValueError`` when it is empty."""
        return cls(tuple(values))

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def worst(self) -> float:
        return max(self.values)

    @property
    def spread(self) -> float:
        """The interquartile range as a share of the median; 0.0 for a single value or a median of 0."""
        if len(self.values) < 2 or self.median == 0:
            return 0.0
        lower, _, upper = statistics.quantiles(self.values, n=4, method="inclusive")
        return (upper - lower) / self.median

    @property
    def is_wide(self) -> bool:
        return self.spread > WIDE_SPREAD


def format_number(value: float) -> str:
    """Three significant digits, thousands with commas: ``0.0385``, ``5.79``, ``39.6``, ``1,007``."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{float(f'{value:.3g}'):.12g}" if abs(value) >= 1e-4 else f"{value:.3g}"
