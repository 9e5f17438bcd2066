"""What is understood of Node's channel."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pypm.protocol.node import SHUTDOWN, Heard, NodeLines


def test_ready_among_other_messages() -> None:
    lines = NodeLines()
    assert lines.feed(b'"ready"\n') == Heard(True, 0)
    assert lines.feed(b'{"type":"process:msg","data":1}\n"ready"\n"steady"\n') == Heard(True, 2)
    assert lines.feed(b"\n\xff\xfe\n") == Heard(False, 2)


def test_ready_in_pieces() -> None:
    lines = NodeLines()
    assert lines.feed(b'"rea') == Heard(False, 0)
    assert lines.feed(b'dy"') == Heard(False, 0)
    assert lines.feed(b'\n"ready') == Heard(True, 0)
    assert lines.feed(b'y"\n') == Heard(False, 1)


def test_of_a_long_line_only_the_beginning_is_kept() -> None:
    lines = NodeLines()
    for _ in range(100):
        lines.feed(b"x" * 10_000)
    assert len(lines._begun) < 100
    assert lines.feed(b'"ready"\n') == Heard(False, 1), "it is the end of another line"


def test_the_shutdown_message_is_json() -> None:
    assert json.loads(SHUTDOWN) == "shutdown"


messages = st.lists(st.sampled_from(["ready", "steady", "", {"cmd": "x" * 50}, ["ready"], 'say "ready"']))


@given(messages, st.integers(1, 30))
def test_the_pieces_do_not_matter(said: list[object], size: int) -> None:
    data = b"".join(json.dumps(each).encode() + b"\n" for each in said)
    lines = NodeLines()
    heard = [lines.feed(data[start : start + size]) for start in range(0, len(data), size)]
    assert any(each.ready for each in heard) == ("ready" in said)
    assert sum(each.others for each in heard) == len(said) - said.count("ready")
