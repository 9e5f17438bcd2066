"""Logs in record form with the real master: every byte, masked secrets, and changes while it runs."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from real_pypm import RealPypm, python, shell

from pypm.logs.parse import Record, parse_record
from pypm.testing import wait_until


def records(pypm: RealPypm, name: str, stream: str = "out") -> list[Record]:
    """The records of a log; each of its lines has to be one."""
    parsed = [parse_record(line) for line in pypm.log(name, stream).splitlines(keepends=True)]
    assert None not in parsed, pypm.log(name, stream)
    return parsed


def messages(pypm: RealPypm, name: str, stream: str = "out") -> list[bytes]:
    return [record.message.removesuffix(b"\n") for record in records(pypm, name, stream)]


NOISE = """
import hashlib, os, random, sys
rng = random.Random(1)
lines = [rng.randbytes(rng.randrange(0, 3000)).replace(b"\\n", b"") + b"\\n" for _ in range(3000)]
data = b"".join(lines) + b"the end"
place = 0
while place < len(data):
    place += os.write(1, data[place:place + rng.randrange(1, 9000)])
sys.stderr.write(hashlib.sha256(data + b"\\n").hexdigest())
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_every_byte_of_a_noisy_agent(pypm: RealPypm, form: str) -> None:
    logs = {"format": form, "max_line": 1000, "max_size": 0}
    pypm.begin(python("a", NOISE, autorestart=False, logs=logs))
    run = pypm.wait_status("a", "exited")["last_exit"]
    assert run["code"] == 0
    found = [parse_record(line) for line in pypm.log("a").split(b"\n")[:-1]]
    assert None not in found
    assert {record.stream for record in found} == {"out"}
    assert max(len(record.message) for record in found) == 1000
    told = b"".join((b"" if record.continued else b"\n") + record.message for record in found)[1:] + b"\n"
    (digest,) = messages(pypm, "a", "error")
    assert hashlib.sha256(told).hexdigest().encode() == digest


def test_the_frames_tell_time_stream_run_and_instance(pypm: RealPypm) -> None:
    app = shell("a", 'echo "$PYPM_RUN_ID"; echo oops >&2; sleep 1000', instances=2, log_type="json")
    pypm.start(app)
    streams = [(f"a:{index}", stream) for index in (0, 1) for stream in ("out", "error")]
    wait_until(lambda: all(pypm.log(*each) for each in streams))
    for index in (0, 1):
        out, error = (json.loads(pypm.log(f"a:{index}", stream)) for stream in ("out", "error"))
        assert out["message"] == out["run_id"] == error["run_id"]
        assert (out["type"], error["type"], error["message"]) == ("out", "err", "oops")
        assert out["app_name"] == f"a:{index}"
        assert out["process_id"] == pypm.row(f"a:{index}")["id"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", out["timestamp"])


def test_a_date_in_the_form_of_pm2(pypm: RealPypm) -> None:
    pypm.begin(shell("a", "echo hello", autorestart=False, log_date_format="YYYY-MM-DD HH:mm Z"))
    pypm.wait_status("a", "exited")
    line = rb"\d{4}-\d\d-\d\d \d\d:\d\d [+-]\d\d:\d\d out [0-9a-f]{12} hello\n"
    assert re.fullmatch(line, pypm.log("a"))


def test_streams_that_share_a_file_never_cut_each_others_lines(pypm: RealPypm) -> None:
    script = """
import os
for number in range(2000):
    for piece in (b"o%d " % number, b"e%d " % number):
        os.write(1 if piece[:1] == b"o" else 2, piece)
    os.write(1, b"out\\n")
    os.write(2, b"err\\n")
"""
    pypm.begin(python("a", script, autorestart=False, time=True, log_file="both.log"))
    pypm.wait_status("a", "exited")
    both = (pypm.folder / "both.log").read_bytes().splitlines(keepends=True)
    found = [parse_record(line) for line in both]
    assert None not in found
    for stream, letter in (("out", b"o"), ("error", b"e")):
        said = [record.message for record in found if record.stream == stream]
        assert said == [b"%s%d %s\n" % (letter, number, stream[:3].encode()) for number in range(2000)]


def test_secrets_are_masked_across_pieces_and_runs(pypm: RealPypm) -> None:
    script = """
import os, sys
for piece in ("key is sk-", "abc", "123 and ", os.environ["TOKEN"][:3], os.environ["TOKEN"][3:], "\\n"):
    os.write(1, piece.encode())
    sys.stdin.read()
os.write(2, b"x" * 150 + os.environ["TOKEN"].encode())
raise SystemExit(1)
"""
    logs = {
        "format": "text",
        "max_line": 100,
        "redact": ["ENV:TOKEN", "ENV:SHORT", "ENV:NONE", "sk-[a-z0-9]+"],
    }
    env = {"TOKEN": "hunter22", "SHORT": "abc"}
    pypm.begin(python("a", script, env=env, logs=logs, max_restarts=1, restart_delay=0))
    pypm.wait_status("a", "errored")
    assert messages(pypm, "a") == [b"key is *** and ***"] * 2
    assert messages(pypm, "a", "error") == [b"x" * 100, b"x" * 50 + b"***"] * 2
    log = pypm.master_log()
    assert "a: ENV:SHORT masks nothing: the variable has less than 4 bytes" in log
    assert "a: ENV:NONE masks nothing: the variable is not set" in log
    assert "ENV:TOKEN" not in log


def test_last_words_and_first_words(pypm: RealPypm) -> None:
    script = 'n=$(cat count || echo 0); echo "run $n"; printf tail; echo $((n + 1)) > count; exit 1'
    pypm.begin(shell("a", script + " 2>&-", restart_delay=0, max_restarts=5, time=True))
    pypm.wait_status("a", "errored")
    found = records(pypm, "a")
    assert [record.message for record in found] == [
        line for number in range(6) for line in (b"run %d\n" % number, b"tail\n")
    ]
    assert len({record.run for record in found}) == 6
    assert not any(record.continued for record in found)


def test_the_form_changes_while_the_agent_runs(pypm: RealPypm) -> None:
    """From raw to text to JSON and back, in the middle of lines: each byte once, no restart."""
    script = """
import os, time
number = 0
while True:
    os.write(1, b"line ")
    time.sleep(0.001)
    os.write(1, b"%d\\n" % number)
    number += 1
"""
    app = python("a", script)
    pypm.start(app)
    pid = pypm.pid("a")
    for logs in ({"format": "text"}, {"format": "json"}, {"format": "text", "date_format": "HH:mm"}, {}):
        seen = pypm.log("a").count(b"\n")
        wait_until(lambda seen=seen: pypm.log("a").count(b"\n") > seen + 50)
        pypm.start({**app, "logs": logs})
    seen = pypm.log("a").count(b"\n")
    wait_until(lambda: pypm.log("a").count(b"\n") > seen + 50)
    assert pypm.pid("a") == pid
    pypm.ok("stop", "a")
    dated = re.compile(rb"[0-9:]{5} out [0-9a-f]{12} ")
    told, kinds = [], []
    for line in pypm.log("a").splitlines(keepends=True):
        record = parse_record(line)
        plain = dated.sub(b"", line) if record is None else record.message
        told.append(plain)
        kind = line[:1] if record else b"d" if plain != line else b"r"
        kinds += [kind] if kinds[-1:] != [kind] else []
    told[-1] = told[-1] if told[-1] != b"line " else told.pop()
    assert told[:-1] == [b"line %d\n" % number for number in range(len(told) - 1)]
    assert kinds == [b"r", b"2", b"{", b"d", b"r"]


def test_a_run_that_begins_after_the_raw_form_was_asked_for_has_no_frames(pypm: RealPypm) -> None:
    """Also where the run before it was in the middle of a line that is in records."""
    app = python("a", "import os, time\nos.write(1, b'x' * 5000)\ntime.sleep(1000)")
    pypm.start({**app, "logs": {"format": "text", "max_line": 1000}})
    wait_until(lambda: pypm.log("a").count(b"\n") == 4)
    pypm.start(app)
    pypm.ok("restart", "a")
    wait_until(lambda: pypm.log("a").endswith(b"\n" + b"x" * 5000))
    assert pypm.log("a").count(b"\n") == 5


def test_a_line_that_has_not_ended_outlives_an_update_and_a_flush(pypm: RealPypm) -> None:
    script = "printf 'begin '; while ! test -e flag; do sleep 0.05; done; echo end; sleep 1000"
    pypm.start(shell("a", "echo first; " + script, time=True))
    wait_until(lambda: messages(pypm, "a") == [b"first"])
    pypm.ok("flush", "a")
    assert pypm.log("a") == b""
    pypm.ok("update")
    assert pypm.log("a") == b""
    pypm.write("flag", "")
    wait_until(lambda: pypm.log("a").endswith(b"\n"))
    assert messages(pypm, "a") == [b"begin end"]
