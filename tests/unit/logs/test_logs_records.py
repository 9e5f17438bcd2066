"""Records: any bytes in any pieces can be had back from them, and their frames say what they should."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pypm.logs.parse import parse_record
from pypm.logs.records import Framer, Framing, LineState

RUN = "9f3c21ab12cd"
NOW = 1_700_000_000_123
STAMP = "2023-11-14T22:13:20.123Z"


def framer(form: str = "text", **keys) -> Framer:
    return Framer(Framing(form, "out", 3, "worker:0", RUN, keys.pop("max_line", 1 << 20), **keys))


def agents_bytes(records: bytes) -> bytes:
    """What the agent wrote; a newline at the end stands for that of its last line, if that had one."""
    parsed = [parse_record(line + b"\n") for line in records.split(b"\n")[:-1]]
    assert None not in parsed
    messages = [(each.message.removesuffix(b"\n"), each.continued) for each in parsed]
    joined = messages[0][0] if messages else b""
    for _, (message, continued) in pairwise(messages):
        joined += message if continued else b"\n" + message
    return joined + (b"\n" if messages else b"")


def through(framer: Framer, chunks: list[bytes]) -> bytes:
    """All records of a stream that comes in chunks and ends."""
    records, waiting, state = b"", b"", LineState.NEW
    for chunk in [*chunks, None]:
        waiting += chunk or b""
        while waiting:
            measure = framer.measure(waiting, state, flush=chunk is None)
            records += framer.frame(waiting[: measure.size], state, NOW)
            waiting, state = waiting[measure.size :], measure.state
            if not measure.size:
                break
    return records


CHUNKS = st.lists(
    st.one_of(st.binary(max_size=40), st.text(max_size=20).map(str.encode), st.just(b"\n")), max_size=12
)


@given(CHUNKS, st.sampled_from(["text", "json"]), st.integers(1, 30))
@example([b"\x7f`^~|@#$\n", b"\xff"], "json", 30)
@example([b'\\n \n\\\\n\x00\n"\n'], "json", 30)
@example(["äöü€".encode() * 3], "json", 4)
def test_any_bytes_in_any_chunks_can_be_had_back(chunks, form, max_line):
    whole = b"".join(chunks)
    records = through(framer(form, max_line=max_line), chunks)
    assert agents_bytes(records) == (whole if whole.endswith(b"\n") or not whole else whole + b"\n")
    for line in records.split(b"\n")[:-1]:
        assert len(parse_record(line).message) <= max_line


@given(CHUNKS)
def test_json_tells_even_whether_the_last_words_had_a_newline(chunks):
    records = [json.loads(line) for line in through(framer("json", max_line=7), chunks).split(b"\n")[:-1]]
    texts = [each["message"].encode("utf-8", "surrogateescape") for each in records]
    ends = [b"" if each.get("partial") else b"\n" for each in records]
    assert b"".join(text + end for text, end in zip(texts, ends, strict=True)) == b"".join(chunks)


@given(CHUNKS, st.sampled_from(["text", "json"]))
def test_a_chunk_at_once_gives_what_single_lines_give(chunks, form):
    whole = b"".join(chunks).replace(b"\r", b"") + b"\n"
    lines = [line + b"\n" for line in whole.split(b"\n")[:-1]]
    one = framer(form)
    single = [one.frame(line, LineState.NEW, NOW) for line in lines]
    parsed = [parse_record(record) for record in one.frame(whole, LineState.NEW, NOW).split(b"\n")[:-1]]
    assert parsed == [parse_record(record.removesuffix(b"\n")) for record in single]


def test_the_frames():
    assert framer().frame(b"a\nb\n", LineState.NEW, NOW).decode() == (
        f"{STAMP} out {RUN} a\n{STAMP} out {RUN} b\n"
    )
    assert framer(max_line=3).frame(b"abcdefg\n", LineState.CONTINUED, NOW).decode() == (
        f"{STAMP} out {RUN}+ abc\n{STAMP} out {RUN}+ def\n{STAMP} out {RUN}+ g\n"
    )
    record = framer("json").frame(b'"x"\n', LineState.CONTINUED, NOW)
    assert record.startswith(f'{{"timestamp":"{STAMP}","type":"out","process_id":3,'.encode())
    assert json.loads(record) == {
        "timestamp": STAMP,
        "type": "out",
        "process_id": 3,
        "app_name": "worker:0",
        "run_id": RUN,
        "continued": True,
        "message": '"x"',
    }
    assert b"\\udcff" in framer("json").frame(b"\xff\n", LineState.NEW, NOW)


def test_a_date_of_the_persons_own(monkeypatch):
    one = framer(date_format="[at] X.SSS")
    assert one.frame(b"x\n", LineState.NEW, NOW) == f"at 1700000000.123 out {RUN} x\n".encode()


def test_a_line_that_waits_is_not_written_before_it_is_too_long():
    one = framer(max_line=10)
    assert one.measure(b"0123456789", LineState.NEW, flush=False).size == 0
    assert one.measure(b"0123456789a", LineState.NEW, flush=False) == (10, LineState.CONTINUED)
    assert one.measure(b"x\n0123", LineState.CONTINUED, flush=False) == (2, LineState.NEW)
    assert one.measure(b"x\n0123", LineState.NEW, flush=True) == (6, LineState.CONTINUED)


def test_the_rest_of_a_line_that_is_in_the_file_already_has_no_frame():
    one = framer()
    assert one.measure(b"rest", LineState.VERBATIM, flush=False) == (4, LineState.VERBATIM)
    framed = one.frame(b"rest\nnext\n", LineState.VERBATIM, NOW)
    assert framed == f"rest\n{STAMP} out {RUN} next\n".encode()


# --- secrets ---

SECRET = b"sk-abcdef0123456789"


@given(
    st.lists(st.sampled_from([b"x" * 7, SECRET, b"\n", b" ", b"hunter22", "é".encode()]), max_size=200),
    st.lists(st.integers(1, 90), min_size=1, max_size=30),
    st.integers(1, 60),
    st.sampled_from(["text", "json"]),
)
def test_no_secret_comes_through_whatever_it_is_cut_by(words, sizes, max_line, form):
    whole = b"".join(words)
    chunks, place = [], 0
    for size in sizes * (len(whole) // sum(sizes) + 1):
        chunks.append(whole[place : place + size])
        place += size
    one = framer(form, max_line=max_line, patterns=(r"sk-[a-z0-9]+",), secrets=(b"hunter22",))
    said = agents_bytes(through(one, chunks))
    masked = re.sub(rb"(sk-[a-z0-9]+|hunter22)+", b"***", whole)
    # Neighbours are masked as one or as two, as the line is cut between them or not.
    assert re.sub(rb"(\*\*\*)+", b"***", said.removesuffix(b"\n")) == masked.removesuffix(b"\n")


def test_a_secret_without_end_masks_the_rest_of_its_line():
    one = framer(max_line=100, patterns=(r"sk-[a-z]+",))
    said = agents_bytes(through(one, [b"key sk-", b"a" * 9000, b"b" * 9000, b" tail\nnext\n"]))
    assert said == b"key ***\nnext\n"


def test_a_pattern_never_goes_beyond_its_line():
    one = framer(patterns=(r"key:\s*\S+", r"begin[^;]*;"))
    said = agents_bytes(one.frame(b"key:\nvalue\nkey: v x\nbegin\n;\nbegin a;b\n", LineState.NEW, NOW))
    assert said == b"key:\nvalue\n*** x\nbegin\n;\n***b\n"


@pytest.mark.parametrize(
    ("pattern", "line", "masked"),
    [
        (r"(?i)token=\w+", b"TOKEN=abc d", b"*** d"),
        (r"(?<=key )\w+", b"key abc", b"key ***"),
        (r"^\w+", b"abc def", b"*** def"),
        (r"\w+$", b"abc def", b"abc ***"),
        (r"(a)(b)\1", b"xabay", b"x***y"),
        (r"\w+\Z", b"abc def", b"abc ***"),
    ],
)
def test_patterns_mean_one_line(pattern, line, masked):
    one = framer(patterns=(pattern,))
    assert agents_bytes(one.frame(line + b"\n" + line + b"\n", LineState.NEW, NOW)) == (masked + b"\n") * 2


def test_patterns_hide_nothing_from_each_other():
    one = framer(patterns=("abc", "cde"), secrets=(b"efgh",))
    assert agents_bytes(one.frame(b"-abcdefgh-\n", LineState.NEW, NOW)) == b"-***-\n"
