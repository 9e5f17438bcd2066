"""The table ``sandbox``."""

from __future__ import annotations

import json

import pytest

from pypm.config import load
from pypm.config import sandbox as module
from pypm.core.errors import ConfigError
from pypm.core.sandbox_spec import SandboxSpec, fault_of_sandbox
from pypm.core.spec import AppSpec


@pytest.fixture(autouse=True)
def bubblewrap(tmp_path, monkeypatch):
    """The tests of this file do not depend on whether the machine has it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bwrap").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "bwrap").chmod(0o755)
    monkeypatch.setattr(module, "TOOLS", str(tmp_path / "bin"))


@pytest.fixture
def spec_of(tmp_path):
    def declare(sandbox: object, **keys: object) -> SandboxSpec | None:
        (tmp_path / "app.py").write_text("")
        app = {"script": "app.py", "sandbox": sandbox, **keys}
        (tmp_path / "one.json").write_text(json.dumps({"apps": [app]}))
        (spec,) = load(str(tmp_path / "one.json"))
        return spec.sandbox

    return declare


@pytest.fixture
def faults_of(spec_of):
    def declare(sandbox: object, **keys: object) -> str:
        with pytest.raises(ConfigError) as caught:
            spec_of(sandbox, **keys)
        return caught.value.message

    return declare


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("protect_system", True, "yes"),
        ("protect_system", "full", "full"),
        ("protect_system", "strict", "strict"),
        ("protect_home", True, "yes"),
        ("protect_home", "read-only", "read-only"),
        ("protect_home", "tmpfs", "tmpfs"),
        ("read_only_paths", "/usr", ("/usr",)),
        ("read_write_paths", ["/usr", "-/no/such"], ("/usr", "-/no/such")),
        ("inaccessible_paths", ["/usr/"], ("/usr",)),
        ("private_tmp", True, True),
        ("privatePids", True, True),
    ],
)
def test_values(spec_of, key, value, expected):
    field = "private_pids" if key == "privatePids" else key
    assert getattr(spec_of({key: value}), field) == expected


def test_paths_are_those_below_the_folder_of_the_app(spec_of, tmp_path):
    (tmp_path / "data").mkdir()
    spec = spec_of({"read_write_paths": ["data", "-x/../y"]})
    assert spec.read_write_paths == (f"{tmp_path}/data", f"-{tmp_path}/y")


@pytest.mark.parametrize("table", [{}, {"protect_system": False, "private_tmp": False}])
def test_what_asks_for_nothing_is_no_sandbox(spec_of, table):
    assert spec_of(table) is None


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            {"protect_system": "all"},
            "sandbox.protect_system: 'all': expected true, false, 'full' or 'strict'",
        ),
        ({"protect_home": 1}, "sandbox.protect_home: 1: expected true, false"),
        ({"private_tmp": "yes"}, "sandbox.private_tmp"),
        ({"private_tpm": True}, 'sandbox.private_tpm: unknown key; did you mean "private_tmp"?'),
        ({"protect_proc": "invisible"}, "sandbox.protect_proc: bubblewrap cannot do this; private_pids"),
        ({"read_only_paths": "/no/such"}, 'sandbox.read_only_paths: /no/such is not there; "-/no/such"'),
        ({"read_only_paths": "+/usr"}, "RootDirectory"),
        ({"read_only_paths": "-"}, "the path is missing"),
        ({"read_only_paths": "/usr", "read_write_paths": "/usr"}, "sandbox: /usr is listed twice"),
        ({"inaccessible_paths": "/"}, "sandbox.inaccessible_paths: without /"),
        (
            {"inaccessible_paths": "/usr", "read_only_paths": "/usr/bin"},
            "sandbox.read_only_paths: /usr/bin is below /usr of inaccessible_paths",
        ),
        (
            {"protect_home": True, "read_only_paths": "-/root/agent"},
            "sandbox.read_only_paths: protect_home = true hides /root/agent",
        ),
        (True, "sandbox: true is true or false: expected a table such as [apps.sandbox]"),
    ],
)
def test_faults(faults_of, table, expected):
    assert expected in faults_of(table)


def test_a_sandbox_is_ended_as_a_whole(faults_of):
    assert "treekill: false is not possible" in faults_of({"private_tmp": True}, treekill=False)


def test_without_bubblewrap_the_file_is_refused(faults_of, monkeypatch):
    monkeypatch.setattr(module, "TOOLS", "/nowhere")
    assert "sandbox: it needs bubblewrap" in faults_of({"private_tmp": True})


@pytest.mark.parametrize("probe", [{"http": "http://127.0.0.1:1/"}, {"tcp": "127.0.0.1:1"}])
def test_a_probe_that_cannot_reach_it_is_refused(faults_of, probe):
    told = faults_of({"private_network": True}, health={"readiness": probe})
    assert "health.readiness: sandbox.private_network: nobody outside can reach its network" in told


@pytest.mark.parametrize("probe", [{"tcp": "unix:/run/a.sock"}, {"file": "/run/beat"}])
def test_a_probe_by_the_file_system_reaches_it(spec_of, probe):
    assert spec_of({"private_network": True}, health={"readiness": probe}).private_network


def test_what_a_client_may_not_send():
    def fault_of(**fields: object) -> str:
        return fault_of_sandbox(AppSpec("a", ("/bin/true",), "/", sandbox=SandboxSpec(**fields)))  # type: ignore[arg-type]

    assert "no absolute path" in fault_of(read_only_paths=("etc",))
    assert "no absolute path" in fault_of(read_only_paths=("/etc/../x",))
    assert "NUL" in fault_of(read_only_paths=("/a\0b",))
    assert fault_of(read_only_paths=("-/etc",)) == ""
