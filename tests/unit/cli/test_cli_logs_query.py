"""What one asks ``pypm logs`` for beside the last lines: times, runs, patterns, failures, forms."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pypm.cli.log_options import with_optional_values
from pypm.cli.logs import command
from pypm.core.errors import NotFoundError, PypmError, UsageError
from pypm.logs import lines
from pypm.logs.index import IndexWriter, index_path, write_index

RUNS = ["aaaaaaaaaaaa", "abbbbbbbbbbb", "cccccccccccc"]
"""The present run and those before it."""
T0 = 1795364622000
"""2026-11-22 16:23:42 in UTC, which is the local zone here."""


class Home:
    """A home with two apps, of which the logs have indexes."""

    def __init__(self, folder: Path) -> None:
        self.logs = folder / "logs"
        self.logs.mkdir()
        (folder / "state").mkdir()
        self._folder = folder
        self._apps: list[dict[str, Any]] = []
        self._instances: list[dict[str, Any]] = []

    def add(self, name: str, instances: int = 1, *, running: bool = True, **logs: Any) -> None:
        spec = {"name": name, "command": ["/bin/true"], "cwd": "/", "instances": instances, "logs": logs}
        self._apps.append({"spec": spec})
        for index in range(instances):
            runs = [{"run_id": run} for run in RUNS] if index == 0 else []
            entry = {"id": len(self._instances), "app": name, "index": index, "runs": runs}
            self._instances.append(entry | ({"run": runs.pop(0)} if running and runs else {}))
        state = {"version": 1, "apps": self._apps, "instances": self._instances}
        (self._folder / "state" / "state.json").write_text(json.dumps(state))

    def write(self, file: str, *parts: tuple[int, str, bytes]) -> None:
        """Write a log of which each part has a second (from T0 on) and a run."""
        path, offset, records = self.logs / file, 0, []
        path.write_bytes(b"".join(data for _, _, data in parts))
        for second, run, data in parts:
            records.append((T0 + second * 1000, offset, int(run, 16)))
            offset += len(data)
        write_index(index_path(str(path)), path.stat().st_ino, records, [])
        os.utime(path, ns=((T0 + parts[-1][0] * 1000) * 1_000_000,) * 2)


@pytest.fixture
def worked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A worker with three runs, and a helper."""
    monkeypatch.setenv("PYPM_HOME", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TZ", "UTC0")
    time.tzset()
    home = Home(tmp_path)
    home.add("worker")
    home.add("helper")
    first, second, third = reversed(RUNS)
    home.write(
        "worker-out.log",
        (0, first, b"first run\n"),
        (10, second, b"second run\nerror: no\n"),
        (20, third, b"third run\nthe end\n"),
    )
    home.write("worker-error.log", (11, second, b"<3>oops\n"), (21, third, b"bye\n"))
    home.write("helper-out.log", (5, "0", b"helps\n"), (15, "0", b"helped\n"))
    yield home
    monkeypatch.undo()
    time.tzset()


class Shown:
    def __init__(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capfdbinary

    def __call__(self, *words: str) -> list[str]:
        self._capture.readouterr()
        command.main(["--no-follow", *words], standalone_mode=False)
        return self._capture.readouterr().out.decode(errors="surrogateescape").splitlines()


@pytest.fixture
def shown(capfdbinary: pytest.CaptureFixture[bytes]) -> Shown:
    return Shown(capfdbinary)


def test_several_agents_are_merged_by_time(worked: Home, shown: Shown) -> None:
    assert [line.split(" | ")[1] for line in shown()] == (
        ["first run", "helps", "second run", "error: no", "<3>oops", "helped", "third run", "the end", "bye"]
    )


def test_since_and_until(worked: Home, shown: Shown) -> None:
    assert shown("--since", f"@{T0 // 1000 + 12}") == (
        ["helper | helped", "worker | third run", "worker | the end", "worker | bye"]
    )
    assert shown("--until", "2026-11-22 16:23:46") == ["worker | first run"]
    assert shown("--since", "2026-11-22 16:23:47", "--until", "2026-11-22T16:23:53Z", "worker", "--out") == (
        ["worker | second run", "worker | error: no"]
    )
    assert shown("--since", f"@{T0 // 1000 + 12}", "-n", "1", "--out") == [
        "helper | helped",
        "worker | the end",
    ]
    assert shown("--since", "1s") == []


def test_a_time_that_is_over_ends_it(worked: Home, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    command.main(["--until", "2026-11-22 16:23:46"], standalone_mode=False)
    assert capfdbinary.readouterr().out == b"worker | first run\n"


def test_it_follows_until_a_time_that_is_to_come(worked: Home) -> None:
    words = [sys.executable, "-m", "pypm", "logs", "--until", f"@{time.time() + 0.5}", "-n", "1", "helper"]
    done = subprocess.run(words, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"helper | helped\n", b"")


@pytest.mark.parametrize("word", ["last", "aaaaaaaaaaaa", "aa", "AA", "-0"])
def test_the_present_run(worked: Home, shown: Shown, word: str) -> None:
    assert shown("--run", word, "worker") == ["worker | third run", "worker | the end", "worker | bye"]


@pytest.mark.parametrize("word", ["-1", "ab"])
def test_the_run_before(worked: Home, shown: Shown, word: str) -> None:
    run = ["worker | second run", "worker | error: no", "worker | <3>oops"]
    assert shown("--run", word, "worker") == run
    assert shown("--run", word, "worker", "-n", "1", "--out") == run[1:2]


def test_a_run_that_is_over_ends_it(worked: Home, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    command.main(["--run", "-2", "worker"], standalone_mode=False)
    assert capfdbinary.readouterr().out == b"worker | first run\n"


def test_runs_that_there_are_not(worked: Home, shown: Shown) -> None:
    with pytest.raises(NotFoundError, match="no run 'dd'") as caught:
        shown("--run", "dd", "worker")
    assert "aaaaaaaaaaaa (worker), abbbbbbbbbbb (worker)" in (caught.value.hint or "")
    assert caught.value.exit_status == 3
    with pytest.raises(NotFoundError, match="-9"):
        shown("--run", "-9", "worker")
    with pytest.raises(UsageError, match="several runs begin with 'a'"):
        shown("--run", "a", "worker")
    with pytest.raises(UsageError, match="xyz"):
        shown("--run", "xyz", "worker")


def test_a_run_in_a_file_that_several_instances_share(worked: Home, shown: Shown) -> None:
    worked.add("shared", instances=2, merge=True)
    with pytest.raises(NotFoundError, match=r"shared: several instances write to one file") as caught:
        shown("--run", "last", "shared")
    assert 'format = "text"' in (caught.value.hint or "")
    worked.add("text", instances=2, merge=True, form="text")
    worked.write("text-out.log", (0, "0", b"".join(text(run, b"x " + run[:1].encode()) for run in RUNS)))
    assert shown("--run", "last", "text") == ["text:0 | x a"]
    assert shown("text") == ["text:0 | x a", "text:0 | x a", "text:0 | x c"]


def text(run: str, message: bytes, stream: bytes = b"out") -> bytes:
    return b"2026-11-22T16:23:42.598Z %s %s %s\n" % (stream, run.encode(), message)


def test_patterns(worked: Home, shown: Shown) -> None:
    assert shown("--grep", "^f.r", "-g", "help") == [
        "worker | first run",
        "helper | helps",
        "helper | helped",
    ]
    assert shown("--grep", "HELP", "-i", "-n", "1") == ["helper | helped"]
    assert shown("--grep", "run|end|o", "--invert", "worker") == ["worker | bye"]
    worked.write("helper-out.log", (0, "0", b"\xff\xfe bytes\n"))
    assert shown("--grep", r"^\xff\xfe", "helper") == ["helper | \udcff\udcfe bytes"]


def test_failures(worked: Home, shown: Shown) -> None:
    assert shown("--errors") == ["worker | error: no", "worker | <3>oops"]
    assert shown("--errors", "--since", f"@{T0 // 1000 + 15}") == []
    trace = b"Traceback (most recent call last):\n  File x\nValueError: %d\n"
    worked.write("helper-out.log", (0, "0", b"".join(b"x\n" + trace % number for number in range(3))))
    assert shown("--errors", "-n", "1", "helper") == (
        ["helper | Traceback (most recent call last):", "helper |   File x", "helper | ValueError: 2"]
    )


def test_records_are_shown_as_their_messages(worked: Home, shown: Shown) -> None:
    worked.add("t", form="text", combined_file="/both.log")
    data = text(RUNS[0], b"one") + b"before the form changed\n" + text(RUNS[0] + "+", b" more", b"err")
    worked.write("t-out.log", (0, RUNS[0], data))
    assert shown("t") == ["t | one", "t | before the form changed", "t |  more"]
    assert shown("t", "--raw") == data.decode().splitlines()
    assert shown("t", "--timestamp", "--grep", "one") == ["2026-11-22 16:23:42.598 t | one"]
    (entry,) = map(json.loads, shown("t", "--json", "-n", "1"))
    assert entry["time"] == "2026-11-22T16:23:42.598Z"
    assert (entry["line"], entry["run"], entry["stream"]) == (" more", RUNS[0], "out")


def test_records_of_a_form_of_the_persons_own(worked: Home, shown: Shown) -> None:
    worked.add("d", form="text", date_format="DD.MM. HH:mm")
    worked.write("d-out.log", (3, RUNS[0], b"22.11. 16:23 out aaaaaaaaaaaa hello\n"))
    assert shown("d", "--timestamp") == ["2026-11-22 16:23:45 d | hello"], "the index knows it better"


def test_json_records_tell_the_instance(worked: Home, shown: Shown) -> None:
    worked.add("j", instances=2, form="json", merge=True)
    fields = {"timestamp": "2026-11-22T16:23:42.598Z", "type": "out", "process_id": 3, "app_name": "j:1"}
    line = json.dumps(fields | {"run_id": RUNS[0], "message": "hi\udcff"}, separators=(",", ":"))
    worked.write("j-out.log", (0, "0", line.encode() + b"\n"))
    assert shown("j") == ["j:1 | hi\udcff"]


def test_forms(worked: Home, shown: Shown) -> None:
    words = ["helper", "-n", "1"]
    assert shown("--timestamp", *words) == ["2026-11-22 16:23:57 helper | helped"]
    assert shown(*words, "--timestamp", "YYYY/MM/DD HH:mm") == ["2026/11/22 16:23 helper | helped"]
    assert shown(*words, "--timestamp=%H.%M") == ["16.23 helper | helped"]
    assert shown("--format", *words) == (
        ["timestamp=2026-11-22 16:23:57 app=helper id=1 type=out message=helped"]
    )
    assert shown("--format", "{name:>8}/{stream}: {line} {run}", *words) == ["  helper/out: helped -"]
    (entry,) = map(json.loads, shown("--json", *words))
    assert (entry["time"], entry["run"]) == ("2026-11-22T16:23:57Z", None)


def test_without_escapes(worked: Home, shown: Shown) -> None:
    worked.write("helper-out.log", (0, "0", b"\x1b[31mred\x1b[0m\n"))
    assert shown("helper") == ["helper | \x1b[31mred\x1b[0m"], "a pipe gets what the agent wrote"
    assert shown("helper", "--strip-ansi") == ["helper | red"]
    (entry,) = map(json.loads, shown("helper", "--strip-ansi", "--json"))
    assert entry["line"] == "red"


def on_terminal(*words: str, **environment: str) -> bytes:
    """What a terminal gets."""
    terminal, end = os.openpty()
    full = os.environ | {"TERM": "xterm", "NO_COLOR": ""} | environment
    call = [sys.executable, "-m", "pypm", "logs", "--nostream", *words]
    assert subprocess.run(call, stdout=end, env=full, timeout=60, check=False).returncode == 0
    os.close(end)
    printed = os.read(terminal, 10_000)
    os.close(terminal)
    return printed


def test_a_terminal_is_not_harmed(worked: Home) -> None:
    worked.write("helper-out.log", (0, "0", b"\x1b[31mred\x1b[2J\x1b]0;title\x07 bell\x07\n"))
    assert b"\x1b[31mred bell^G\x1b[0m\r\n" in on_terminal("helper")
    assert b"| \x1b[31mred bell^G\x1b[0m\r\n" in on_terminal("helper", NO_COLOR="1")
    assert b"| red bell^G\r\n" in on_terminal("helper", "--strip-ansi")
    assert b"\x1b[2J\x1b]0;title\x07" in on_terminal("helper", "--raw")


def test_what_is_searched_for_is_highlighted_on_a_terminal(worked: Home, shown: Shown) -> None:
    assert b"h\x1b[7melpe\x1b[27md" in on_terminal("helper", "--grep", "elpe")
    assert b"\x1b[7mhelp\x1b[27m" in on_terminal("helper", "--highlight", "help")
    assert b"\x1b" not in on_terminal("helper", "--highlight", "help", NO_COLOR="1")
    assert shown("helper", "--highlight", "help", "-n", "1") == ["helper | helped"]


def test_a_colour_is_an_agents_own_and_stays(worked: Home) -> None:
    def colour(printed: bytes, name: bytes) -> bytes:
        found = re.search(rb"\x1b\[0;(\d+)m%s" % name, printed)
        assert found
        return found[1]

    both = on_terminal()
    assert colour(both, b"helper") == colour(on_terminal("helper"), b"helper")
    assert colour(both, b"helper") != colour(both, b"worker")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--since", "soon"], "--since: 'soon' is no time"),
        (["--until", "25:00"], "--until: '25:00' is no time"),
        (["--since", "1h", "--until", "2h"], "--since is later than --until"),
        (["--since", "tomorrow"], "--since: 'tomorrow' is yet to come"),
        (["--grep", "("], r"--grep: '\(' is no regular expression"),
        (["--highlight", "("], "--highlight: "),
        (["--invert"], "--invert goes with --grep"),
        (["--json", "--format"], "--json and --format exclude each other"),
        (["--raw", "--json"], "--raw and --json exclude each other"),
        (["--raw", "--timestamp"], "--raw and --timestamp exclude each other"),
        (["--raw", "--strip-ansi"], "--raw and --strip-ansi exclude each other"),
        (["--json", "--highlight", "x"], "--json and --highlight exclude each other"),
        (["--format", "{nmae}"], r"--format: no field \{nmae\}"),
        (["--format", "{line"], "--format: "),
        (["--format", "{line.__class__}"], "--format: no field"),
        (["--timestamp=QQ"], "--timestamp: "),
    ],
)
def test_wrong_usage(worked: Home, words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        command.main(["--no-follow", *words], standalone_mode=False)
    assert caught.value.exit_status == 2


def test_a_wrong_time_is_told_the_right_forms(worked: Home) -> None:
    with pytest.raises(UsageError) as caught:
        command.main(["--since", "soon"], standalone_mode=False)
    assert "2h30m" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("words", "parsed"),
    [
        (["--timestamp"], ["--timestamp="]),
        (["--timestamp", "worker"], ["--timestamp=", "worker"]),
        (["--timestamp", "HH:mm"], ["--timestamp", "HH:mm"]),
        (["--timestamp", "%H"], ["--timestamp", "%H"]),
        (["--timestamp", "--raw"], ["--timestamp=", "--raw"]),
        (["--format", "worker"], ["--format=", "worker"]),
        (["--format", "{line}"], ["--format", "{line}"]),
        (["--", "--format"], ["--", "--format"]),
    ],
)
def test_values_that_may_be_left_out(words: list[str], parsed: list[str]) -> None:
    assert with_optional_values(words) == parsed


def test_help_has_the_options_and_examples() -> None:
    text = CliRunner().invoke(command, ["--help"]).output
    assert "--since" in text
    assert "pypm logs worker --run -1" in text


@pytest.mark.parametrize("words", [[], ["-n", "3"], ["--grep", "."], ["--since", "2020-01-01"]])
def test_a_damaged_rotated_file_is_told_once_and_left_out(
    worked: Home, capfdbinary: pytest.CaptureFixture[bytes], words: list[str]
) -> None:
    command.main(["--no-follow", "--raw", "helper", *words], standalone_mode=False)
    whole = capfdbinary.readouterr().out
    (worked.logs / "helper-out.log.1.gz").write_bytes(b"no gzip")
    command.main(["--no-follow", "--raw", "helper", *words], standalone_mode=False)
    found = capfdbinary.readouterr()
    assert whole
    assert found.out == whole
    assert re.fullmatch(
        rb"pypm: .*/helper-out\.log\.1\.gz: damaged: .*; the rest of it is left out\n", found.err
    )


def test_a_damaged_current_file_is_an_error_that_names_it(
    worked: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(generation: Any, *_: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error", generation.path)

    monkeypatch.setattr(lines, "open_here", refuse)
    with pytest.raises(PypmError, match=r"helper-out\.log: Input/output error"):
        command.main(["--no-follow", "helper"], standalone_mode=False)


def test_logs_of_pm2_are_shown_as_they_are(worked: Home, shown: Shown) -> None:
    worked.add("pm2")
    data = (
        b"plain\n"
        b"2026-11-22T16:23:42: with a date\n"
        b'{"message":"json\\n","timestamp":"2026-11-22T16:23:42","type":"out","process_id":0,"app_name":"pm2"}\n'
    )
    (worked.logs / "pm2-out__2026-11-21_00-00-00.log").write_bytes(b"rotated\n")
    os.utime(worked.logs / "pm2-out__2026-11-21_00-00-00.log", (T0 // 1000, T0 // 1000))
    (worked.logs / "pm2-out.log").write_bytes(data)
    assert shown("pm2", "--raw") == ["rotated", *data.decode().splitlines()]
    assert shown("pm2") == [f"pm2 | {line}" for line in ("rotated", *data.decode().splitlines())]
    assert shown("pm2", "--since", "1h", "--raw") == data.decode().splitlines()


def test_where_the_kernel_tells_nothing_that_is_said_once(
    worked: Home, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def refused() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("pypm.logs.watch.Notices", refused)
    monkeypatch.setattr("pypm.logs.watch.LOOK_EVERY", 0.01)
    command.main(["--until", f"@{time.time() + 2.0}", "-n", "0"], standalone_mode=False)
    error = capfdbinary.readouterr().err
    assert error.count(b"\n") == 1
    assert b"max_user_instances" in error


def test_a_failure_is_followed_and_shown_when_nothing_else_comes(worked: Home) -> None:
    words = [sys.executable, "-m", "pypm", "logs", "helper", "--errors", "--raw"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        with (worked.logs / "helper-out.log").open("ab", buffering=0) as log:
            log.write(b"fine\nERROR first\n")
            assert reader.stdout.readline() == b"ERROR first\n"
            log.write(b"fine\nTraceback (most recent call last):\n  File x\nValueError: no\n")
            lines = [reader.stdout.readline() for _ in range(3)]
        reader.send_signal(signal.SIGINT)
        assert reader.communicate(timeout=30) == (b"", b"")
    assert lines == [b"Traceback (most recent call last):\n", b"  File x\n", b"ValueError: no\n"]


def test_only_the_asked_run_is_followed(worked: Home) -> None:
    words = [sys.executable, "-m", "pypm", "logs", "worker", "--out", "--run", "last", "--raw"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        assert [reader.stdout.readline() for _ in range(2)] == [b"third run\n", b"the end\n"]
        path = worked.logs / "worker-out.log"
        writer = IndexWriter()
        writer.begin(str(path), path.stat().st_ino, path.stat().st_size)
        for run, line in (("dddddddddddd", b"another run\n"), (RUNS[0], b"the same\n")):
            writer.note(T0 + 60_000, path.stat().st_size, int(run, 16))
            with path.open("ab") as log:
                log.write(line)
        assert reader.stdout.readline() == b"the same\n"
        reader.send_signal(signal.SIGINT)
        assert reader.communicate(timeout=30) == (b"", b"")
