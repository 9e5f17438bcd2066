"""The lines of the log that is shown: bounded, paused, searched."""

from __future__ import annotations

from pypm.tui.log_buffer import KEPT, LogBuffer, LogLine


def lines(*texts: str) -> list[LogLine]:
    return [LogLine(text, is_failure=text.startswith("ERROR")) for text in texts]


def texts(buffer: LogBuffer) -> list[str]:
    return [line.text for line in buffer.lines]


def test_the_oldest_are_let_go_and_counted() -> None:
    buffer = LogBuffer()
    assert buffer.add(lines(*map(str, range(KEPT)))) == 0
    assert buffer.add(lines("a", "b", "c")) == 3
    assert len(buffer.lines) == KEPT
    assert texts(buffer)[0] == "3"


def test_more_at_once_than_is_kept() -> None:
    buffer = LogBuffer()
    buffer.add(lines("old"))
    assert buffer.add(lines(*map(str, range(KEPT + 5)))) == 1
    assert texts(buffer)[-1] == str(KEPT + 4)


def test_a_pause_holds_back_what_comes_and_loses_nothing() -> None:
    buffer = LogBuffer()
    buffer.add(lines("a"))
    buffer.pause(True)
    buffer.add(lines("b"))
    buffer.add(lines("c"))
    assert (texts(buffer), buffer.waiting) == (["a"], 2)
    buffer.pause(False)
    assert (texts(buffer), buffer.waiting) == (["a", "b", "c"], 0)


def test_a_search_goes_round_in_both_directions() -> None:
    buffer = LogBuffer()
    buffer.add(lines("one", "Two", "three", "two"))
    assert buffer.find("two", 4, -1) == 3
    assert buffer.find("two", 3, -1) == 1
    assert buffer.find("two", 1, -1) == 3
    assert buffer.find("Two", 3, 1) == 1
    assert buffer.find("four", 0, 1) is None
    assert buffer.find("", 0, 1) is None


def test_a_jump_goes_to_the_beginning_of_a_failure() -> None:
    buffer = LogBuffer()
    buffer.add(lines("a", "ERROR 1", "ERROR 2", "b", "ERROR 3"))
    assert buffer.find_failure(5, -1) == 4
    assert buffer.find_failure(4, -1) == 1
    assert buffer.find_failure(-1, 1) == 1


def test_failures_only_shows_them_and_what_comes_of_them() -> None:
    buffer = LogBuffer()
    buffer.add(lines("a", "ERROR 1", "b"))
    buffer.show_only_failures(True)
    buffer.add(lines("c", "ERROR 2"))
    assert texts(buffer) == ["ERROR 1", "ERROR 2"]
    buffer.show_only_failures(False)
    assert len(buffer.lines) == 5


def test_a_line_that_proves_to_be_of_a_failure_later_is_shown_then() -> None:
    buffer = LogBuffer()
    buffer.show_only_failures(True)
    late = LogLine("Traceback (most recent call last):")
    buffer.add([late])
    assert texts(buffer) == []
    late.is_failure = True
    buffer.add([])
    assert texts(buffer) == [late.text]
