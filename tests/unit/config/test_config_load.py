"""A whole file: defaults, environments by name, a selection of apps, names; and a whole command line."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import msgspec
import pytest

from pypm.config import from_command, load
from pypm.core.errors import ConfigError
from pypm.core.spec import AppSpec


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "app.py").write_text("print(1)\n")
    return tmp_path


def declare(folder, text):
    path = folder / "e.toml"
    path.write_text(textwrap.dedent(text))
    return str(path)


def fault(path, **options):
    with pytest.raises(ConfigError) as caught:
        load(path, **options)
    return caught.value.message


TWO = """
    [defaults]
    script = "app.py"
    max_restarts = 3
    restart_delay = "5s"
    env = { A = "default", B = "default" }
    env_production = { A = "default production" }
    [defaults.logs]
    max_size = "1M"
    retain = 2

    [[apps]]
    name = "one"
    maxRestarts = 5
    env = { B = "one" }
    [apps.logs]
    retain = 9
    [apps.env_production]
    C = 1

    [[apps]]
    name = "two"
    command = "sh -c true"
"""


def test_defaults_are_below_what_an_app_says(folder):
    one, two = load(declare(folder, TWO))
    assert (one.restart.max_restarts, two.restart.max_restarts) == (5, 3)
    assert (one.restart.delay, two.restart.delay) == (5.0, 5.0)
    assert (one.env["A"], one.env["B"]) == ("default", "one")
    assert two.env == {"A": "default", "B": "default"}
    assert (one.logs.max_size, one.logs.retain) == (1024**2, 9)
    assert two.logs.retain == 2
    assert one.command[1].endswith("/app.py")
    assert os.path.basename(two.command[0]) == "sh", "what an app runs replaces what the defaults run"
    assert one.instance_var == "PYPM_INSTANCE"


def test_an_environment_by_name_is_laid_over_env(folder):
    one, two = load(declare(folder, TWO), env_name="production")
    assert {key: one.env[key] for key in "ABC"} == {"A": "default production", "B": "one", "C": "1"}
    assert two.env["A"] == "default production"


def test_an_environment_that_nobody_declares(folder):
    text = fault(declare(folder, TWO), env_name="prodction")
    assert text.endswith(
        'e.toml: env_prodction: no app declares this environment; did you mean "production"?'
    )


def test_a_selection_of_apps(folder):
    path = declare(folder, TWO + '\n[[apps]]\nname = "broken"\nscript = "nope.py"\n[[apps]]\n')
    assert [spec.name for spec in load(path, only=["two", "app"])] == ["two", "app"]
    assert 'e.toml: declares no app "tow"; did you mean "two"?' in fault(path, only=["tow"])
    text = fault(path)
    assert "apps[2].script (broken): the script 'nope.py' is not found" in text


def test_keys_are_checked_also_in_apps_that_are_not_selected(folder):
    path = declare(folder, TWO + '\n[[apps]]\nname = "broken"\nscrip = "app.py"\n')
    assert "apps[2].scrip (broken): unknown key" in fault(path, only=["two"])


def test_names_are_unique(folder):
    text = fault(declare(folder, '[[apps]]\nscript = "app.py"\n[[apps]]\nname = "app"\nscript = "app.py"\n'))
    assert text.endswith('e.toml: apps[1].name (app): "app" is also the name of apps[0]')
    path = declare(folder, '[[apps]]\nname = "a"\nscript = "app.py"\n[[apps]]\nname = "a"\nscript = "x.py"\n')
    assert len(fault(path).splitlines()) == 2, "also where another fault hides the second app"


def test_a_fault_in_the_defaults_is_told_once(folder):
    text = fault(
        declare(folder, '[defaults]\ncwd = 5\n[[apps]]\nscript = "x.py"\n[[apps]]\nscript = "y.py"\n')
    )
    assert text.endswith("e.toml: defaults.cwd: 5 is a number: expected text")
    assert len(text.splitlines()) == 1


def test_faults_come_in_the_order_of_the_file(folder):
    lines = fault(
        declare(
            folder,
            """
            what = 1
            [[apps]]
            name = "a"
            script = "nope.py"
            [[apps]]
            name = "b\\u001b[31m"
            script = "app.py"
            min_uptime = true
            """,
        )
    ).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "what",
        "apps[0].script (a)",
        "apps[1].name (b\\x1b[31m)",
        "apps[1].min_uptime (b\\x1b[31m)",
    ]


def test_paths_are_those_of_the_file_wherever_one_stands(folder, monkeypatch):
    declare(folder, '[[apps]]\nscript = "app.py"\n')
    monkeypatch.chdir(folder.parent)
    (spec,) = load(f"{folder.name}/e.toml")
    assert (spec.cwd, spec.source) == (str(folder), f"{folder}/e.toml")


def test_a_spec_survives_the_way_to_the_master(folder):
    for spec in load(declare(folder, TWO)):
        assert msgspec.json.decode(msgspec.json.encode(spec), type=AppSpec) == spec


def test_reading_toml_imports_nothing_heavy(folder):
    """What `pypm start` needs while the person waits: measured in modules, not in time."""
    program = """if True:
        import sys
        from pypm.config import load
        load(sys.argv[1])
        heavy = "asyncio click difflib json psutil rich shutil subprocess yaml zmq".split()
        print([name for name in heavy if name in sys.modules])
    """
    path = declare(folder, TWO)
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_script_and_its_arguments(folder):
    spec = from_command(["app.py", "--flag", "$x | y"], {"name": "x", "instances": "2"}, cwd=str(folder))
    assert spec.command[1:] == (f"{folder}/app.py", "--flag", "$x | y")
    assert (spec.name, spec.instances, spec.cwd, spec.source) == ("x", 2, str(folder), None)
    assert spec.instance_var == "PYPM_INSTANCE"


@pytest.mark.parametrize("words", [["sh", "-c", "true"], ["sh -c true"], ["sh -c", "true"]])
def test_a_command_and_its_arguments(folder, words):
    spec = from_command(words, {}, cwd=str(folder))
    assert (os.path.basename(spec.command[0]), spec.command[1:], spec.name) == ("sh", ("-c", "true"), "sh")


def test_options_are_keys_of_the_file(folder):
    options = {
        "max_memory_restart": "1G",
        "kill_timeout": 3000,
        "node_args": "-u",
        "autorestart": False,
        "env": {"A": "1"},
        "logs": {"retain": 1},
        "watch": None,
    }
    spec = from_command(["app.py"], options, cwd=str(folder))
    assert (spec.max_memory, spec.kill_timeout, spec.restart.autorestart) == (1024**3, 3.0, "never")
    assert (spec.command[1], spec.env["A"], spec.logs.retain) == ("-u", "1", 1)


def test_options_may_say_what_runs(folder):
    assert from_command(["--x"], {"module": "pkg.mod"}, cwd=str(folder)).command[1:] == (
        "-m",
        "pkg.mod",
        "--x",
    )
    spec = from_command([], {"command": "sh -c x", "shell": True}, cwd=str(folder))
    assert spec.command == ("/bin/sh", "-c", "sh -c x")


def test_a_script_is_found_from_where_one_stands(folder):
    (folder / "sub").mkdir()
    spec = from_command(["app.py"], {"cwd": "sub"}, cwd=str(folder))
    assert (spec.command[1], spec.cwd) == (f"{folder}/app.py", f"{folder}/sub")


TWO_FAULTS = """--name: the name 'a/b' contains "/" or ":"
--pmx: pypm does not have this: it instruments Node for PM2's hosted monitoring"""


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (["ap.py"], {}, """the script 'ap.py' is not found in {0} and PATH; did you mean "app.py"?"""),
        ([], {}, 'nothing to run: expected "script", "command" or "module"'),
        ([""], {}, "the command is empty"),
        (["a | b"], {}, "'a | b': only a shell understands \"|\"; start it as: -- sh -c '…', or quote it"),
        (["app.py"], {"cwd": "nope"}, "--cwd: {0}/nope is not there"),
        (["app.py"], {"maxRestart": 1}, '--maxRestart: unknown key; did you mean "max_restarts"?'),
        (["app.py"], {"uid": "no-such-user"}, "--uid: there is no user 'no-such-user'"),
        (
            ["app.py"],
            {"interpreter": "nope"},
            "--interpreter: the interpreter 'nope' is not found in {0} and PATH",
        ),
        (["app.py", "x"], {"args": "y"}, "--args: arguments are given twice: here and as words"),
        (["app.py", "\udcff"], {}, "'\\udcff' is not valid UTF-8 text"),
        (["app.py"], {"name": "a/b", "pmx": True}, TWO_FAULTS),
    ],
)
def test_faults_of_a_command_line(folder, words, options, message):
    with pytest.raises(ConfigError) as caught:
        from_command(words, options, cwd=str(folder))
    assert caught.value.message == message.format(folder)
