from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pypm.cli.log_printers import Look, PrefixPrinter, flush
from pypm.cli.logs import command
from pypm.core.errors import ConfigError, NotFoundError, PypmError, UsageError
from pypm.logs.picking import Batch
from pypm.logs.view import Source


class Home:
    """A home as a master leaves it: a state file and logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.apps: list[dict[str, object]] = []
        self.instances: list[dict[str, object]] = []
        (folder / "state").mkdir()
        (folder / "logs").mkdir()

    def add(self, name: str, **spec: object) -> None:
        self.apps.append({"spec": {"name": name, "command": ["/bin/true"], "cwd": "/", **spec}})
        for index in range(int(str(spec.get("instances", 1)))):
            self.instances.append({"id": len(self.instances), "app": name, "index": index})
        state = {"version": 1, "apps": self.apps, "instances": self.instances}
        (self.folder / "state" / "new").write_text(json.dumps(state))
        (self.folder / "state" / "new").rename(self.folder / "state" / "state.json")

    def say(self, file: str, data: bytes) -> None:
        with (self.folder / "logs" / file).open("ab") as log:
            log.write(data)


@pytest.fixture
def logs_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("PYPM_HOME", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "")
    return Home(tmp_path)


@pytest.fixture
def agent(logs_home: Home) -> Home:
    logs_home.add("agent")
    logs_home.say("agent-out.log", b"".join(b"out %d\n" % number for number in range(20)))
    logs_home.say("agent-error.log", b"\xff bad\r\nlast")
    return logs_home


class Shown:
    """What a command that does not follow has printed."""

    def __init__(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capfdbinary

    def __call__(self, *words: str) -> tuple[bytes, bytes]:
        self._capture.readouterr()
        command.main(["--no-follow", *words], standalone_mode=False)
        return tuple(self._capture.readouterr())


@pytest.fixture
def shown(capfdbinary: pytest.CaptureFixture[bytes]) -> Shown:
    return Shown(capfdbinary)


@contextmanager
def following(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """``pypm logs WORDS`` as a process, which has to end by itself or by what the test does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pypm", "logs", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def next_lines(process: subprocess.Popen[bytes], count: int) -> list[bytes]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def rest_after(process: subprocess.Popen[bytes], number: int) -> tuple[bytes, bytes]:
    process.send_signal(number)
    return process.communicate(timeout=30)


def test_the_last_lines_of_each_stream(agent: Home, shown: Shown) -> None:
    out, error = shown("-n", "2")
    assert out == b"agent | out 18\nagent | out 19\nagent | \xff bad\r\nagent | last\n"
    assert error == b""


def test_fifteen_lines_are_shown_by_default(agent: Home, shown: Shown) -> None:
    assert shown("--out")[0].count(b"\n") == 15


def test_one_stream_only(agent: Home, shown: Shown) -> None:
    assert shown("--out", "-n1")[0] == b"agent | out 19\n"
    assert shown("--err", "-n1")[0] == b"agent | last\n"
    assert shown("--err", "--out", "-n1")[0] == b"agent | out 19\nagent | last\n"


def test_raw_is_the_very_bytes_each_to_its_stream(agent: Home, shown: Shown) -> None:
    assert shown("--raw", "-n", "2") == (b"out 18\nout 19\n", b"\xff bad\r\nlast")


def test_json_is_an_object_a_line(agent: Home, shown: Shown) -> None:
    out, _ = shown("--json", "-n", "1")
    logs = agent.folder / "logs"
    assert [json.loads(line) for line in out.splitlines()] == [
        {"name": "agent", "stream": stream, "line": line, "file": f"{logs}/agent-{stream}.log"}
        | {"time": None, "run": None}
        for stream, line in (("out", "out 19"), ("error", "last"))
    ]
    assert json.loads(shown("--json", "-n2", "--err")[0].splitlines()[0])["line"] == "\ufffd bad\r"


def test_targets(logs_home: Home, shown: Shown, tmp_path: Path) -> None:
    logs_home.add("web", instances=2, namespace="n")
    logs_home.add("other")
    for file in ("web-0-out.log", "web-1-out.log", "other-out.log"):
        logs_home.say(file, file.encode() + b"\n")
    web = b"web:0 | web-0-out.log\nweb:1 | web-1-out.log\n"
    ecosystem = tmp_path / "ecosystem.toml"
    ecosystem.write_text('[[apps]]\nname = "web"\ncommand = "sleep 9"\ninstances = 2\n')
    for target in ("web", "n", "w*", "/^we/", str(ecosystem)):
        assert shown(target)[0] == web
    assert shown("web:1", "2")[0] == b"web:1 | web-1-out.log\nother | other-out.log\n"
    assert shown("--all")[0] == shown()[0] == web + b"other | other-out.log\n"


def test_merged_instances_are_shown_once(logs_home: Home, shown: Shown) -> None:
    logs_home.add("web", instances=2, logs={"merge": True})
    logs_home.say("web-out.log", b"hello\n")
    assert shown()[0] == b"web | hello\n"


def test_a_combined_file_is_shown_if_there_is_no_other(logs_home: Home, shown: Shown) -> None:
    path = str(logs_home.folder / "logs" / "both.log")
    nothing = {"out_file": "/dev/null", "error_file": "/dev/null", "combined_file": path}
    logs_home.add("a", logs=nothing)
    logs_home.say("both.log", b"hello\n")
    assert shown()[0] == b"a | hello\n"
    assert shown("--err")[0] == b""


def test_an_unknown_target_is_an_error_that_names_the_nearest(agent: Home) -> None:
    with pytest.raises(NotFoundError) as caught:
        command.main(["agnet"], standalone_mode=False)
    assert caught.value.hint is not None
    assert "agent" in caught.value.hint


def test_what_cannot_be(agent: Home) -> None:
    with pytest.raises(UsageError):
        command.main(["--raw", "--json"], standalone_mode=False)
    (agent.folder / "state" / "state.json").write_text("{")
    with pytest.raises(ConfigError):
        command.main([], standalone_mode=False)


def test_a_log_that_may_not_be_read(agent: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(paths: list[str]) -> None:
        raise PermissionError(13, "Permission denied", paths[0])

    monkeypatch.setattr("pypm.logs.view.files_of_all", refused)
    with pytest.raises(PypmError, match=r"agent-out\.log: Permission denied"):
        command.main(["--no-follow"], standalone_mode=False)


def test_nothing_yet(logs_home: Home, shown: Shown) -> None:
    assert shown() == (b"", b"pypm: there are no apps yet\n")


def test_it_follows_until_interrupted(agent: Home) -> None:
    with following("agent", "-n", "1") as process:
        assert next_lines(process, 1) == [b"agent | out 19\n"]
        agent.say("agent-error.log", b" words\n")
        assert next_lines(process, 1) == [b"agent | last words\n"]
        (agent.folder / "logs" / "agent-out.log").rename(agent.folder / "logs" / "agent-out.log.1")
        agent.say("agent-out.log", b"rotated\nunfin")
        assert next_lines(process, 1) == [b"agent | rotated\n"]
        assert rest_after(process, signal.SIGINT) == (b"agent | unfin\n", b"")
    assert process.returncode == 0


def test_new_instances_are_shown_from_where_their_logs_were(agent: Home) -> None:
    agent.say("late-out.log", b"of an earlier life\n")
    with following("agent", "late*", "agent", "-n", "1") as process:
        _, error = process.communicate(timeout=30)
    assert (process.returncode, b"late*" in error) == (3, True)
    with following("-n", "1") as process:
        assert next_lines(process, 1) == [b"agent | out 19\n"]
        agent.say("late-out.log", b"new\n")
        agent.say("later-out.log", b"".join(b"%d\n" % number for number in range(99)))
        agent.add("late")
        agent.add("later")
        assert next_lines(process, 1) == [b"late | new\n"]
        assert next_lines(process, 99)[0] == b"later | 0\n"
        rest_after(process, signal.SIGINT)
    assert process.returncode == 0


def test_it_waits_for_the_first_app(logs_home: Home) -> None:
    with following() as process:
        assert process.stderr is not None
        assert b"no apps yet" in process.stderr.readline()
        logs_home.add("first")
        logs_home.say("first-out.log", b"hello\n")
        assert next_lines(process, 1) == [b"first | hello\n"]
        rest_after(process, signal.SIGINT)
    assert process.returncode == 0


def test_a_closed_pipe_ends_it_quietly_although_nothing_comes(agent: Home) -> None:
    with following("-n", "1") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        next_lines(process, 1)
        process.stdout.close()
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == b""


def test_a_pipe_that_closes_while_much_is_written(agent: Home) -> None:
    agent.say("agent-out.log", b"x" * 199 + b"\n")
    agent.say("agent-out.log", (b"x" * 199 + b"\n") * 10_000)
    with following("-n", "10000", "--no-follow") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        next_lines(process, 1)
        process.stdout.close()
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_are_for_terminals(
    agent: Home, monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    terminal, end = os.openpty()
    words = [sys.executable, "-m", "pypm", "logs", "--nostream", "-n", "1"]
    assert subprocess.run(words, stdout=end, timeout=30, check=False).returncode == 0
    os.close(end)
    printed = os.read(terminal, 10_000)
    os.close(terminal)
    assert (b"magent\x1b[0m | out 19" in printed) is coloured
    assert (b"\x1b[31m|\x1b[0m last" in printed) is coloured
    assert (b"\x1b" in printed) is coloured


def test_names_are_aligned_and_colours_do_not_run_on(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    printer = PrefixPrinter(Look(colour=True))
    printer.prepare(["a", "long"])
    printer.show(Source("a", "out", "/x", 1), Batch([b"\x1b[31mred\n", b"plain\n"]))
    flush()
    out, _ = capfdbinary.readouterr()
    first, second = out.splitlines()
    assert first.endswith(b"ma   \x1b[0m | \x1b[31mred\x1b[0m")
    assert second.endswith(b"ma   \x1b[0m | plain")
