"""What a person's words for instances mean."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pypm.core.errors import NotFoundError, UsageError
from pypm.core.targets import match, nearest


@dataclass
class Entry:
    id: int
    name: str
    app: str
    namespace: str = "default"


WEB0 = Entry(0, "web:0", "web", "front")
WEB1 = Entry(1, "web:1", "web", "front")
WORKER = Entry(2, "worker", "worker")
SEVEN = Entry(3, "7", "7")
FRONT = Entry(7, "work[x]", "work[x]", "back")
ENTRIES = [WEB0, WEB1, WORKER, SEVEN, FRONT]


@pytest.mark.parametrize(
    ("targets", "found"),
    [
        (["all"], ENTRIES),
        (["worker"], [WORKER]),
        (["web"], [WEB0, WEB1]),
        (["web:1"], [WEB1]),
        (["2"], [WORKER]),
        (["7"], [SEVEN]),  # a name that is a number comes before an id
        ([":7"], [FRONT]),  # and this is an id
        (["front"], [WEB0, WEB1]),
        (["default"], [WORKER, SEVEN]),
        (["w*"], [WEB0, WEB1, WORKER, FRONT]),
        (["*:0"], [WEB0]),
        (["work[x]"], [FRONT]),  # a name that looks like a glob is a name
        (["work??"], [WORKER]),
        (["/^w.b/"], [WEB0, WEB1]),
        (["/:1$/"], [WEB1]),
        (["worker", "web:0", "0", "w*"], [WEB0, WEB1, WORKER, FRONT]),  # each once, in their order
        ([], []),
    ],
)
def test_targets(targets: list[str], found: list[Entry]) -> None:
    assert match(targets, ENTRIES) == found


@pytest.mark.parametrize(
    "target", ["wrker", "99", ":99", ":x", "/^nothing/", "x*", "-1", "", "all ", "//", "Web"]
)
def test_what_names_nothing_is_an_error(target: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        match(["worker", target], ENTRIES)
    assert repr(target) in caught.value.message
    assert caught.value.hint


def test_all_of_nothing_is_nothing() -> None:
    assert match(["all"], []) == []


def test_a_bad_expression_is_the_callers_mistake() -> None:
    with pytest.raises(UsageError, match=r"/\(/ is not a regular expression"):
        match(["/(/"], ENTRIES)


def test_the_nearest_names() -> None:
    assert nearest("wrker", ENTRIES).startswith("did you mean worker")
    assert nearest("zzz", ENTRIES) == "there are: 7, web, work[x], worker"
    assert nearest("x", []) == "there are no apps yet; start one with: pypm start FILE"
    many = [Entry(index, f"app{index:02}", f"app{index:02}") for index in range(20)]
    assert nearest("zzz", many).endswith(" …")
