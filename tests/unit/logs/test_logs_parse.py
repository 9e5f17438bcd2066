from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypm.logs.parse import Record, dated_pattern, may_be_record, parse_record
from pypm.logs.records import Framer, Framing, LineState

TIME = 1795364622598
RUN = "9f3c21ab12cd"


def test_a_text_record() -> None:
    line = b"2026-11-22T16:23:42.598Z out 9f3c21ab12cd a message \xff\n"
    assert parse_record(line) == Record(TIME, "out", RUN, False, b"a message \xff\n")
    assert parse_record(line.replace(b"out", b"err")) == Record(
        TIME, "error", RUN, False, b"a message \xff\n"
    )
    assert parse_record(line.replace(b"cd a", b"cd+ a")) == Record(
        TIME, "out", RUN, True, b"a message \xff\n"
    )
    assert parse_record(b"2026-11-22T16:23:42.598Z out 9f3c21ab12cd \n") == Record(
        TIME, "out", RUN, False, b"\n"
    )


def test_a_json_record() -> None:
    fields = {"timestamp": "2026-11-22T16:23:42.598Z", "type": "err", "process_id": 3, "app_name": "worker:0"}
    line = (
        json.dumps(fields | {"run_id": RUN, "message": "a\udcff ü"}, separators=(",", ":")).encode() + b"\n"
    )
    assert parse_record(line) == Record(TIME, "error", RUN, False, b"a\xff \xc3\xbc\n", "worker:0")
    continued = line.replace(b'"message"', b'"continued":true,"message"')
    assert parse_record(continued) == Record(TIME, "error", RUN, True, b"a\xff \xc3\xbc\n", "worker:0")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"hello\n",
        b"2026-11-22 16:23:42 INFO out\n",
        b"2026-11-22T16:23:42.598Z out hello\n",
        b"2026-11-22T16:23:42.598Z in 9f3c21ab12cd hello\n",
        b"2026-11-22T16:23:42Z out 9f3c21ab12cd hello\n",
        b'{"timestamp":"2026-11-22T16:23:42.598Z","message":"of another program"}\n',
        b'{"timestamp":"2026-11-22T16:23:42.598Z","message":',
        b'{"timestamp":"\n',
        b'{"timestamp":"x","type":"out","app_name":"a","run_id":"1","message":3}\n',
    ],
)
def test_what_is_no_record(line: bytes) -> None:
    assert parse_record(line) is None


def test_times_in_a_form_of_the_persons_own() -> None:
    line = b"22.11.26 16:23 out 9f3c21ab12cd hello out 9f3c21ab12cd\n"
    assert parse_record(line) is None
    dated = dated_pattern("DD.MM.YY HH:mm")
    assert parse_record(line, dated) == Record(None, "out", RUN, False, b"hello out 9f3c21ab12cd\n")
    assert parse_record(b"hello\n", dated) is None
    assert dated_pattern(None) is None


@pytest.mark.parametrize("form", ["text", "json"])
@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b" ")), min_size=1, max_size=8))
def test_what_the_master_writes_is_read_again(form: str, lines: list[bytes]) -> None:
    framing = Framing(form, "err", 3, "w:0", RUN, max_line=1000)  # type: ignore[arg-type]
    written = Framer(framing).frame(b"".join(line + b"\n" for line in lines), LineState.NEW, TIME)
    records = [parse_record(line + b"\n") for line in written.split(b"\n")[:-1]]
    assert all(may_be_record(line) for line in written.split(b"\n")[:-1])
    name = "w:0" if form == "json" else ""
    assert records == [Record(TIME, "error", RUN, False, line + b"\n", name) for line in lines]
