"""What a scenario found, as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.figures import Samples, format_number

__all__ = ["BARE", "PYPM", "Report", "Row", "Target", "render_report"]

BARE = "bare"
PYPM = "pypm"


@dataclass(frozen=True)
class Target:
    """What pypm is to reach: at most ``limit``, in the row's unit or as a ratio to the column ``of``.

    With ``at_least`` it is at least ``limit``.
    """

    limit: float
    of: str | None = None
    at_least: bool = False


@dataclass
class Row:
    """One line of a table: a figure of every column, by default as the median of its samples."""

    title: str
    unit: str
    cells: dict[str, Samples] = field(default_factory=dict)
    statistic: Literal["median", "worst"] = "median"
    ratio: bool = True
    """Whether the ratio to the bare column is worth printing."""
    targets: tuple[Target, ...] = ()

    def value(self, column: str) -> float | None:
        """The figure of a column, or ``None`` where nothing was measured."""
        samples = self.cells.get(column)
        if samples is None:
            return None
        return samples.worst if self.statistic == "worst" else samples.median

    def ratio_to(self, column: str, other: str) -> float | None:
        """``column`` divided by ``other``, or ``None`` where one is missing or the divisor is 0."""
        value, divisor = self.value(column), self.value(other)
        return value / divisor if value is not None and divisor else None

    def verdict(self) -> str:
        """The targets and whether pypm met each, or an empty string."""
        return "; ".join(map(self._judge, self.targets))

    def _judge(self, target: Target) -> str:
        sign = "≥" if target.at_least else "≤"
        if target.of is None:
            words, reached = f"{sign} {format_number(target.limit)} {self.unit}".rstrip(), self.value(PYPM)
        else:
            words = f"{sign} {format_number(target.limit)} × {target.of}"
            reached = self.ratio_to(PYPM, target.of)
        if reached is None:
            return words
        met = reached >= target.limit if target.at_least else reached <= target.limit
        return f"{words}: {'met' if met else 'missed'}"

    def cell(self, column: str) -> str:
        """One cell: ``~`` if the samples spread wide, the figure, and the ratio to bare."""
        value = self.value(column)
        if value is None:
            return "–"
        mark = "~" if self.statistic == "median" and self.cells[column].is_wide else ""
        ratio = self.ratio_to(column, BARE) if self.ratio and column != BARE else None
        return f"{mark}{format_number(value)}" + ("" if ratio is None else f" ×{format_number(ratio)}")


@dataclass
class Report:
    """The result of one scenario."""

    scenario: str
    title: str
    bare: str
    """What the column ``bare`` is; empty where there is none."""
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def columns(self) -> list[str]:
        """The columns that have a figure in some row, bare first and pypm second."""
        seen = dict.fromkeys(column for row in self.rows for column in row.cells)
        return sorted(seen, key=lambda column: (column != BARE, column != PYPM))

    def as_json(self) -> dict[str, Any]:
        """Everything, with every single sample."""
        return {
            "scenario": self.scenario,
            "title": self.title,
            "bare": self.bare,
            "notes": self.notes,
            "rows": [_row_as_json(row) for row in self.rows],
        }


def _row_as_json(row: Row) -> dict[str, Any]:
    cells = {
        column: {
            "value": row.value(column),
            "ratio_to_bare": row.ratio_to(column, BARE),
            "spread": samples.spread,
            "samples": list(samples.values),
        }
        for column, samples in row.cells.items()
    }
    return {
        "title": row.title,
        "unit": row.unit,
        "statistic": row.statistic,
        "target": row.verdict() or None,
        "cells": cells,
    }


def render_report(report: Report) -> str:
    """The report as Markdown whose table is aligned, so that it reads well in a terminal too."""
    columns = report.columns()
    has_target = any(row.targets for row in report.rows)
    lines = [["", *columns, *(["target"] if has_target else [])]]
    for row in report.rows:
        title = f"{row.title} ({row.unit})" if row.unit else row.title
        lines.append([title, *map(row.cell, columns), *([row.verdict()] if has_target else [])])
    bare = [f"bare: {report.bare}"] if report.bare else []
    notes = [f"- {note}" for note in [*bare, *report.notes]]
    return "\n".join([f"## {report.scenario}: {report.title}", "", *_aligned(lines), "", *notes, ""])


def _aligned(lines: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        yield f"| {' | '.join(cells)} |"
        if number == 0:
            rules = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
            yield f"| {' | '.join(rules)} |"
