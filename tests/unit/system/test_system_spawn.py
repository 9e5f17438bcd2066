"""Spawning real, tiny processes: what they get, and what is said about those that cannot be."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path

import pytest
from children import SHELL, ask, ask_python, end, running, start

from pypm.system import held, process
from pypm.system.signals import restore_signals
from pypm.system.spawn import PASSED_NUMBERS, SpawnError, spawn


def fails(command: list[str], cwd: str = "/", env: dict[str, str] | None = None) -> str:
    with pytest.raises(SpawnError) as caught:
        end(start(command, cwd=cwd, env=env))
    return str(caught.value)


def script(path: Path, text: str, mode: int = 0o700) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_program_gets_its_arguments_environment_and_folder(tmp_path: Path) -> None:
    program = "import json,os,sys; print(json.dumps([sys.argv[1:], os.environ['A'], os.getcwd()]))"
    text = ask([sys.executable, "-ISc", program, "x y", ""], env={"A": "b=c"}, cwd=str(tmp_path))
    assert json.loads(text) == [["x y", ""], "b=c", str(tmp_path)]


def test_nothing_of_our_environment_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_SECRET", "x")
    assert ask([SHELL, "-c", "echo ${OUR_SECRET-unset}"]) == "unset\n"


def test_it_leads_a_session_and_a_group_of_its_own() -> None:
    program = "import os; print(os.getpid() == os.getsid(0) == os.getpgrp())"
    assert ask_python(program) == "True\n"


def test_it_inherits_no_other_descriptor() -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        # Listing the folder opens one more.
        assert ask_python("import os; print(len(os.listdir('/proc/self/fd')))") == "4\n"
    finally:
        os.close(reader)
        os.close(writer)


LISTED = "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"
"""What is open; listing that opens the lowest free number."""


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_what_is_passed_is_at_its_number() -> None:
    reader, writer = os.pipe()
    before = {number: is_open(number) and os.fstat(number).st_ino for number in PASSED_NUMBERS}
    try:
        assert ask_python(LISTED, passed={5: writer}) == "[0, 1, 2, 3, 5]\n"
        ask_python("import os; os.write(9, b'nine')", passed={9: writer})
        assert os.read(reader, 10) == b"nine"
        assert {n: is_open(n) and os.fstat(n).st_ino for n in PASSED_NUMBERS} == before
    finally:
        os.close(reader)
        os.close(writer)


def test_what_is_passed_may_keep_its_number() -> None:
    reader, writer = os.pipe()
    try:
        ask_python(f"import os; os.write({writer}, b'same')", passed={writer: writer})
        assert os.read(reader, 10) == b"same"
    finally:
        os.close(reader)
        os.close(writer)


def test_after_a_start_that_failed_the_numbers_are_as_before() -> None:
    reader, writer = os.pipe()
    before = {number: is_open(number) and os.fstat(number).st_ino for number in PASSED_NUMBERS}
    with pytest.raises(SpawnError):
        start(["/no/such/program"], passed={4: writer})
    os.close(writer)
    assert {n: is_open(n) and os.fstat(n).st_ino for n in PASSED_NUMBERS} == before
    assert os.read(reader, 1) == b"", "nothing of it is left open"
    os.close(reader)


def test_numbers_are_kept_for_what_is_passed() -> None:
    """In a process of its own: what is open here is pytest's."""
    program = (
        f"import os, sys; sys.path.insert(0, {os.getcwd()!r})\n"
        "from pypm.system.spawn import keep_passed_numbers\n"
        "mine = os.dup2(0, 4)\nkeep_passed_numbers(1)\n"
        "print([os.fstat(n).st_ino == os.fstat(1).st_ino for n in range(3, 10)])\n"
        "print([os.get_inheritable(n) for n in range(3, 10)], os.dup(0))\n"
    )
    first, second = ask([sys.executable, "-c", program]).splitlines()
    assert first == "[True, False, True, True, True, True, True]"
    assert second == "[False, True, False, False, False, False, False] 10"


def test_it_may_have_as_many_open_files_as_it_is_given() -> None:
    program = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert ask_python(program) == f"{soft} {hard}\n"
    assert ask_python(program, open_files=100) == f"100 {hard}\n"
    assert ask_python(program, open_files=hard + 1) == f"{soft} {hard}\n", "what cannot be is not"


def test_its_stdin_is_at_its_end() -> None:
    assert ask_python("import sys; print(repr(sys.stdin.read()))") == "''\n"


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_it_has_the_umask_of_the_shell_it_was_started_in(umask: int) -> None:
    assert ask_python("import os; print(os.umask(0))", umask=umask) == f"{umask}\n"


def test_signals_are_as_after_a_login() -> None:
    """Also where whoever started us ignored some, as nohup and a shell's ``&`` do."""
    ignored = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        restore_signals()
        lines = ask(["/bin/cat", "/proc/self/status"]).splitlines()
    finally:
        signal.signal(signal.SIGQUIT, ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    masks = dict(line.split(":\t") for line in lines if line.startswith(("SigIgn", "SigBlk")))
    # Signals 32 and 33 are the C library's own, between its threads.
    assert {name: int(mask, 16) & ~(0b11 << 31) for name, mask in masks.items()} == {"SigBlk": 0, "SigIgn": 0}


def test_its_start_time_is_the_kernels() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    try:
        for _ in range(5):
            child = spawn(
                ["/bin/sleep", "100"], cwd="/", env={}, stdin=null, stdout=null, stderr=null, umask=0o022
            )
            try:
                assert child.start_ticks == process.start_ticks(child.pid)
            finally:
                end(child.pid)
    finally:
        os.close(null)


# --- what cannot be started ---


def test_a_missing_program(tmp_path: Path) -> None:
    path = str(tmp_path / "missing")
    assert fails([path]) == f"{path}: no such file or folder"


def test_a_file_that_is_not_executable(tmp_path: Path) -> None:
    path = script(tmp_path / "plain", "#!/bin/sh\n", 0o600)
    assert fails([path]) == f"{path}: permission denied"


def test_a_folder_is_no_program(tmp_path: Path) -> None:
    assert fails([str(tmp_path)]) == f"{tmp_path}: permission denied"


def test_a_missing_folder_to_run_in(tmp_path: Path) -> None:
    folder = str(tmp_path / "gone")
    assert fails(["/bin/true"], cwd=folder) == f"{folder}: no such file or folder"


def test_a_folder_to_run_in_that_is_a_file(tmp_path: Path) -> None:
    file = script(tmp_path / "file", "")
    assert fails(["/bin/true"], cwd=file) == f"{file}: part of the path is no folder"


def test_a_script_whose_interpreter_is_missing(tmp_path: Path) -> None:
    path = script(tmp_path / "script", "#!/no/such/python\n")
    assert fails([path]) == f"{path}: the interpreter that its first line names is missing"


def test_a_script_without_a_first_line(tmp_path: Path) -> None:
    path = script(tmp_path / "script", "echo hello\n")
    assert fails([path]).startswith(f"{path}: it is no program that the kernel can execute")


def test_a_nul_in_an_argument_or_in_the_environment() -> None:
    assert "null byte" in fails(["/bin/true", "a\0b"])
    assert "null byte" in fails(["/bin/true"], env={"A": "b\0"})


def test_arguments_that_are_too_long() -> None:
    text = fails(["/bin/true", "x" * (4 * 2**20)])
    assert text == "/bin/true: its arguments and environment are too long"


def test_a_failed_start_leaves_no_process_and_no_descriptor(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    fails([str(tmp_path / "missing")])
    assert os.listdir("/proc/self/fd") == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_it_is_ours_to_reap() -> None:
    with running(["/bin/sleep", "100"]) as pid:
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)


@pytest.mark.parametrize("is_held", [True, False])
def test_a_variable_has_its_pid(monkeypatch: pytest.MonkeyPatch, is_held: bool) -> None:
    monkeypatch.setattr(held, "is_possible", lambda: is_held and held._gate() is not None)
    program = "import os; print(os.environ['LISTEN_PID'] == str(os.getpid()), os.environ['A'])"
    command = [sys.executable, "-ISc", program]
    assert ask(command, env={"A": "b=c", "LISTEN_PID": "1"}, pid_variable="LISTEN_PID") == "True b=c\n"


@pytest.mark.skipif(not held.is_possible(), reason="no process can be held here: a shell has to tell the pid")
def test_beside_its_pid_it_gets_all_variables() -> None:
    program = "import os; print(os.environ['server.port'], 'PWD' in os.environ)"
    env = {"server.port": "80"}
    assert ask([sys.executable, "-ISc", program], env=env, pid_variable="LISTEN_PID") == "80 False\n"
