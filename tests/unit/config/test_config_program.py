"""What runs: scripts, commands, modules, interpreters, virtual environments, and what is refused early."""

from __future__ import annotations

import os
import shlex
import stat
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypm.config import load
from pypm.config.program import shell_sign
from pypm.core.errors import ConfigError


def write(path, text="", *, executable=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755 if executable else 0o644)
    return str(path)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A PATH of our own, so that nothing depends on what this machine has."""
    folder = tmp_path / "tools"
    for name in ("python3", "node", "bash", "ruby", "perl", "php", "bun", "sleep", "serve"):
        write(folder / name, "#!/bin/sh\n", executable=True)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path, tools):
    folder = tmp_path / "f"
    folder.mkdir()
    return folder


def toml(folder, text):
    path = folder / "e.toml"
    path.write_text(f"[[apps]]\n{text}\n")
    (spec,) = load(str(path))
    return spec


def fault(folder, text):
    with pytest.raises(ConfigError) as caught:
        toml(folder, text)
    return caught.value.message.removeprefix(f"{folder}/e.toml: apps[0]")


@pytest.mark.parametrize(
    ("name", "interpreter"),
    [
        ("a.py", "python3"),
        ("a.js", "node"),
        ("a.mjs", "node"),
        ("a.cjs", "node"),
        ("a.ts", "bun"),
        ("a.sh", "bash"),
        ("a.rb", "ruby"),
        ("a.pl", "perl"),
        ("a.php", "php"),
        ("A.PY", "python3"),
    ],
)
@pytest.mark.parametrize("key", ["script", "command"])
def test_a_script_runs_under_what_its_extension_says(folder, tools, name, interpreter, key):
    path = write(folder / name)
    spec = toml(folder, f'{key} = "{name}"\nargs = ["-x"]')
    assert spec.command == (f"{tools}/{interpreter}", path, "-x")
    assert spec.name.lower() == "a"
    assert spec.script == name


def test_a_script_without_extension_is_executed_itself_and_never_by_node(folder):
    path = write(folder / "run", "#!/bin/sh\n", executable=True)
    assert toml(folder, 'script = "run"').command == (path,)
    assert toml(folder, 'script = "./run"').command == (path,)


def test_a_script_that_cannot_be_executed(folder):
    path = write(folder / "run", "#!/bin/sh\n")
    assert fault(folder, 'script = "run"') == (
        f".script: {path} is not executable: chmod +x it, or name its interpreter"
    )


def test_a_script_whose_first_line_asks_for_what_is_not_there(folder):
    write(folder / "run", "#!/no/such/python -u\n", executable=True)
    assert "its first line asks for /no/such/python, which is not there" in fault(folder, 'script = "run"')


def test_a_file_of_the_folder_comes_before_path_for_a_script_and_after_it_for_a_command(folder, tools):
    path = write(folder / "serve", "#!/bin/sh\n", executable=True)
    assert toml(folder, 'script = "serve"').command == (path,)
    assert toml(folder, 'command = "serve"').command == (f"{tools}/serve",)
    write(folder / "sleep")  # nothing that could be meant
    assert toml(folder, 'script = "sleep"').command == (f"{tools}/sleep",)


def test_missing_programs_are_told_with_the_nearest_file(folder):
    write(folder / "worker.py")
    text = fault(folder, 'script = "wroker.py"')
    assert (
        text
        == f""".script: the script 'wroker.py' is not found in {folder} and PATH; did you mean "worker.py"?"""
    )
    assert "the program 'nope' is not found" in fault(folder, 'command = "nope --x"')
    assert f"'./nope' is not found in {folder}" in fault(folder, 'command = ["./nope"]')
    (folder / "d").mkdir()
    assert "the script './d' is a folder" in fault(folder, 'script = "./d"')


def test_relative_paths_are_looked_for_in_cwd_and_then_in_the_folder_of_the_file(folder, tools):
    outer = write(folder / "a.py")
    (folder / "sub").mkdir()
    spec = toml(folder, 'script = "a.py"\ncwd = "sub"')
    assert (spec.command[1], spec.cwd) == (outer, f"{folder}/sub")
    inner = write(folder / "sub" / "a.py")
    assert toml(folder, 'script = "a.py"\ncwd = "sub"').command[1] == inner


def test_the_home_folder_is_expanded(folder, tools, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    path = write(folder / "a.py")
    run = write(folder / "run", "#!/bin/sh\n", executable=True)
    assert toml(folder, 'script = "~/a.py"').command[1] == path
    assert toml(folder, 'command = "~/run ~/x y"').command == (run, f"{folder}/x", "y")
    assert toml(folder, 'command = ["~/run", "~/x"]').command == (run, "~/x")
    assert toml(folder, 'script = "a.py"\ncwd = "~"').cwd == str(folder)


def test_a_command_is_split_as_a_shell_does_and_a_list_is_taken_as_it_is(folder, tools):
    sleep = f"{tools}/sleep"
    assert toml(folder, """command = 'sleep "a b" c\\ d'""").command == (sleep, "a b", "c d")
    assert toml(folder, 'command = ["sleep", "a  b", "$HOME", "|"]').command == (sleep, "a  b", "$HOME", "|")
    assert toml(folder, 'command = ["sleep", "a  b"]').script == "sleep 'a  b'"
    assert toml(folder, 'command = "sleep 1"\nargs = "2 3"').command == (sleep, "1", "2", "3")
    assert toml(folder, 'script = "sleep 5"').command == (sleep, "5")


def test_a_path_with_blanks_is_one_word_if_the_file_is_there(folder):
    path = write(folder / "my app.py")
    assert toml(folder, 'script = "my app.py"').command[1] == path


@pytest.mark.parametrize(
    ("command", "sign"),
    [
        ("a | b", "|"),
        ("a && b", "&&"),
        ("a || b", "||"),
        ("a; b", ";"),
        ("a > f", ">"),
        ("a $HOME", "$HOME"),
        ('a "${HOME}"', "${"),
        ("a $(b)", "$("),
        ("a `b`", "`"),
        ("a *.txt", "*"),
        ("a &", "&"),
        ("X=1 a", "X="),
        ("""a "it's" | 'b'""", "|"),
    ],
)
@pytest.mark.parametrize("key", ["script", "command"])
def test_what_only_a_shell_understands_is_refused_and_says_how(folder, command, sign, key):
    text = fault(folder, f"{key} = '''{command}'''")
    assert f'only a shell understands "{sign}"; say shell = true, or quote it' in text


@pytest.mark.parametrize(
    "command",
    [
        "a '|' b",
        'a "; && *"',
        r"a \| b \$HOME",
        r'a "\$HOME"',
        "a '$HOME `b`'",
        "a $5 x=1 --y={z}",
        "a http://h/?q[0]",
    ],
)
def test_quoted_signs_are_only_signs(command):
    assert shell_sign(command) == ""


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1))
def test_words_that_are_quoted_for_a_shell_never_need_one(words):
    assert shell_sign(shlex.join(["program", *words])) == ""


def test_a_quote_that_is_not_closed(folder):
    assert fault(folder, """command = "sleep 'x" """) == """.command: "sleep 'x": a quote is not closed"""
    assert "nothing follows the last backslash" in fault(folder, r"command = 'sleep x\'")
    assert "a quote is not closed" in fault(folder, """command = "sleep"\nargs = "'x" """)
    assert "the first word, which is the program, is empty" in fault(folder, """command = "'' x" """)


def test_with_a_shell(folder):
    spec = toml(folder, """command = "a | b > $X"\nshell = true\nargs = ["c d"]\nname = "pipe" """)
    assert spec.command == ("/bin/sh", "-c", "a | b > $X 'c d'")
    assert "with shell = true the command is text" in fault(folder, 'command = ["a"]\nshell = true')
    assert fault(folder, 'command = "a"\nshell = true\ninterpreter = "bash"') == (
        ".interpreter: has no meaning with shell = true"
    )


def test_an_interpreter_of_ones_own(folder, tools):
    path = write(folder / "a.py")
    own = write(folder / "own", "#!/bin/sh\n", executable=True)
    assert toml(folder, 'script = "a.py"\ninterpreter = "ruby"').command == (f"{tools}/ruby", path)
    assert toml(folder, 'script = "a.py"\ninterpreter = "./own"').command == (own, path)
    spec = toml(folder, 'script = "a.py"\ninterpreter_args = "-X dev"\nargs = "x"')
    assert spec.command == (f"{tools}/python3", "-X", "dev", path, "x")
    assert fault(folder, 'script = "a.py"\ninterpreter = "pythn3"').startswith(
        ".interpreter: the interpreter 'pythn3' is not found"
    )
    spec = toml(folder, 'script = "serve"\ninterpreter = "python3"')
    assert spec.command == (f"{tools}/python3", f"{tools}/serve")


def test_no_interpreter(folder):
    path = write(folder / "a.py", "#!/bin/sh\n", executable=True)
    assert toml(folder, 'script = "a.py"\ninterpreter = "none"').command == (path,)
    text = fault(folder, 'script = "a.py"\ninterpreter = "none"\ninterpreter_args = "-u"')
    assert text == ".interpreter_args: have no meaning without an interpreter"


def test_an_interpreter_that_is_not_installed(folder, tools):
    write(folder / "a.rb")
    (tools / "ruby").unlink()
    assert fault(folder, 'script = "a.rb"') == ".script: the interpreter ruby is not found in PATH"


def test_python_without_a_3_will_do(folder, tools):
    write(folder / "a.py")
    (tools / "python3").rename(tools / "python")
    assert toml(folder, 'script = "a.py"').command[0] == f"{tools}/python"


def make_venv(path):
    """What counts as a virtual environment: bin/python3 and bin/python, links as in a real one."""
    bin_folder = path / "bin"
    bin_folder.mkdir(parents=True)
    for name in ("python", "python3"):
        (bin_folder / name).symlink_to(sys.executable)
    write(bin_folder / "uvicorn", "#!/bin/sh\n", executable=True)
    return str(path)


def test_a_venv_beside_the_script_is_used(folder, tools):
    path = write(folder / "sub" / "a.py")
    venv = make_venv(folder / "sub" / ".venv")
    make_venv(folder / ".venv")
    spec = toml(folder, 'script = "sub/a.py"')
    assert spec.command == (f"{venv}/bin/python3", path)  # the link itself, not what it points to
    assert spec.env == {"VIRTUAL_ENV": venv, "PYTHONUNBUFFERED": "1"}


def test_a_venv_in_cwd_is_used(folder):
    write(folder / "a.py")
    venv = make_venv(folder / "sub" / ".venv")
    assert toml(folder, 'script = "a.py"\ncwd = "sub"').command[0] == f"{venv}/bin/python3"
    assert toml(folder, 'module = "pkg.mod"\ncwd = "sub"').command == (f"{venv}/bin/python3", "-m", "pkg.mod")


def test_a_declared_venv_wins_and_serves_commands_too(folder, tools):
    write(folder / "a.py")
    make_venv(folder / ".venv")
    venv = make_venv(folder / "other")
    assert toml(folder, 'script = "a.py"\nvenv = "other"').env["VIRTUAL_ENV"] == venv
    spec = toml(folder, 'command = "uvicorn app:app"\nvenv = "other"')
    assert spec.command == (f"{venv}/bin/uvicorn", "app:app")
    assert spec.env["PYTHONUNBUFFERED"] == "1"
    assert toml(folder, 'script = "a.py"\nvenv = false').command[0] == f"{tools}/python3"
    assert fault(folder, 'script = "a.py"\nvenv = "nope"') == (
        f".venv: 'nope' is not a virtual environment: {folder}/nope/bin/python is not there"
    )


def test_what_is_declared_wins_over_what_a_venv_brings(folder):
    write(folder / "a.py")
    make_venv(folder / ".venv")
    env = toml(folder, 'script = "a.py"\nenv = {PYTHONUNBUFFERED = "", VIRTUAL_ENV = "x", PATH = "/p"}').env
    assert env == {"PYTHONUNBUFFERED": "", "VIRTUAL_ENV": "x", "PATH": "/p"}


def test_programs_are_looked_for_in_the_declared_path(folder, tools):
    own = write(folder / "bin" / "sleep", "#!/bin/sh\n", executable=True)
    assert toml(folder, f'command = "sleep 1"\nenv = {{PATH = "{folder}/bin"}}').command[0] == own


def test_an_interpreter_of_ones_own_needs_no_venv(folder, tools):
    write(folder / "a.py")
    make_venv(folder / ".venv")
    assert toml(folder, 'script = "a.py"\ninterpreter = "bash"').env == {}


def test_python_is_unbuffered_and_others_are_left_alone(folder):
    write(folder / "a.py")
    write(folder / "a.sh")
    assert toml(folder, 'script = "a.py"').env == {"PYTHONUNBUFFERED": "1"}
    assert toml(folder, 'command = "python3 -c 1"').env == {"PYTHONUNBUFFERED": "1"}
    assert toml(folder, 'script = "a.sh"').env == {}


def test_a_module(folder, tools):
    spec = toml(folder, 'module = "pkg.mod"\nargs = "a b"\ninterpreter_args = "-O"')
    assert spec.command == (f"{tools}/python3", "-O", "-m", "pkg.mod", "a", "b")
    assert (spec.name, spec.script) == ("pkg.mod", "pkg.mod")
    assert toml(folder, 'module = "m"\ninterpreter = "bun"').command[0] == f"{tools}/bun"
    assert "is not the name of a module" in fault(folder, 'module = "a/b.py"')
    assert fault(folder, 'module = "m"\ninterpreter = "none"').startswith(".interpreter: ")


def test_something_and_only_one_thing_has_to_run(folder):
    assert fault(folder, 'name = "x"') == ' (x): nothing to run: expected "script", "command" or "module"'
    assert "script and module each say what to run" in fault(folder, 'script = "a"\nmodule = "b"')


def test_a_misspelled_script_is_told_once(folder):
    assert fault(folder, 'scirpt = "a.py"') == '.scirpt: unknown key; did you mean "script"?'


def test_the_folder_has_to_be_there(folder):
    write(folder / "a.py")
    assert fault(folder, 'script = "a.py"\ncwd = "nope"') == f".cwd: {folder}/nope is not there"
    assert fault(folder, 'script = "a.py"\ncwd = "a.py"') == f".cwd: {folder}/a.py is not a folder"


def test_permissions_are_looked_at(folder, monkeypatch):
    """Root may do all but execute, so what the kernel would say to others is said by a stand-in."""
    write(folder / "a.py")
    write(folder / "x.env")
    (folder / "locked").mkdir()
    denied: set[tuple[str, int]] = set()
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: (str(path), mode) not in denied and real(path, mode))
    for path, mode, keys, place in (
        ("a.py", os.R_OK, "", ".script"),
        ("x.env", os.R_OK, 'env_file = "x.env"', ".env_file"),
        ("locked", os.X_OK, 'cwd = "locked"', ".cwd"),
        ("locked", os.W_OK, 'out_file = "locked/deep/o.log"', ".out_file"),
    ):
        denied.clear()
        denied.add((str(folder / path), mode))
        text = fault(folder, f'script = "a.py"\n{keys}')
        assert text.startswith(f"{place}: {folder}/{path}")
        assert text.endswith("permission denied")


def test_names_from_a_script_have_to_be_names(folder):
    write(folder / "all.py")
    assert ".name: give the app a name: the name 'all' means every app" in fault(folder, 'script = "all.py"')


def test_a_program_that_may_be_executed_but_not_read_is_fine(folder, monkeypatch):
    path = write(folder / "run", "#!/no/such\n", executable=True)
    real = open

    def refuse(file, *rest, **named):
        if file == path:
            raise PermissionError
        return real(file, *rest, **named)

    monkeypatch.setattr("builtins.open", refuse)
    assert toml(folder, 'script = "./run"').command == (path,)
    assert os.stat(path).st_mode & stat.S_IXUSR
