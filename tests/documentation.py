"""The documentation as its tests read it: pages, what links lead to, and blocks of code."""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from functools import cache
from pathlib import Path
from types import ModuleType

CHECKOUT = Path(__file__).parents[1]
DOCS = CHECKOUT / "docs"
WRITTEN = sorted([*DOCS.rglob("*.md"), *CHECKOUT.glob("*.md"), CHECKOUT / "benchmarks" / "README.md"])
"""The pages that people have written."""

FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


@cache
def reference() -> ModuleType:
    """scripts/reference.py, which makes the pages below docs/reference."""
    spec = importlib.util.spec_from_file_location("reference", CHECKOUT / "scripts" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def made(address: str) -> str:
    """The text of a page that is made from the code, by its address below docs/."""
    text: str = reference().PAGES[address]()
    return text


def name_of(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of code in a language."""
    return [match[2] for match in FENCED.finditer(page.read_text(encoding="utf-8")) if match[1] == language]


def without_code(text: str) -> str:
    """What of a page is neither a block of code nor a word of it."""
    kept = [line for line in FENCED.sub("", text).splitlines() if not line.startswith("    ")]
    return re.sub(r"`[^`\n]*`", "``", "\n".join(kept))


def headings(text: str) -> list[str]:
    """The headings of a page, without marks."""
    found = re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE)
    return [re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading) for heading in found]


def anchors_of_the_site(text: str) -> set[str]:
    """The anchors that mkdocs gives the headings."""
    plain = (
        unicodedata.normalize("NFKD", each).encode("ascii", "ignore").decode() for each in headings(text)
    )
    words = (re.sub(r"[^\w\s-]", "", each).strip().lower() for each in plain)
    return {re.sub(r"[-\s]+", "-", each) for each in words}


def anchors_of_github(text: str) -> set[str]:
    """The anchors that GitHub gives them, where the same files are read."""
    return {re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in headings(text)}
