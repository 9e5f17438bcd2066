"""The manners of the house that a program can check; docs/design.md says why."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import pypm

CHECKOUT = Path(__file__).parents[2]
PACKAGE = CHECKOUT / "pypm"
TESTS = CHECKOUT / "tests"
MODULES = sorted(PACKAGE.rglob("*.py"))
TEST_FILES = sorted([*TESTS.rglob("test_*.py"), *TESTS.rglob("conftest.py")])

LINES_AT_MOST = 500


def name_of(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def test_no_file_wants_to_be_two_rooms() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > LINES_AT_MOST} == {}


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "misc", "common"}
    assert [name_of(path) for path in MODULES if path.stem in drawers or path.parent.name in drawers] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    if path.stem.startswith("_") and path.stem not in ("__init__", "__main__"):
        pytest.skip("a private module")
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_test_files_have_names_of_their_own() -> None:
    """Without packages in tests/, pytest cannot tell two files of one name apart."""
    counts = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert [name for name, count in counts.items() if count > 1] == []
    assert [name_of(path) for path in TESTS.rglob("__init__.py")] == []


def sleeps_in(source: str) -> Iterator[int]:
    """Lines that wait for a fixed time: ``time.sleep``, ``asyncio.sleep``, under whatever name.

    ``asyncio.sleep(0)`` only lets others run and is no wait. Programs that a test starts, written as a
    string or a file of their own, may sleep: that is what they are for.
    """
    tree = ast.parse(source)
    aliases = {"time": "time", "asyncio": "asyncio"}
    functions: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases.update(
                {a.asname: a.name for a in node.names if a.asname and a.name in ("time", "asyncio")}
            )
        elif isinstance(node, ast.ImportFrom) and node.module in ("time", "asyncio"):
            functions.update(a.asname or a.name for a in node.names if a.name == "sleep")
    for node in ast.walk(tree):
        match node:
            case ast.Call(args=[ast.Constant(value=0)]):
                continue
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr="sleep")) if module in aliases:
                yield node.lineno
            case ast.Call(func=ast.Name(id=function)) if function in functions:
                yield node.lineno


@pytest.mark.parametrize("path", TEST_FILES, ids=name_of)
def test_tests_wait_for_conditions_not_for_time(path: Path) -> None:
    lines = list(sleeps_in(path.read_text(encoding="utf-8")))
    assert lines == [], "use pypm.testing.wait_until"


def test_fixed_sleeps_are_found() -> None:
    source = (
        "import time, time as clock, asyncio\nfrom time import sleep as nap\n"
        "time.sleep(1)\nclock.sleep(0.1)\nnap(2)\nawait asyncio.sleep(0.5)\n"
        "await asyncio.sleep(0)\nagent.sleep(1)\nsleep(1)\n"
    )
    assert list(sleeps_in(source)) == [3, 4, 5, 6]


def test_the_changelog_knows_this_version() -> None:
    headings = re.findall(
        r"^## \[([^\]]+)\]", (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert headings, "CHANGELOG.md has no version headings"
    assert headings[0] in ("Unreleased", pypm.__version__)


HEAVY = {
    *(
        "asyncio",
        "click",
        "cronsim",
        "dotenv",
        "msgspec",
        "prometheus_client",
        "psutil",
        "rich",
        "setproctitle",
    ),
    *("textual", "tomli_w", "watchfiles", "yaml", "zmq"),
}
LIGHT_IMPORTS: dict[str, set[str]] = {
    "import pypm": set(),
    "import pypm.__main__": set(),
    "import pypm.agent": set(),
    "from pypm.config import load": {"msgspec"},
}
"""Import -> what of the heavy it may load."""


@pytest.mark.parametrize("statement", LIGHT_IMPORTS)
def test_importing_is_cheap(statement: str) -> None:
    """The CLI answers before one notices, and an agent does not pay for pypm before it uses it."""
    heavy = HEAVY - LIGHT_IMPORTS[statement]
    program = f"import sys\n{statement}\nprint(*sorted({heavy!r} & set(sys.modules)))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=False)
    assert done.stderr == ""
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", ["scripts/run", "scripts/test", "scripts/check", ".ci/run"])
def test_scripts_can_be_run_as_they_are(name: str) -> None:
    script = CHECKOUT / name
    assert script.stat().st_mode & 0o111, f"{name} is not executable"
    shell = "bash" if "bash" in script.read_text(encoding="utf-8").splitlines()[0] else "sh"
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
