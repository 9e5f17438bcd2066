"""Where we are in the hierarchy of cgroup version 2, on machines of all kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from pypm.system.cgroup import Place, find_place

MACHINES = Path(__file__).parent / "cgroup"
USER = "/sys/fs/cgroup/user.slice/user-1000.slice"

EXPECTED = {
    "hybrid-root": Place("hybrid", "/sys/fs/cgroup/unified"),
    "unified-session": Place("unified", f"{USER}/session-3.scope"),
    "unified-delegated": Place("unified", f"{USER}/user@1000.service/app.slice/pypm.service"),
    "unified-container": Place("unified", "/sys/fs/cgroup"),
    "container-host-path": Place("unified", "/sys/fs/cgroup two/init"),
    "legacy": Place("none", ""),
    "openrc-hybrid": Place("hybrid", "/sys/fs/cgroup/unified/sshd"),
    "outside-namespace": Place("unified", ""),
}


@pytest.mark.parametrize("machine", EXPECTED)
def test_the_place_in_the_hierarchy_is_found(machine: str) -> None:
    folder = MACHINES / machine
    assert (
        find_place((folder / "mountinfo").read_text(), (folder / "cgroup").read_text()) == EXPECTED[machine]
    )


def test_every_recorded_machine_is_tested() -> None:
    assert {path.name for path in MACHINES.iterdir() if path.is_dir()} == set(EXPECTED)


@pytest.mark.parametrize(
    "mountinfo", ["", "nonsense\n", "1 2 3:4 / / rw - \n", "30 23 0:26 / /x rw - cgroup2\n"]
)
def test_what_cannot_be_read_is_no_hierarchy(mountinfo: str) -> None:
    assert find_place(mountinfo, "").folder == ""
