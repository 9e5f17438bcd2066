"""What of a folder looks like a program to keep running, for a first ecosystem file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Candidate", "candidates"]

MOST = 8
LARGEST = 1024 * 1024
"""Bytes of a file that is looked into."""
NOT_MEANT = re.compile(
    r"(setup|conftest|noxfile|manage|fabfile|tasks|__init__|__main__)\.py|test_.*|.*_test\.py"
)
USUAL = re.compile(
    r"(main|app|agent|worker|server|bot|run|service|crew|graph)\.py|.*_(agent|worker|server|bot)\.py"
)
"""Names under which people keep what is to run."""
HAS_MAIN = re.compile(r"^if __name__ == ['\"]__main__['\"]", re.MULTILINE)


class Candidate(NamedTuple):
    """A program that could be an app."""

    name: str
    settings: dict[str, Any]
    """Keys of an ecosystem file that say what runs."""
    why: str
    """How it was found, for people."""


def candidates(folder: str) -> list[Candidate]:
    """The programs of the folder, the likeliest first; each name once."""
    sources: tuple[Callable[[str], list[Candidate]], ...] = (
        _scripts_of_project,
        _python_files,
        _node_scripts,
    )
    found: dict[str, Candidate] = {}
    for source in sources:
        for candidate in source(folder):
            found.setdefault(candidate.name, candidate)
    return list(found.values())[:MOST]


def _python_files(folder: str) -> list[Candidate]:
    names = sorted(
        name for name in os.listdir(folder) if name.endswith(".py") and not NOT_MEANT.fullmatch(name)
    )
    usual = [name for name in names if USUAL.fullmatch(name)]
    others = [name for name in names if name not in usual and HAS_MAIN.search(_text(folder, name))]
    return [
        Candidate(name.removesuffix(".py"), {"script": name}, _python_of(folder))
        for name in (*usual, *others)
    ]


def _python_of(folder: str) -> str:
    if os.path.isfile(os.path.join(folder, ".venv", "bin", "python")):
        return "runs under .venv, unbuffered"
    return "runs under python3, or a .venv beside it once there is one"


def _scripts_of_project(folder: str) -> list[Candidate]:
    """The commands that pyproject.toml declares and that are installed in .venv."""
    import tomllib

    try:
        project = tomllib.loads(_text(folder, "pyproject.toml")).get("project", {})
    except tomllib.TOMLDecodeError:
        return []
    scripts = project.get("scripts", {}) if isinstance(project, dict) else {}
    return [
        Candidate(name, {"command": f".venv/bin/{name}"}, "a command of pyproject.toml")
        for name in scripts
        if os.access(os.path.join(folder, ".venv", "bin", name), os.X_OK)
    ]


def _node_scripts(folder: str) -> list[Candidate]:
    """The script `start` of package.json, without npm where it is a plain call of node; or its main file."""
    try:
        package = json.loads(_text(folder, "package.json") or "{}")
    except ValueError:
        return []
    if not isinstance(package, dict):
        return []
    scripts = package.get("scripts")
    start = scripts.get("start") if isinstance(scripts, dict) else None
    name = str(package.get("name") or os.path.basename(folder)).rpartition("/")[2] or "app"
    if isinstance(start, str) and re.fullmatch(r"node [\w./-]+\.[cm]?js", start):
        return [Candidate(name, {"script": start.removeprefix("node ")}, "`start` of package.json")]
    if isinstance(start, str):
        return [Candidate(name, {"command": "npm start"}, f"`start` of package.json: {start}")]
    main = package.get("main")
    if isinstance(main, str) and os.path.isfile(os.path.join(folder, main)):
        return [Candidate(name, {"script": main}, "`main` of package.json")]
    return []


def _text(folder: str, name: str) -> str:
    """What a file says; empty where it cannot be read."""
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return file.read(LARGEST)
    except (OSError, UnicodeDecodeError):
        return ""
