"""The table for people and the JSON for programs."""

from __future__ import annotations

import json

import pytest

from benchmarks.bench import Collected
from benchmarks.figures import Samples
from benchmarks.report import Report, Row, Target, render_report


def row(targets: tuple[Target, ...] = (), **cells: float) -> Row:
    samples = {column: Samples.of([value]) for column, value in cells.items()}
    return Row("latency", "ms", samples, targets=targets)


def test_a_cell_has_the_figure_and_the_ratio_to_bare() -> None:
    assert row(bare=1.2, pypm=3.0).cell("pypm") == "3 ×2.5"
    assert row(bare=1.2, pypm=3.0).cell("bare") == "1.2"


def test_a_cell_without_a_figure_is_a_dash() -> None:
    assert row(bare=1.2).cell("pm2") == "–"


def test_there_is_no_ratio_to_a_baseline_of_zero() -> None:
    assert row(bare=0.0, pypm=3.0).cell("pypm") == "3"


def test_wide_samples_are_marked_but_a_worst_value_never_is() -> None:
    cells = {"pypm": Samples.of([1.0, 5.0, 9.0])}
    assert Row("latency", "ms", cells).cell("pypm") == "~5"
    assert Row("latency", "ms", cells, statistic="worst").cell("pypm") == "9"


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (Target(3), "≤ 3 ms: met"),
        (Target(2.9), "≤ 2.9 ms: missed"),
        (Target(3, of="bare"), "≤ 3 × bare: met"),
        (Target(2, of="bare"), "≤ 2 × bare: missed"),
        (Target(0.5, of="pm2"), "≤ 0.5 × pm2: met"),
        (Target(1, of="circus"), "≤ 1 × circus"),  # not measured: no verdict
    ],
)
def test_a_target_is_judged_by_pypms_figure(target: Target, verdict: str) -> None:
    assert row((target,), bare=1.2, pypm=3.0, pm2=6.0).verdict() == verdict


def test_several_targets_are_judged_each() -> None:
    targets = (Target(3), Target(2, of="bare"))
    assert row(targets, bare=1.2, pypm=3.0).verdict() == "≤ 3 ms: met; ≤ 2 × bare: missed"


def test_bare_is_the_first_column_and_pypm_the_second() -> None:
    report = Report("s", "t", "b", rows=[row(pm2=1.0), row(pypm=1.0, bare=1.0)])
    assert report.columns() == ["bare", "pypm", "pm2"]


def test_the_table_is_aligned_markdown_with_targets_and_notes() -> None:
    report = Report("start_n", "start N", "a loop", notes=["circus: failed"])
    report.rows = [row((Target(3, of="bare"),), bare=1.2, pypm=3.0), Row("long title", "")]
    lines = render_report(report).splitlines()
    assert lines[:2] == ["## start_n: start N", ""]
    assert lines[2:6] == [
        "|              | bare |   pypm |          target |",
        "| ------------ | ---: | -----: | --------------: |",
        "| latency (ms) |  1.2 | 3 ×2.5 | ≤ 3 × bare: met |",
        "| long title   |    – |      – |                 |",
    ]
    assert lines[7:] == ["- bare: a loop", "- circus: failed"]


def test_a_table_without_targets_has_no_column_for_them() -> None:
    assert "target" not in render_report(Report("s", "t", "b", rows=[row(bare=1.0)]))


def test_json_has_every_sample() -> None:
    report = Report("s", "t", "b", rows=[Row("r", "ms", {"bare": Samples.of([1.0, 2.0, 3.0])})])
    (cells,) = [line["cells"] for line in json.loads(json.dumps(report.as_json()))["rows"]]
    assert cells["bare"]["samples"] == [1.0, 2.0, 3.0]
    assert cells["bare"]["value"] == 2.0


def test_collected_values_become_the_cells_of_their_row() -> None:
    collected = Collected()
    collected.add("gone", "bare", 1.0)
    collected.add("gone", "bare", 3.0)
    collected.add("other", "pypm", 5.0)
    assert collected.fill(Row("until gone", "ms"), "gone").cells == {"bare": Samples.of([1.0, 3.0])}
    assert collected.cells("never measured") == {}
