"""Numbers over time as blocks."""

from __future__ import annotations

from scripted_master import make_exit, make_row

from pypm.tui.panes import MetricSamples, event_lines, fact_lines, metric_lines, run_lines
from pypm.tui.plots import plot, resampled, sparkline
from pypm.tui.rows import Samples


def test_the_newest_is_to_the_right_and_the_largest_is_highest() -> None:
    assert sparkline([0, 25, 50, 100], 6) == "  ▁▂▄█"
    assert sparkline([1, None, 100], 3) == "▁ █"
    assert sparkline([], 3) == sparkline([None, None], 3) == "   "


def test_what_is_small_looks_small() -> None:
    assert sparkline([1, 2, 1], 3, least=100) == "▁▁▁"


def test_a_slow_growth_is_seen() -> None:
    growth = [1000.0 + number for number in range(8)]
    assert sparkline(growth, 8) == "████████"
    assert sparkline(growth, 8, from_zero=False) == "▁▂▃▄▅▆▇█"


def test_no_peak_is_lost_where_many_values_share_a_column() -> None:
    values = [0.0] * 100
    values[37] = 9.0
    assert max(value or 0 for value in resampled(values, 10)) == 9.0
    assert resampled([1, 2], 10) == [1, 2]


def test_a_plot_has_an_axis_and_its_width() -> None:
    lines = plot([0, 50, 100], 12, 4, label=lambda value: f"{value:.0f}%")
    assert lines == [
        "100% │     █",
        "     │     █",
        " 50% │    ██",
        "  0% │   ▁██",
    ]


def test_a_plot_of_nothing_is_empty() -> None:
    assert plot([None, None], 10, 3, label=str, least=1.0)[0].strip() == "1.0 │"


def samples() -> Samples:
    made = Samples()
    for number in range(10):
        made.cpu.append(number * 10.0)
        made.memory.append(number * 1024.0 * 1024.0)
    return made


def test_metrics_are_those_of_the_screen_until_the_master_has_its_own() -> None:
    detail = make_row(0)
    text = "\n".join(line for line, _ in metric_lines(samples(), detail, {"tokens": [1.0, 12.5]}, 60, 24))
    assert "cpu, the last 10s: 90%, peak 90%" in text
    assert "memory, the last 10s: 9M, peak 9M" in text
    assert "tokens        12.5" in text


def test_what_the_master_has_kept_is_longer_than_what_the_screen_has_seen() -> None:
    usage = {
        "interval": 10.0, "cpu": [None, 200.0, 5.0], "memory": [None, 2.0**30, 2.0**20], "processes": 3,
        "threads": 12, "descriptors": None, "reaches_limit_in_seconds": 5400.0,
    }  # fmt: skip
    lines = metric_lines(samples(), {**make_row(0), "usage": usage}, {}, 60, 24)
    text = "\n".join(line for line, _ in lines)
    assert lines[0][0] == "3 processes, 12 threads, its memory is at its limit in 1h 30m"
    assert "cpu, the last 30s: 5.0%, peak 200%" in text
    assert "memory, the last 30s: 1M, peak 1G" in text
    usage["cpu"] = usage["memory"] = []
    assert "the last 10s" in metric_lines(samples(), {**make_row(0), "usage": usage}, {}, 60, 24)[2][0]


def test_own_metrics_begin_anew_with_another_instance() -> None:
    kept = MetricSamples()
    detail = {"id": 1, "metrics": {"tokens": {"value": 3, "at": 0}}}
    kept.take(detail)
    assert kept.take(detail) == {"tokens": [3, 3]}
    assert kept.take({"id": 2, "metrics": {}}) == {}


def test_runs_tell_failures_from_orders() -> None:
    runs = [
        make_exit(code=1, reason="exit code 1"),
        {**make_exit(code=0, reason="stopped"), "cause": "operator"},
    ]
    lines = run_lines({**make_row(0, restarts=1), "run_id": "abc", "runs": runs})
    assert [style for _, style in lines] == ["note", "head", "error", "plain"]
    assert "restarted once" in lines[0][0]
    assert "pid 1000, run abc" in lines[1][0]
    assert "exit code 1" in lines[2][0]


def test_facts_and_events_are_lines_that_nothing_breaks() -> None:
    assert fact_lines("title\n  field  \x1b[2J") == [("title", "head"), ("  field  ^[[2J", "plain")]
    event = {"event": "run.ended", "time": "t"}
    assert event_lines([event], lambda each: f"{each['event']}\n!") == [("run.ended !", "error")]
    assert event_lines([], str)[0][1] == "note"
