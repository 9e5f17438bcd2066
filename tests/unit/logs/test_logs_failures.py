from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypm.logs.failures import FailureFinder, is_failure


def failures(text: bytes) -> list[bytes]:
    finder = FailureFinder()
    groups = finder.feed(text.splitlines(keepends=True))
    return [b"".join(group) for group in groups + finder.flush()]


def said_by(program: str) -> bytes:
    """What a Python program prints on stderr."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).stderr


@pytest.mark.parametrize(
    "line",
    [
        b"2026-11-22 10:30:15,123 ERROR worker: no\n",
        b"ERROR:root:no\n",
        b"[CRITICAL] no\n",
        b"\x1b[31mERROR\x1b[0m no\n",
        b"FATAL no space\n",
        b"<3>no\n",
        b"<0>the end\n",
        b"level=error msg=no\n",
        b'time="2026" level="fatal" msg=no\n',
        b"2026/11/22 10:30:15 [error] 7#7: *1 open() failed\n",
        b"panic: runtime error: index out of range [5] with length 3\n",
        b"thread 'main' panicked at src/main.rs:2:5:\n",
        b"error: unknown option\n",
        b"error[E0308]: mismatched types\n",
        b"TypeError: x is not a function\n",
        b"openai.RateLimitError: 429\n",
        b"KeyboardInterrupt\n",
        b"npm ERR! code 1\n",
        b'{"level":"error","msg":"no"}\n',
        b'{"level":50,"time":1795343400000,"msg":"no"}\n',
        b'{"name":"app","level":60,"msg":"bunyan"}\n',
        b'{"severity":"CRITICAL","message":"no"}\n',
    ],
)
def test_lines_of_failures(line: bytes) -> None:
    assert is_failure(line)
    assert failures(b"before\n" + line + b"after\n") == [line]


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"all is well\n",
        b"INFO 0 errors\n",
        b"<6>fine\n",
        b"<4>a warning\n",
        b"no error occurred\n",
        b"terror: a film\n",
        b"level=info msg=error\n",
        b'{"level":"info","msg":"ERROR in the text"}\n',
        b'{"level":30,"msg":"ERROR"}\n',
        b"WARNING: something\n",
    ],
)
def test_lines_of_no_failures(line: bytes) -> None:
    assert not is_failure(line)
    assert failures(line) == []


CHAINS = """
def inner(): raise ValueError("inner")
def outer():
    try: inner()
    except ValueError as error: raise {raised}
outer()
"""


@pytest.mark.parametrize(
    "program",
    [
        "1/0",
        "raise RuntimeError('a message')",
        CHAINS.format(raised="KeyError('outer')"),
        CHAINS.format(raised="KeyError('outer') from error"),
        "raise ExceptionGroup('several', [ValueError(1), ExceptionGroup('more', [TypeError(2)])])",
        "import json; json.loads('{')",
        "def f(): f()\nf()",
    ],
)
def test_a_traceback_is_one_failure_whole(program: str) -> None:
    text = said_by(program)
    assert text.startswith((b"Traceback", b"  + Exception Group"))
    assert failures(b"before\n" + text + b"after\n") == [text]
    assert failures(text) == [text]
    assert failures(text + text) == [text, text]


def test_a_logged_traceback_has_the_line_before_it() -> None:
    text = said_by(
        "import logging\nlogging.basicConfig(level='INFO')\nlogging.info('before')\n"
        "try: 1/0\nexcept ZeroDivisionError: logging.exception('it failed')\nlogging.info('after')\n"
    )
    assert text.startswith(b"INFO:root:before\nERROR:root:it failed\nTraceback")
    lines = text.splitlines(keepends=True)
    assert failures(text) == [b"".join(lines[1:-1])]


NODE = b"""/app/index.js:3
    throw new TypeError("no");
    ^

TypeError: no
    at inner (/app/index.js:3:11)
    at Object.<anonymous> (/app/index.js:6:1)
    at node:internal/main/run_main_module:28:49
"""
REJECTED = b"""connection lost
    at Socket.<anonymous> (/app/net.js:3:11)
    at emitOne (events.js:116:13)
"""
JAVA = b"""Exception in thread "main" java.lang.IllegalStateException: no
	at Main.run(Main.java:7)
	at Main.main(Main.java:3)
Caused by: java.io.IOException: disk
	at Main.read(Main.java:12)
	... 2 more
"""


@pytest.mark.parametrize(
    ("text", "begins"), [(NODE, b"TypeError"), (REJECTED, b"conn"), (JAVA, b"Exception")]
)
def test_stack_traces_of_node_and_java(text: bytes, begins: bytes) -> None:
    found = failures(b"listening\n" + text + b"listening again\n")
    assert found[-1] == text[text.index(b"\n" + begins) + 1 if text.startswith(b"/") else 0 :]


def test_a_failure_that_goes_on_is_pending_until_another_line_or_a_flush() -> None:
    finder = FailureFinder()
    assert finder.feed([b"Traceback (most recent call last):\n", b'  File "x.py", line 1\n']) == []
    assert finder.pending
    assert finder.feed([b"ValueError: no\n"]) == []
    assert finder.feed([b"on we go\n"]) == [
        [b"Traceback (most recent call last):\n", b'  File "x.py", line 1\n', b"ValueError: no\n"]
    ]
    assert not finder.pending
    assert finder.flush() == []


def test_a_traceback_without_an_end_is_given_in_pieces() -> None:
    lines = [b"Traceback (most recent call last):\n", *[b"  x\n"] * 10_000]
    finder = FailureFinder()
    groups = finder.feed(lines)
    assert max(map(len, groups)) < 3000


LINES = st.sampled_from(
    [
        b"plain\n",
        b"\n",
        b"ERROR x\n",
        b"Traceback (most recent call last):\n",
        b"  File\n",
        b"ValueError: x\n",
        b"    at f (x.js:1:2)\n",
        b"During handling of the above exception, another exception occurred:\n",
    ]
)


@given(st.lists(LINES, max_size=30), st.integers(1, 5))
def test_chunks_do_not_matter_and_no_line_is_given_twice(lines: list[bytes], size: int) -> None:
    at_once, in_chunks = FailureFinder(), FailureFinder()
    whole = at_once.feed(lines) + at_once.flush()
    parts = [
        group for start in range(0, len(lines), size) for group in in_chunks.feed(lines[start : start + size])
    ]
    assert parts + in_chunks.flush() == whole
    given_lines = [line for group in whole for line in group]
    rest = iter(lines)
    assert all(any(line == other for other in rest) for line in given_lines), "in their order, each once"
