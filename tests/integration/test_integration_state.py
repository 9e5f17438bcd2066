"""What a master leaves to the next one: everything that was declared, and nothing that was deleted."""

from __future__ import annotations

from real_pypm import RealPypm, sleeper


def test_what_was_deleted_is_unknown_to_the_next_master(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"), sleeper("w", instances=2))
    pypm.ok("delete", "w")
    assert [app["spec"]["name"] for app in pypm.state()["apps"]] == ["a"]
    assert [instance["app"] for instance in pypm.state()["instances"]] == ["a"]
    pypm.terminate_master()
    pypm.ok("list")
    assert [row["name"] for row in pypm.rows()] == ["a"]
