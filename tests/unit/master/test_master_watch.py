"""Which changes of files restart an app."""

from __future__ import annotations

from pathlib import Path

import pytest

from pypm.core.spec import WatchSpec
from pypm.master.watch import ignored_by, shortened


@pytest.mark.parametrize(
    ("path", "is_ignored"),
    [
        ("agent.py", False),
        ("src/deep/prompt.txt", False),
        ("agent.pyc", True),
        (".git/index", True),
        ("src/__pycache__/agent.cpython-311.pyc", True),
        (".venv/lib/x.py", True),
        ("out.log", True),
        ("out.log.1", True),
        (".agent.py.swp", True),
        ("4913", True),
        ("data/cache.bin", True),
        ("notes/today.md", True),
        ("notes/keep.md", False),
        ("work/state.json", True),
        ("own-out.txt.3", True),
    ],
)
def test_what_is_left_out(tmp_path: Path, path: str, is_ignored: bool) -> None:
    (tmp_path / ".gitignore").write_text("data/\nnotes/*\n!notes/keep.md\n")
    watch = WatchSpec((str(tmp_path),), ("work/",))
    ignored = ignored_by(watch, [str(tmp_path / "own-out.txt")])
    assert ignored(str(tmp_path / path)) is is_ignored


def test_a_watched_file_is_itself(tmp_path: Path) -> None:
    watch = WatchSpec((str(tmp_path / "prompt.txt"), str(tmp_path / "src")))
    ignored = ignored_by(watch, [])
    assert not ignored(str(tmp_path / "prompt.txt"))
    assert not ignored(str(tmp_path / "src" / "a.py"))
    assert ignored("/elsewhere/a.py")


def test_a_path_as_a_person_sees_it() -> None:
    assert shortened("/srv/app/src/a.py", ["/srv/app", "/srv"]) == "src/a.py"
    assert shortened("/srv/a.py", ["/srv/a.py"]) == "/srv/a.py"
