"""What the datagrams of sd_notify say, and which are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypm.protocol.notify import MAX_SECONDS, NotAMessageError, Notification, parse_notification


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"READY=1", Notification(ready=True)),
        (b"READY=1\n", Notification(ready=True)),
        (b"READY=1\0", Notification(ready=True)),
        (b"READY=0", Notification()),
        (b"READY=true", Notification()),
        (b"ready=1", Notification()),
        (b" READY=1", Notification()),
        (b"STOPPING=1\nREADY=1\nRELOADING=1", Notification(stopping=True)),
        (b"RELOADING=1\nMONOTONIC_USEC=12", Notification(reloading=True)),
        (b"RELOADING=1\nREADY=1", Notification(ready=True)),
        (b"STATUS=Redis is loading...\n", Notification(status="Redis is loading...")),
        (b"STATUS=a=b=c", Notification(status="a=b=c")),
        (b"STATUS=", Notification(status="")),
        (b"STATUS=\xff", Notification()),
        (b"STATUS=one\nSTATUS=two", Notification(status="two")),
        (b"READY=1\nSTATUS=x\nMAINPID=4711", Notification(ready=True, status="x", main_pid=4711)),
        (b"MAINPID=0", Notification()),
        (b"MAINPID=-5", Notification()),
        (b"MAINPID=" + b"9" * 4000, Notification()),
        (b"MAINPID=99999999999", Notification()),
        (b"ERRNO=2", Notification(error=2)),
        (b"WATCHDOG=1", Notification(beat=True)),
        (b"WATCHDOG=trigger", Notification(trigger=True)),
        (b"WATCHDOG=2", Notification()),
        (b"WATCHDOG_USEC=2500000", Notification(watchdog=2.5)),
        (b"WATCHDOG_USEC=0", Notification(watchdog=0.0)),
        (b"WATCHDOG_USEC=", Notification()),
        (b"WATCHDOG_USEC=1.5", Notification()),
        (b"EXTEND_TIMEOUT_USEC=30000000", Notification(extend=30.0)),
        (b"EXTEND_TIMEOUT_USEC=18446744073709551615", Notification(extend=MAX_SECONDS)),
        (b"EXTEND_TIMEOUT_USEC=" + "١".encode(), Notification()),
        (b"BARRIER=1", Notification(barrier=True)),
        (b"BARRIER=1\n", Notification(barrier=True)),
        (b"BARRIER=1\nREADY=1", Notification(ready=True)),
        (b"FDSTORE=1\nFDNAME=state", Notification()),
        (b"X_PRIVATE=1\nno assignment\n\n=\nREADY=1", Notification(ready=True)),
    ],
)
def test_what_a_message_says(data: bytes, said: Notification) -> None:
    assert parse_notification(data) == said


@pytest.mark.parametrize("data", [b"", b"\0", b"READY=1\0STATUS=x", b"STATUS=" + b"x" * 4090])
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(NotAMessageError):
        parse_notification(data)


def test_the_longest_message() -> None:
    assert parse_notification(b"STATUS=" + b"x" * 4089).status == "x" * 4089


def test_the_words_for_an_error() -> None:
    assert parse_notification(b"STATUS=cannot bind\nERRNO=98").text == "cannot bind (Address already in use)"
    assert parse_notification(b"ERRNO=2").text == "No such file or directory"
    assert parse_notification(b"ERRNO=99999").text == "error 99999"
    assert parse_notification(b"ERRNO=0\nSTATUS=fine").text == "fine"
    assert parse_notification(b"READY=1").text is None


@given(st.binary(max_size=5000))
def test_no_datagram_does_harm(data: bytes) -> None:
    try:
        said = parse_notification(data)
    except NotAMessageError:
        return
    assert said.text is None or "\0" not in said.text
    assert not (said.ready and said.stopping)


assignments = st.sampled_from(
    ["READY=1", "RELOADING=1", "STOPPING=1", "STATUS=x", "WATCHDOG=1", "BARRIER=1", "MAINPID=7", "JUNK=1"]
)


@given(st.lists(assignments, min_size=1))
def test_any_order_says_the_same(lines: list[str]) -> None:
    forwards = parse_notification("\n".join(lines).encode())
    assert forwards == parse_notification("\n".join(reversed(lines)).encode())
