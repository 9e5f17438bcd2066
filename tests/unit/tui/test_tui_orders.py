"""What orders ask before, tell the master, and say afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from scripted_master import make_row

from pypm.core.errors import UsageError
from pypm.tui import orders
from pypm.tui.orders import Order

ONE = [make_row(3, "worker:0")]
MANY = [make_row(number, f"worker:{number}") for number in range(4)]


@pytest.mark.parametrize(
    ("method", "rows", "question"),
    [
        ("start", MANY, ""),
        ("restart", ONE, ""),
        ("restart", MANY, "Restart 4 instances?"),
        ("reload", MANY[:2], "Reload worker:0 and worker:1?"),
        ("stop", ONE, "Stop worker:0?"),
        ("stop", MANY[:3], "Stop worker:0, worker:1 and worker:2?"),
    ],
)
def test_what_hurts_is_asked_about(method: str, rows: list[dict[str, Any]], question: str) -> None:
    order = orders.simple(method, rows)
    assert order == Order(method, {"targets": [str(row["id"]) for row in rows]}, question)


def test_losing_something_is_always_asked_about() -> None:
    assert "forgotten" in orders.delete(ONE).question
    assert "lost" in orders.flush(ONE).question


@pytest.mark.parametrize(
    ("word", "number", "asked"),
    [("hup", 1, False), ("SIGUSR1", 10, False), ("9", 9, True), (" term ", 15, True)],
)
def test_signals_by_name_and_number(word: str, number: int, asked: bool) -> None:
    order = orders.signalled(word, ONE)
    assert order.params == {"targets": ["3"], "signal": number}
    assert bool(order.question) is asked
    assert orders.signalled(word, MANY).question


@pytest.mark.parametrize("word", ["FOO", "", "0", "-1", "999"])
def test_what_is_no_signal_is_refused(word: str) -> None:
    with pytest.raises(UsageError):
        orders.signalled(word, ONE)


@pytest.mark.parametrize(("word", "wanted"), [("6", 6), ("+2", 6), ("-1", 3), ("1", 1)])
def test_an_app_is_scaled_to_and_by_a_number(word: str, wanted: int) -> None:
    successor = {**MANY[0], "id": 10}  # of a reload
    order = orders.scaled(word, MANY[0], [*MANY, make_row(9, "other"), successor])
    assert order.params == {"app": "worker", "instances": wanted}
    assert bool(order.question) is (wanted < 4)


@pytest.mark.parametrize("word", ["", "x", "0", "-4", "1.5", "٣"])
def test_an_app_is_not_scaled_away(word: str) -> None:
    with pytest.raises(UsageError):
        orders.scaled(word, MANY[0], MANY)


def test_an_id_is_never_taken_for_the_name_of_an_app() -> None:
    order = orders.simple("restart", MANY[2:])
    assert orders.unmistakable(order, MANY) is order
    sure = orders.unmistakable(order, [*MANY, {**make_row(9, "3"), "app": "3"}])
    assert (sure.params, sure.question) == ({"targets": ["2", ":3"]}, order.question)


def entry(name: str, action: str) -> dict[str, Any]:
    return {"id": 0, "name": name, "action": action}


def test_the_outcome_is_told_in_words() -> None:
    order = Order("restart")
    answer = {
        "instances": [entry("a", "restarted"), entry("b", "restarted"), entry("c", "unchanged")],
        "warnings": [],
    }
    assert orders.outcome(order, answer) == "restarted: 2 instances; unchanged: c"
    assert orders.outcome(order, {"instances": [], "warnings": []}) == "there was nothing to do"
    failed = {
        "instances": [entry("a", "failed")],
        "warnings": ["w"],
        "failures": [{"name": "a", "reason": "no"}],
    }
    assert orders.outcome(order, failed) == "failed: a; a: no; w"
    assert orders.outcome(Order("flush"), {"files": ["x", "y"], "deleted": []}) == "2 log files were emptied"
