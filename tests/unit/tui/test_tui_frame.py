"""One frame as plain text."""

from __future__ import annotations

import pytest
from scripted_master import make_row

from pypm.tui.frame import frame
from pypm.tui.text import display_width

ROWS = [
    make_row(0, "api", namespace="web"),
    make_row(1, "worker", status="errored", reason="exit code 7; given up", restarts=16),
]


def test_a_frame_is_grouped_where_there_are_several_namespaces() -> None:
    assert frame(ROWS, 80) == (
        "2 instances: 1 errored, 1 online  cpu 2%  mem 12M\n"
        "  name     status     health    progress   cpu   mem    ↺  uptime note\n"
        "default: 1 errored\n"
        "  worker   · errored  -                -     -     -   16       - exit code 7; …\n"
        "web: 1 online\n"
        "  api      ● online   -                -    2%   12M    0   1m 5s\n"
    )


@pytest.mark.parametrize("width", [20, 40, 60, 100, 200])
def test_no_line_is_longer_than_the_width(width: int) -> None:
    rows = [*ROWS, make_row(2, "日本語" * 30, reason="x" * 300)]
    assert all(display_width(line) <= width for line in frame(rows, width).splitlines())


def test_one_namespace_needs_no_heading_and_nothing_is_told_as_such() -> None:
    assert len(frame(ROWS[:1], 80).splitlines()) == 3
    assert frame([], 80) == "no apps yet\n"
