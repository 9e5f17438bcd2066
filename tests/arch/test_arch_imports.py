"""The import rule of docs/design.md, section 4, read from the source of every module."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[2] / "pypm"

ABOVE_MASTER = {"agent", "core", "config", "protocol", "logs", "system", "guardian"}

ALLOWED_ROOMS: dict[str, set[str]] = {
    "agent": set(),
    "core": set(),
    "config": {"core"},
    "protocol": {"core"},
    "logs": {"core"},
    "system": {"core", "protocol"},  # protocol: where the sockets of a home are
    "boot": {"core"},
    "guardian": {"system", "core"},
    "master": ABOVE_MASTER,
    "client": {"protocol", "core", "config", "logs"},
    "cli": {"client", "config", "logs", "boot", "protocol", "core", "tui"},  # tui: `pypm monit` shows it
    "tui": {"client", "config", "logs", "protocol", "core"},  # config: units
    "web": {"client", "logs", "protocol", "core"},
    "testing": {"core", "system"},
    "__main__": {"cli", "client"},  # `python -m pypm`, the door to the CLI
    "": {"client"},  # pypm/__init__.py, which everybody pays for: only where the name is asked for
}
"""Room -> the rooms it may import, besides itself."""

NOTHING_OF_PYPM = {"agent", "core"}
"""Rooms that may not even read ``pypm.__version__``."""

ALLOWED_PACKAGES: dict[str, set[str]] = {
    "agent": {"zmq"},
    "core": {"msgspec"},
    "config": {"msgspec", "yaml", "dotenv", "cronsim", "tomli_w"},
    "protocol": {"msgspec"},
    "logs": {"msgspec"},
    "guardian": set(),
    "": set(),
}
"""Room -> the packages from PyPI it may use; a room that is not here may use any.

Where they may be loaded at import is measured in test_arch_house, not read here."""

FORBIDDEN_STANDARD: dict[str, set[str]] = {
    "core": {
        *(
            "asyncio",
            "concurrent",
            "glob",
            "http",
            "io",
            "logging",
            "multiprocessing",
            "os",
            "pathlib",
            "random",
        ),
        *(
            "secrets",
            "select",
            "selectors",
            "shutil",
            "socket",
            "sqlite3",
            "subprocess",
            "tempfile",
            "threading",
        ),
        *("time", "urllib", "uuid"),
    },
    "guardian": {"asyncio"},
}
"""Room -> modules of the standard library that it must do without, wherever the import stands."""


class Import(NamedTuple):
    """One imported module: its dotted name and the line."""

    module: str
    line: int


def violations(sources: Mapping[str, str]) -> list[str]:
    """Check modules, given as dotted name (``pypm.core.__init__`` for a package) -> source."""
    found = []
    for name, source in sorted(sources.items()):
        room = room_of(name)
        if room not in ALLOWED_ROOMS:
            found.append(f"{name}: {room!r} is not a room of docs/design.md section 4")
            continue
        for imported in imports_of(name, source):
            complaint = complaint_about(room, imported)
            if complaint:
                found.append(f"{name}:{imported.line}: imports {imported.module}: {complaint}")
    return found


def room_of(name: str) -> str:
    """``pypm.core.spec`` -> ``core``; ``pypm.__init__`` -> the empty string."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] != "__init__" else ""


def complaint_about(room: str, imported: Import) -> str | None:
    top = imported.module.partition(".")[0]
    if top == "pypm":
        return complaint_about_room(room, room_of(imported.module))
    if top in sys.stdlib_module_names:
        return f"{room} does without {top}" if top in FORBIDDEN_STANDARD.get(room, ()) else None
    return None if top in ALLOWED_PACKAGES.get(room, {top}) else f"{room or 'pypm'} does without {top}"


def complaint_about_room(room: str, target: str) -> str | None:
    if target == room or target in ALLOWED_ROOMS[room] or (not target and room not in NOTHING_OF_PYPM):
        return None
    return f"{room or 'pypm'} may import {', '.join(sorted(ALLOWED_ROOMS[room])) or 'nothing of pypm'}"


def imports_of(name: str, source: str) -> Iterator[Import]:
    """Every import of a module: statements, wherever they stand, and ``import_module("…")``."""
    package = name.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        for module in modules_of(node, package):
            yield Import(module, getattr(node, "lineno", 0))


def modules_of(node: ast.AST, package: str) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            parents = package.split(".")
            base = [] if level == 0 else parents[: len(parents) - level + 1]
            source = ".".join([*base, *([module] if module else [])])
            # `from pypm import core` imports a room; `from pypm import __version__` a name.
            if source == "pypm":
                return [f"pypm.{a.name}" if a.name in ALLOWED_ROOMS else "pypm" for a in names]
            return [source]
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(module)), *_],
        ):
            return [module]
    return []


def sources_of_pypm() -> dict[str, str]:
    return {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in PACKAGE.rglob("*.py")
    }


def test_imports_go_down_the_list_only() -> None:
    sources = sources_of_pypm()
    assert "pypm.core.spec" in sources
    assert violations(sources) == []


def test_every_folder_of_the_package_is_a_room() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert folders <= set(ALLOWED_ROOMS)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pypm.core.machine", "import pypm.logs"),
        ("pypm.core.machine", "from pypm import system"),
        ("pypm.core.machine", "from pypm import __version__"),
        ("pypm.core.machine", "from ..master import engine"),
        ("pypm.core.__init__", "from ..config import toml"),
        ("pypm.core.machine", "def f():\n    import time"),
        ("pypm.core.machine", "from os.path import join"),
        ("pypm.core.machine", "import yaml"),
        ("pypm.cli.start", "from pypm.master.main import run"),
        ("pypm.cli.start", "def f():\n    from pypm.master import main"),
        ("pypm.cli.start", "import importlib\nimportlib.import_module('pypm.master')"),
        ("pypm.tui.app", "if True:\n    import pypm.master"),
        ("pypm.web.app", "from pypm.config import toml"),
        ("pypm.agent.channel", "from pypm.core import spec"),
        ("pypm.agent.channel", "def f():\n    import msgspec"),
        ("pypm.config.yaml", "import click"),
        ("pypm.logs.writer", "def f():\n    import rich"),
        ("pypm.system.spawn", "from pypm.master import engine"),
        ("pypm.guardian.__main__", "import asyncio"),
        ("pypm.guardian.__main__", "from pypm.master import main"),
        ("pypm.client.connection", "from pypm.cli import output"),
        ("pypm.__init__", "from pypm.core import spec"),
        ("pypm.utils", "import json"),
    ],
)
def test_a_wrong_import_is_reported(module: str, source: str) -> None:
    found = violations({module: source})
    assert len(found) == 1, found
    assert found[0].startswith(module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pypm.core.machine", "import msgspec\nfrom pypm.core.spec import AppSpec\nfrom . import events"),
        ("pypm.agent.channel", "import os, json\ndef f():\n    import zmq"),
        ("pypm.config.yaml", "def f():\n    import yaml"),
        ("pypm.master.main", "import asyncio\nfrom pypm import core, config, logs, system, __version__"),
        ("pypm.cli.version", "from pypm import __version__\nimport click"),
        ("pypm.__main__", "def main():\n    from pypm.cli import application"),
    ],
)
def test_a_right_import_is_not(module: str, source: str) -> None:
    assert violations({module: source}) == []
