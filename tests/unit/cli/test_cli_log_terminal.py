from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypm.cli.log_printers import Look
from pypm.cli.log_terminal import harmless, highlighted, last_printed, without_escapes


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"plain\n", b"plain\n"),
        (b"tab\tand \xc3\xbc \xe2\x82\xac \xff\r\n", b"tab\tand \xc3\xbc \xe2\x82\xac \xff\r\n"),
        (b"\x1b[1;31mred\x1b[0m\n", b"\x1b[1;31mred\x1b[0m\x1b[0m\n"),
        (b"\x1b[38;2;1;2;3mtrue colour\n", b"\x1b[38;2;1;2;3mtrue colour\x1b[0m\n"),
        (b"a\x1b[2Jb\x1b[1;1Hc\x1b[?1049hd\x1b[K\n", b"abcd\n"),
        (b"\x1b]0;title\x07text\x1b]52;c;aGk=\x1b\\more\n", b"textmore\n"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n", b"link\n"),
        (b"\x1bPq#0\x1b\\\x1b_gone\x1b\\stays\n", b"stays\n"),
        (b"\x1bc\x1b(Breset\n", b"reset\n"),
        (b"50%\r100%\n", b"50%^M100%\n"),
        (b"bell\x07 back\x08 nul\x00 del\x7f\n", b"bell^G back^H nul^@ del^?\n"),
        (b"c1 \xc2\x9b31m\n", b"c1 \\x9b31m\n"),
        (b"cut off \x1b", b"cut off ^["),
        (b"cut off \x1b[31", b"cut off 31"),
        (b"cut off \x1b]0;title\n", b"cut off \n"),
    ],
)
def test_a_terminal_gets_colours_and_nothing_else_to_obey(line: bytes, shown: bytes) -> None:
    assert harmless(line) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"\r  0%\r 50%\r100%\n", b"\xe2\x80\xa6^M100%\n"),
        (b"\r  0%\r 50%\r100%\r\n", b"\xe2\x80\xa6^M100%\r\n"),
        (b"\r  0%\r 50%", b"\xe2\x80\xa6^M 50%"),
        (b"once\rover\n", b"once^Mover\n"),
        (b"\rfirst\n", b"^Mfirst\n"),
        (b"dos\r\n", b"dos\r\n"),
        (b"plain\n", b"plain\n"),
    ],
)
def test_a_progress_bar_is_shown_as_it_was_at_last(line: bytes, shown: bytes) -> None:
    assert harmless(last_printed(line)) == shown


@pytest.mark.parametrize(("pattern", "shown"), [(b"100", "…^M"), (b"50", "^M  0%^M 50%^M100%")])
def test_what_is_searched_for_is_never_hidden_in_a_progress_bar(pattern: bytes, shown: str) -> None:
    look = Look(terminal=True, highlight=re.compile(pattern))
    assert look.line(b"\r  0%\r 50%\r100%\n").decode().startswith(shown)


@given(
    st.lists(
        st.sampled_from([b"\x1b", b"[", b"]", b"P", b"3", b"m", b"H", b";", b"\\", b"\x07", b"\r", b"x"])
    )
)
def test_whatever_comes_only_colours_are_left(parts: list[bytes]) -> None:
    shown = harmless(b"".join(parts) + b"\n")
    rest = re.sub(rb"\x1b\[[0-9;:]*m", b"", shown)
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", rest.removesuffix(b"\n").removesuffix(b"\r"))


def test_escapes_are_taken_out() -> None:
    assert without_escapes(b"\x1b[31mred\x1b[0m \x1b]0;title\x07text\r\n") == b"red text\r\n"
    assert without_escapes(b"plain\n") == b"plain\n"


def test_what_matches_is_highlighted() -> None:
    pattern = re.compile(rb"o+|$")
    assert highlighted(b"foo bar o\r\n", pattern) == b"f\x1b[7moo\x1b[27m bar \x1b[7mo\x1b[27m\r\n"
