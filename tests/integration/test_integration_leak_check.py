"""The ``home`` fixture finds, ends and reports what a test leaves running."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LEAKS = {
    "environment": "subprocess.Popen(['sleep', '300'], stdout=DEVNULL, stderr=DEVNULL)",
    "open file": "subprocess.Popen(['sleep', '300'], env={}, stdout=open(home / 'log', 'w'), stderr=DEVNULL)",
}


def run_test_that_says(statement: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one test under our conftest.py; it executes ``statement`` and prints the pid of ``child``."""
    shutil.copy(Path(__file__).parents[1] / "conftest.py", folder)
    (folder / "test_leaving.py").write_text(
        "import subprocess\n"
        "from subprocess import DEVNULL\n"
        "def test_leaving(home):\n"
        f"    child = {statement}\n"
        "    print('home', home, 'pid', child.pid, flush=True)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def runs(pid: str) -> bool:
    """Whether the process is alive; one that nobody has waited for yet (a zombie) has no command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("statement", LEAKS.values(), ids=LEAKS.keys())
def test_a_process_left_in_the_home_is_killed_and_fails_the_test(statement: str, tmp_path: Path) -> None:
    done = run_test_that_says(statement, tmp_path)
    assert done.returncode == 1, done.stdout
    words = done.stdout.split()
    home, pid = words[words.index("home") + 1], words[words.index("pid") + 1]
    assert f"{pid}: sleep 300" in done.stdout.split("left running:")[1]
    assert not runs(pid)
    assert not os.path.exists(home)


def test_a_process_that_has_ended_is_no_leak(tmp_path: Path) -> None:
    done = run_test_that_says("subprocess.Popen(['true']); child.wait()", tmp_path)
    assert done.returncode == 0, done.stdout
