"""Text of others becomes text that a terminal shows and does not obey."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pypm.tui.lines_pane import pieces
from pypm.tui.text import LONGEST, cut, display_width, log_text, one_line


@given(st.binary(max_size=300))
def test_no_bytes_of_a_log_reach_the_terminal_as_orders(line: bytes) -> None:
    assert log_text(line).isprintable()


@given(st.text(max_size=100))
def test_no_word_of_an_agent_does(text: str) -> None:
    assert one_line(text).isprintable()


def test_colours_and_titles_are_taken_out_and_controls_are_shown() -> None:
    line = b"\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b]52;c;aGk=\x1b\\a\tb\x07\x9b\n"
    assert log_text(line) == "red a   b^G\ufffd"


def test_markup_stays_as_it_is() -> None:
    assert log_text(b"[bold]x[/] [@click=app.quit]y[/]\n") == "[bold]x[/] [@click=app.quit]y[/]"


def test_of_a_progress_bar_the_last_state_is_shown() -> None:
    assert log_text(b"10%\r20%\r100%\n") == "…100%"
    assert log_text(b"windows\r\n") == "windows"


def test_a_line_of_a_megabyte_is_cut_and_says_so() -> None:
    text = log_text(b"x" * 1_000_000)
    assert len(text) < LONGEST + 100
    assert text.endswith(f"… ({1_000_000 - LONGEST} more bytes)")


@given(
    st.text(st.characters(exclude_categories=["C", "Z", "M"]), max_size=40), st.integers(1, 30), st.booleans()
)
def test_what_is_cut_has_exactly_its_width(text: str, width: int, right: bool) -> None:
    assert display_width(cut(text, width, right=right)) == width


def test_numbers_are_put_to_the_right() -> None:
    assert cut("7", 3, right=True) == "  7"
    assert cut("name", 3) == "na…"
    assert cut("日本語", 5) == "日本…"


@given(st.text(st.characters(exclude_categories=["C", "Z", "M"]), max_size=60), st.integers(2, 20))
def test_pieces_are_the_whole_text_and_none_is_too_wide(text: str, width: int) -> None:
    parts = [text[start:end] for start, end in pieces(text, width)]
    assert "".join(parts) == text
    assert all(display_width(part) <= width for part in parts)
