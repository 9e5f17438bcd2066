"""Every link in the documentation leads somewhere, on the site and on GitHub; the site has every page."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from documentation import (
    CHECKOUT,
    DOCS,
    FENCED,
    WRITTEN,
    anchors_of_github,
    anchors_of_the_site,
    made,
    name_of,
    reference,
    without_code,
)

LINK = re.compile(r"\]\(([^)\s]+)\)")
MADE = sorted(reference().PAGES)


def links(text: str) -> Iterator[str]:
    return (link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link))


def faults_of(text: str, page: Path) -> Iterator[str]:
    """The links of a page, whose code is taken out already, that lead nowhere."""
    for link in links(text):
        file, _, anchor = link.partition("#")
        target = Path(os.path.normpath(page.parent / file)) if file else page
        if not target.exists():
            yield f"{link}: no such file"
        elif anchor:
            there = target.read_text(encoding="utf-8")
            if anchor not in anchors_of_the_site(there) & anchors_of_github(there):
                yield f"{link}: no such heading"


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(faults_of(without_code(page.read_text(encoding="utf-8")), page)) == []


@pytest.mark.parametrize("page", [page for page in WRITTEN if DOCS in page.parents], ids=name_of)
def test_pages_of_the_site_link_within_it(page: Path) -> None:
    """A page of the site that leads out of docs/ leads nowhere for its reader."""
    targets = [link.partition("#")[0] for link in links(without_code(page.read_text(encoding="utf-8")))]
    outside = [each for each in targets if each and DOCS not in (page.parent / each).resolve().parents]
    assert outside == []


@pytest.mark.parametrize("address", MADE)
def test_links_of_the_pages_that_are_made_lead_somewhere(address: str) -> None:
    text = made(address)
    page = DOCS / address
    to_others = "".join(f"]({link})" for link in links(text) if not link.startswith("#"))
    assert list(faults_of(to_others, page)) == []
    own = {link[1:] for link in links(text) if link.startswith("#")}
    assert own <= anchors_of_the_site(text)


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One thing\n")
    text = "[a](#one-thing) [b](#other) [c](none.md) [d](page.md#one-thing) [e](https://example.org/x)"
    assert list(faults_of(text, page)) == ["#other: no such heading", "none.md: no such file"]


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_lists_begin_after_an_empty_line(page: Path) -> None:
    """GitHub forgives it; on the site such a list is a paragraph."""
    lines = FENCED.sub("", page.read_text(encoding="utf-8")).splitlines()
    glued = [
        line
        for before, line in pairwise(lines)
        if re.match(r"- |\d+\. ", line) and before and not re.match(r"- |\d+\. |  ", before)
    ]
    assert glued == []


def leaves(nav: Any) -> Iterator[str]:
    """The pages of a navigation."""
    if isinstance(nav, str):
        yield nav
    for each in nav if isinstance(nav, list) else nav.values() if isinstance(nav, dict) else ():
        yield from leaves(each)


def test_the_navigation_names_every_page_once() -> None:
    settings = yaml.safe_load((CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = Counter(leaves(settings["nav"]))
    assert named == Counter([*(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")), *MADE])


def test_the_site_is_made_by_the_hook() -> None:
    settings = yaml.safe_load((CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert settings["hooks"] == ["scripts/reference.py"]
    assert settings["strict"] is True
