"""What the table shows: filtered, sorted, grouped, in words."""

from __future__ import annotations

from typing import Any

import pytest
from scripted_master import make_row

from pypm.tui.columns import COLUMNS, cells, fitting, name_width
from pypm.tui.rows import KEPT, SORTS, Board, Heading, View, note_of, summary

ROWS = [
    make_row(0, "api:0", namespace="web", cpu_percent=10.0, memory_bytes=30, restarts=0),
    make_row(
        1, "api:10", namespace="web", cpu_percent=30.0, memory_bytes=10, restarts=5, progress_age_seconds=9.0
    ),
    make_row(2, "api:9", namespace="web", cpu_percent=20.0, memory_bytes=20, health="stalled"),
    make_row(3, "nightly", status="stopped", restarts=2),
    make_row(4, "Worker", status="errored", reason="exit code 7"),
    make_row(5, "slow", progress_age_seconds=90.0, uptime_seconds=5.0),
]


def board(rows: list[dict[str, Any]] = ROWS) -> Board:
    made = Board()
    made.take(rows)
    return made


def shown(**view: Any) -> list[int]:
    return [line for line in board().arrange(View(**view)) if isinstance(line, int)]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ("", [0, 1, 2, 3, 4, 5]),
        ("api", [0, 1, 2]),
        ("WORKER", [4]),
        ("web stalled", [2]),
        ("web -stalled", [0, 1]),
        ("errored", [4]),
        ("code 7", [4]),
        ("-", []),
        ("nothing-of-this-kind", []),
    ],
)
def test_all_words_of_a_filter_have_to_be_there(wanted: str, ids: list[int]) -> None:
    assert shown(wanted=wanted) == ids


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        ("id", [0, 1, 2, 3, 4, 5]),
        ("name", [0, 2, 1, 3, 5, 4]),
        ("status", [2, 4, 0, 1, 5, 3]),
        ("health", [2, 0, 1, 3, 4, 5]),
        ("cpu", [1, 2, 0, 5, 3, 4]),
        ("progress", [5, 1, 0, 2, 3, 4]),
        ("restarts", [1, 3, 0, 2, 4, 5]),
        ("uptime", [5, 0, 1, 2, 3, 4]),
    ],
)
def test_what_one_looks_for_comes_first(sort: str, ids: list[int]) -> None:
    assert shown(sort=sort) == ids


@pytest.mark.parametrize("sort", SORTS)
def test_what_is_not_known_comes_last_in_both_orders(sort: str) -> None:
    there, back = shown(sort=sort), shown(sort=sort, reverse=True)
    assert sorted(there) == sorted(back) == [0, 1, 2, 3, 4, 5]
    assert there != back
    if sort == "cpu":
        assert there[-2:] == back[-2:] == [3, 4]


def test_groups_have_headings_with_what_is_wrong_first() -> None:
    lines = board().arrange(View(grouped=True, wanted="-nightly"))
    assert lines == [
        Heading("default", "default: 1 errored, 1 online"), 4, 5,
        Heading("web", "web: 1 stalled, 3 online"), 0, 1, 2,
    ]  # fmt: skip


def test_samples_go_with_their_instance_and_are_bounded() -> None:
    made = Board()
    for number in range(KEPT + 10):
        made.take([make_row(0, cpu_percent=float(number)), make_row(1)])
    made.take([make_row(0, cpu_percent=1.0), make_row(2)])
    assert list(made.samples[0].cpu)[-2:] == [KEPT + 9, 1.0]
    assert len(made.samples[0].cpu) == KEPT
    assert set(made.samples) == {0, 2}
    assert len(made.samples[2].cpu) == 1


def test_the_summary_adds_up() -> None:
    words, cpu, memory = summary(ROWS[:3])
    assert (words, cpu, memory) == ("3 instances: 1 stalled, 3 online", 60.0, 60)
    assert summary([]) == ("no apps yet", 0, 0)


def test_a_status_of_a_newer_master_is_counted_too() -> None:
    assert summary([make_row(0, status="melting")])[0] == "1 instance: 1 melting"


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"reason": "restarted: exit code 1", "status_text": "works"}, "restarted: exit code 1"),
        ({"trouble": "no progress for 5m", "reason": "it was started"}, "no progress for 5m"),
        ({"status": "backoff", "reason": "exit code 1", "retry_in_seconds": 4.0}, "exit code 1, again in 4s"),
        ({"status": "starting", "awaited": "waits for db", "reason": "told to"}, "waits for db"),
        ({"waiting_for": "the model"}, "waits for the model"),
        ({"log_trouble": "disk full", "status_text": "a\x1b[2Jb\nc"}, "disk full; a^[[2Jb c"),
    ],
)
def test_the_note_is_what_one_has_to_know(fields: dict[str, Any], note: str) -> None:
    assert note_of(make_row(0, **fields)) == note


@pytest.mark.parametrize("width", [*range(30, 130, 7), 240])
def test_columns_fill_the_width_and_never_more(width: int) -> None:
    columns = fitting(width, 12)
    assert columns[0][0].key == "name"
    taken = 2 + sum(size for _, size in columns) + len(columns) - 1
    assert taken <= width
    if columns[-1][0].key == "note":
        assert taken == width


def test_eighty_columns_have_the_lines_of_cpu_and_memory() -> None:
    keys = {column.key for column, _ in fitting(79, 14)}
    assert keys == {column.key for column in COLUMNS} - {"ready", "note", "progress"}


def test_cells_say_what_the_row_says() -> None:
    made = board([make_row(0, "worker", restarts=3, ready=False, progress_age_seconds=3.7)])
    columns = fitting(200, name_width(made.rows.values()))
    said = {column.key: text for (column, _), text in zip(columns, cells(made, 0, columns), strict=True)}
    assert (said["status"], said["ready"], said["restarts"]) == ("○ online", "no", "3")
    assert (said["progress"], said["uptime"], said["cpu"], said["memory"]) == ("3s", "1m 5s", "2%", "12M")
    assert said["cpu_line"].strip()
