"""Starting a master when none answers, with a program that stands in for it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pypm
from pypm.client.launch import connect_or_launch, launch
from pypm.core.errors import NoMasterError, RequestError
from pypm.testing import wait_until

LISTEN = """
import json, os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(os.environ["PYPM_HOME"] + "/pypm.sock")
listener.listen()
while True:
    connection, _ = listener.accept()
    with connection, connection.makefile("rwb", buffering=0) as stream:
        for line in stream:
            facts = {
                "pid": os.getpid(),
                "argv": sys.argv[1:],
                "folder": os.getcwd(),
                "session": os.getsid(0) == os.getpid(),
                "streams": [os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)],
                "inherited": os.path.exists(f"/proc/self/fd/{os.environ.get('TEST_FD', '999')}"),
                "names": sorted(name for name in os.environ if name.startswith("PYPM_")),
            }
            answer = {"jsonrpc": "2.0", "id": json.loads(line)["id"], "result": facts}
            stream.write(json.dumps(answer).encode() + b"\\n")
            if json.loads(line)["method"] == "kill":
                sys.exit()
"""

GUARDIAN = os.path.join(os.path.dirname(pypm.__file__), "guardian", "__main__.py")

Pretend = Callable[[str], None]


@pytest.fixture
def pretend(home: Path, monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Give a function that makes a program the "Python" that the launcher starts."""

    def use(program: str) -> None:
        script = home / "script.py"
        script.write_text(program)
        stand_in = home / "python"
        stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
        stand_in.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(stand_in))

    return use


def test_a_master_is_started_apart_from_this_shell(
    home: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pretend(LISTEN)
    with open(home / "of-the-shell", "w") as file:
        os.set_inheritable(file.fileno(), True)
        monkeypatch.setenv("TEST_FD", str(file.fileno()))
        monkeypatch.setenv("PYPM_AGENT_TOKEN", "of the agent that runs this")
        connection, launched = connect_or_launch(str(home))
    with connection:
        facts = connection.call("kill")
    os.wait()
    assert launched
    log = str(home / "master.log")
    assert facts.pop("pid") > 0
    assert facts == {
        "argv": ["-I", "-S", GUARDIAN, str(home)],
        "folder": "/",
        "session": True,
        "streams": ["/dev/null", log, log],
        "inherited": False,
        "names": ["PYPM_HOME"],
    }
    assert capfd.readouterr() == ("", "")


def test_the_home_and_the_log_are_the_owners_only(
    home: Path, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(LISTEN)
    previous = os.umask(0)
    try:
        connection, _ = connect_or_launch(str(home / "new"))
    finally:
        os.umask(previous)
    with connection:
        connection.call("kill")
    os.wait()
    assert stat.S_IMODE((home / "new").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "new" / "master.log").stat().st_mode) == 0o600


def test_a_master_that_is_there_is_used(home: Path, pretend: Pretend) -> None:
    pretend(LISTEN)
    first, launched = connect_or_launch(str(home))
    first.close()
    pretend("raise SystemExit('a second one was started')")
    second, again = connect_or_launch(str(home))
    with second:
        second.call("kill")
    os.wait()
    assert (launched, again) == (True, False)


def test_a_master_that_dies_is_told_with_its_last_words(home: Path, pretend: Pretend) -> None:
    (home / "master.log").write_text("words of an earlier master\n")
    pretend("raise SystemExit('cannot read the state: it is torn')")
    with pytest.raises(NoMasterError, match="ended with exit code 1") as raised:
        launch(str(home))
    assert "cannot read the state: it is torn" in str(raised.value.hint)
    assert "earlier" not in str(raised.value.hint)


def test_a_master_that_is_killed_is_told_as_that(home: Path, pretend: Pretend) -> None:
    pretend("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(NoMasterError, match="ended with signal 9"):
        launch(str(home))


def test_a_master_that_leaves_for_another_is_no_failure(home: Path, pretend: Pretend) -> None:
    # The one that is started leaves at once with 0, as one that finds the home taken; the other comes later.
    pretend("import os, sys\nif os.fork():\n    sys.exit(0)\nos.setsid()\n" + LISTEN)
    connection, _ = connect_or_launch(str(home))
    with connection:
        pid = connection.call("kill")["pid"]
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 20.0, "the end of the other master")


def test_a_master_that_never_answers_is_given_up(home: Path, pretend: Pretend) -> None:
    pretend("import sys\nsys.exit(0)")
    with pytest.raises(NoMasterError, match="does not answer"):
        launch(str(home), timeout=0.1)


def test_a_home_that_the_other_master_gives_up_is_taken(home: Path, pretend: Pretend) -> None:
    # The first one finds the home taken and leaves; the one it left for ends too, and nobody is there.
    pretend(
        "import os, sys\n"
        "mark = os.environ['PYPM_HOME'] + '/mark'\n"
        "if not os.path.exists(mark):\n    open(mark, 'w').close()\n    sys.exit(0)\n" + LISTEN
    )
    connection, launched = connect_or_launch(str(home))
    with connection:
        connection.call("kill")
    os.wait()
    assert launched


def test_a_python_that_cannot_be_started_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(home / "missing"))
    with pytest.raises(NoMasterError, match="ended with exit code 127"):
        launch(str(home))


def test_the_home_of_somebody_else_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(RequestError, match=f"belongs to another user \\(uid {owner}"):
        launch(str(home))
    assert list(home.iterdir()) == []


def test_a_home_that_is_a_file_is_refused(home: Path) -> None:
    (home / "file").write_text("")
    with pytest.raises(RequestError, match=r"cannot use the home .*: it is not a folder"):
        launch(str(home / "file"))


def test_a_log_that_is_a_link_is_not_followed(home: Path) -> None:
    (home / "elsewhere").write_text("precious")
    (home / "master.log").symlink_to(home / "elsewhere")
    with pytest.raises(RequestError, match=r"master\.log"):
        launch(str(home))
    assert (home / "elsewhere").read_text() == "precious"
