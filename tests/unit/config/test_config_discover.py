"""What of a folder looks like a program to keep running."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pypm.config.discover import candidates


def found(folder: Path) -> dict[str, str]:
    return {each.name: next(iter(each.settings.values())) for each in candidates(str(folder))}


def test_python_programs_by_their_names_and_by_their_main(tmp_path: Path) -> None:
    for name in ("worker.py", "mail_agent.py", "library.py", "setup.py", "test_worker.py", "conftest.py"):
        (tmp_path / name).write_text("x = 1\n")
    (tmp_path / "special.py").write_text("if __name__ == '__main__':\n    pass\n")
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe")
    assert found(tmp_path) == {
        "mail_agent": "mail_agent.py",
        "worker": "worker.py",
        "special": "special.py",
    }


def test_commands_of_a_project_that_are_installed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project.scripts]\nserve = "a:b"\nother = "a:c"\n')
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "serve").touch(0o755)
    assert found(tmp_path) == {"serve": ".venv/bin/serve"}


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        ({"name": "@me/web", "scripts": {"start": "node src/index.js"}}, {"web": "src/index.js"}),
        ({"name": "web", "scripts": {"start": "next start -p 80"}}, {"web": "npm start"}),
        ({"name": "web", "main": "index.js"}, {"web": "index.js"}),
        ({"name": "web", "main": "missing.js"}, {}),
        ({"scripts": {"test": "x"}}, {}),
        (["no table"], {}),
    ],
)
def test_programs_of_a_package(tmp_path: Path, package: object, expected: dict[str, str]) -> None:
    (tmp_path / "index.js").write_text("")
    (tmp_path / "package.json").write_text(json.dumps(package))
    assert found(tmp_path) == expected


@pytest.mark.parametrize("name", ["package.json", "pyproject.toml"])
def test_a_damaged_file_says_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{[")
    assert found(tmp_path) == {}
