"""scripts/docs and what it needs: its words, and which environment is enough for whom."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from documentation import CHECKOUT

KINDS = ("base", "test", "docs")


def run(*words: str, cwd: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_it_says_how_it_is_used() -> None:
    done = run("scripts/docs", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "build/docs" in done.stdout


def test_other_words_are_wrong_usage() -> None:
    done = run("scripts/docs", "publish")
    assert (done.returncode, done.stdout) == (2, "")
    assert "build or serve" in done.stderr


@pytest.mark.parametrize("installed", KINDS)
def test_an_environment_serves_those_that_need_less(installed: str, tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "pypm").mkdir()
    (tmp_path / ".venv").mkdir()
    for file in ("scripts/environment.sh", "pyproject.toml", "pypm/__init__.py"):
        shutil.copy(CHECKOUT / file, tmp_path / file)
    asked = f"""
        . scripts/environment.sh
        venv_works() {{ true; }}
        fingerprint >.venv/.installed-{installed}
        for kind in {" ".join(KINDS)}; do
            if is_installed $kind; then echo $kind; fi
        done
    """
    done = run("sh", "-euc", asked, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.split() == list(KINDS[: KINDS.index(installed) + 1])
