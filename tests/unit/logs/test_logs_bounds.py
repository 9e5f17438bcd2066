from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pypm.logs.bounds import KeptLog, deletions, next_expiry, to_compress
from pypm.logs.rotation import Generation

SECOND = 1_000_000_000


def log(name: str, *files: tuple[float, int], **rules: object) -> KeptLog:
    """A log of files, oldest first, as (seconds of last change, size); the last one is the current."""
    generations = tuple(
        Generation(
            f"{name}.{number}" if number else name, number, (1, hash(name) + number), size, int(at * SECOND)
        )
        for number, (at, size) in zip(range(len(files) - 1, -1, -1), files, strict=True)
    )
    return KeptLog(name, generations, **rules)


def gone(
    logs: list[KeptLog], app_sizes: dict[str, int] | None = None, home: int = 0, now: float = 100.0
) -> list[str]:
    return [f"{each.file.path} {each.reason}" for each in deletions(logs, app_sizes or {}, home, now)]


def test_the_newest_are_retained() -> None:
    files = [(1.0, 5), (2.0, 5), (3.0, 5), (4.0, 5)]
    assert gone([log("a", *files, retain=1)]) == ["a.3 retain", "a.2 retain"]
    assert gone([log("a", *files, retain=3)]) == []
    assert gone([log("a", *files, retain=0)]) == ["a.3 retain", "a.2 retain", "a.1 retain"]
    assert gone([log("a", *files)]) == []


def test_the_old_go_and_the_current_stays_however_old() -> None:
    a = log("a", (10.0, 5), (90.0, 5), (1.0, 5), retain_age=20.0)
    assert gone([a]) == ["a.2 retain_age"]
    assert gone([a], now=1000.0) == ["a.2 retain_age", "a.1 retain_age"]
    assert next_expiry([a]) == 30.0
    assert next_expiry([log("a", (1.0, 5), retain_age=20.0), log("b", (1.0, 1), (2.0, 1))]) is None


def test_the_oldest_of_an_app_go_first_whichever_log_they_are_of() -> None:
    a = log("a", (1.0, 10), (4.0, 10), (9.0, 10), app="x")
    b = log("b", (2.0, 10), (3.0, 10), (9.0, 10), app="x")
    other = log("c", (0.5, 10), (9.0, 10), app="y")
    assert gone([a, b, other], {"x": 60, "y": 0}) == []
    assert gone([a, b, other], {"x": 35}) == ["a.2 total_size", "b.2 total_size", "b.1 total_size"]
    # What is written now is not deleted, even if it is too much by itself.
    assert gone([a, other], {"x": 5}) == ["a.2 total_size", "a.1 total_size"]


def test_the_home_is_bounded_after_the_apps_and_with_what_nobody_writes_any_more() -> None:
    a = log("a", (1.0, 10), (9.0, 10), app="x", retain=0)
    left = log("left", (2.0, 10), (9.0, 10))
    own = log("master.log", (3.0, 10), (9.0, 10))
    assert gone([a, left, own], {"x": 5}, home=45) == ["a.1 retain", "left.1 home"]


def test_no_gap_is_made_in_a_log_whose_times_are_out_of_order() -> None:
    touched = log("a", (50.0, 10), (1.0, 10), (60.0, 10), app="x")
    assert gone([touched], {"x": 25}) == ["a.2 total_size"]


FILES = st.lists(st.tuples(st.floats(0, 99), st.integers(0, 50)), min_size=1, max_size=6)


@given(st.lists(FILES, max_size=4), st.integers(1, 300), st.integers(1, 300))
def test_within_bounds_or_nothing_left_to_delete(
    logs: list[list[tuple[float, int]]], app: int, home: int
) -> None:
    kept = [log(str(number), *files, app="x") for number, files in enumerate(logs)]
    out = {each.file.path for each in deletions(kept, {"x": app}, home, 100.0)}
    left = [file for each in kept for file in each.generations if file.path not in out]
    assert sum(file.size for file in left) <= min(app, home) or all(file.number == 0 for file in left)
    for each in kept:  # what is left of a log is its end
        numbers = [file.number for file in each.generations if file.path not in out]
        assert numbers == list(range(len(numbers) - 1, -1, -1))


def test_what_is_rotated_and_plain_is_compressed_oldest_first() -> None:
    files = (
        Generation("a.2.gz", 2, (1, 1), 5, SECOND, "gzip"),
        Generation("a.1", 1, (1, 2), 5, 3 * SECOND),
        Generation("a", 0, (1, 3), 5, 4 * SECOND),
    )
    a = KeptLog("a", files, compress="gzip")
    b = log("b", (2.0, 5), (9.0, 5), compress="zstd")
    never = log("c", (0.0, 5), (9.0, 5))
    assert [(file.path, kind) for file, kind in to_compress([a, b, never])] == [
        ("b.1", "zstd"),
        ("a.1", "gzip"),
    ]
