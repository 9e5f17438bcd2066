"""The quick road and the click road: the same words give the same output and exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_master import ScriptedMaster, make_change, make_ping, make_row, make_settled

from pypm.__main__ import main
from pypm.cli import quick
from pypm.cli.main import run
from pypm.cli.output import guarded
from pypm.core.errors import NotFoundError, RequestError

ROWS = [
    make_row(0, "api", reason="", namespace="web"),
    make_row(1, "wörk:0", status="backoff", reason="exit code 1", retry_in_seconds=2.5, restarts=3),
    make_row(2, "wörk:1", status="stopped", desired="down"),
]

QUICK = [
    ["list", "--json"],
    ["list"],
    ["ls"],
    ["status", "--json"],
    ["ps"],
    ["ping"],
    ["ping", "--json"],
    ["pid"],
    ["pid", "api"],
    ["pid", "--json", "api"],
    ["stop", "api"],
    ["stop", "all", "--json"],
    ["restart", "api", "--json"],
    ["restart", "api"],
    ["start", "api"],
    ["start", "--json", "api"],
    ["start", "api", "--no-wait"],
]


def answers(home: Path) -> dict[str, object]:
    return {
        "list": lambda params: [row for row in ROWS if not params.get("targets") or row["name"] == "api"],
        "ping": make_ping(home),
        "stop": make_change(ROWS[0], action="stopped"),
        "restart": make_change(ROWS[0], action="restarted"),
        "start": make_change(ROWS[0], action="started"),
        "wait": make_settled(ROWS[0]),
    }


@pytest.mark.parametrize("arguments", QUICK, ids=" ".join)
def test_both_roads_say_the_same(home: Path, capfd: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with ScriptedMaster(home, **answers(home)) as master:
        quickly = guarded(quick.run_quickly, arguments)
        quick_output = capfd.readouterr()
        quick_calls = list(master.calls)
        master.calls.clear()
        slowly = guarded(run, arguments)
        slow_output = capfd.readouterr()
    assert quickly is not None
    assert quickly == slowly
    assert quick_output == slow_output
    assert quick_output.out
    assert quick_calls == master.calls


@pytest.mark.parametrize("error", [NotFoundError("no app 'x'", hint="did you mean y?"), RequestError("no")])
@pytest.mark.parametrize("arguments", [["stop", "x"], ["pid", "x"], ["restart", "x", "--json"]])
def test_both_roads_fail_the_same(
    home: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], error: Exception
) -> None:
    with ScriptedMaster(home, stop=error, restart=error, list=error):
        quickly, quick_output = guarded(quick.run_quickly, arguments), capfd.readouterr()
        slowly, slow_output = guarded(run, arguments), capfd.readouterr()
    assert quickly == slowly == error.exit_status  # type: ignore[attr-defined]
    assert quick_output == slow_output
    assert quick_output.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["start", "--help"],
        ["start", "x", "--name", "y"],
        ["start", "--", "sleep", "1"],
        ["list", "--help"],
        ["list", "api"],
        ["stop"],
        ["stop", "--all"],
        ["stop", "apps.toml"],
        ["restart", "api", "--no-wait"],
        ["ping", "what"],
    ],
    ids=" ".join,
)
def test_what_is_not_plain_is_left_to_the_other_road(home: Path, arguments: list[str]) -> None:
    with ScriptedMaster(home) as master:
        assert quick.run_quickly(arguments) is None
        assert master.calls == []


def test_a_home_without_a_master_is_left_to_the_other_road(home: Path) -> None:
    assert quick.run_quickly(["list", "--json"]) is None


HEAVY = {
    "asyncio", "argparse", "click", "dataclasses", "inspect", "logging", "msgspec", "pathlib", "psutil",
    "rich", "shutil", "socket", "subprocess", "typing", "zmq",
}  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    program = f"{statement}\nimport sys; sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stderr.split())


def test_the_quick_road_loads_nothing_heavy(home: Path) -> None:
    script = "import sys; sys.argv = ['pypm', 'list', '--json']; from pypm.__main__ import main; main()"
    with ScriptedMaster(home, list=ROWS) as master:
        loaded = loaded_by(script)
        assert master.calls == [("list", {})]
    assert (loaded & HEAVY) - loaded_by("pass") == set()


def test_main_takes_its_words_from_the_command_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pypm", "pid", "api"])
    with ScriptedMaster(home, list=[ROWS[0]]):
        assert main() == 0
    assert capfd.readouterr() == ("1000\n", "")


@pytest.mark.parametrize("words", [["list", "--json"], ["list", "--json", "api"]], ids=["quick", "click"])
def test_a_reader_that_goes_away_is_no_drama(home: Path, words: list[str]) -> None:
    rows = [make_row(number, f"app{number}") for number in range(2000)]  # more than a pipe holds
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with ScriptedMaster(home, list=rows):
        command = subprocess.Popen(
            [sys.executable, "-m", "pypm", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        with command:
            assert command.stdout is not None
            assert command.stderr is not None
            command.stdout.read(10)
            command.stdout.close()
            assert command.stderr.read() == b""
    assert command.returncode == 141


def test_an_interrupt_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    def interrupted(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    command: Callable[[list[str]], int] = interrupted
    assert guarded(command, []) == 130
    assert capfd.readouterr() == ("", "")


def test_a_name_that_the_terminal_cannot_show_does_not_fail(home: Path) -> None:
    with ScriptedMaster(home, list=ROWS):
        done = subprocess.run(
            [sys.executable, "-m", "pypm", "list"],
            env={"PYPM_HOME": str(home), "PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            timeout=60,
            check=True,
        )
    assert b"w?rk:0" in done.stdout


def test_a_bug_is_told_as_one(capfd: pytest.CaptureFixture[str]) -> None:
    def broken(arguments: list[str]) -> int:
        raise ZeroDivisionError("of all things")

    assert guarded(broken, []) == 1
    output = capfd.readouterr()
    assert output.out == ""
    assert "of all things" in output.err
    assert "a bug in pypm" in output.err


def test_a_full_disk_behind_stdout_is_told(home: Path) -> None:
    with ScriptedMaster(home, list=ROWS), open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pypm", "list", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "pypm: cannot go on: No space left on device\n")


@pytest.mark.parametrize(
    "words", [["list"], ["list", "--json"], ["logs", "--no-follow"], ["start", "--help"]]
)
def test_closed_descriptors_are_no_bug(home: Path, words: list[str]) -> None:
    """A shell's ``<&- >&-``: what is opened later must not get the numbers of the standard streams."""
    with ScriptedMaster(home, list=ROWS):
        done = subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" <&- >&-', "sh", sys.executable, "-m", "pypm", *words],
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    nothing = "pypm: there are no apps yet\n" if words[0] == "logs" else ""
    assert (done.returncode, done.stderr) == (0, nothing)


def test_errors_need_no_stderr(home: Path) -> None:
    closed = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "pypm", "ping", "--json"],
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert (closed.returncode, closed.stdout) == (4, b"")


def test_a_folder_that_is_gone_is_told(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert guarded(run, ["start", "agent.py"]) == 1
    assert "current folder has been deleted" in capfd.readouterr().err


def test_ctrl_c_while_modules_are_imported_is_told_like_any_other(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Interrupting:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "pypm.cli.main":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "pypm.cli.main")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    monkeypatch.setattr(sys, "argv", ["pypm", "--help"])
    assert main() == 130
    assert capfd.readouterr() == ("", "")
