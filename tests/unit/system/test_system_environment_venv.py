"""A virtual environment is put first in PATH when the run begins, not when the file is read."""

from msgspec.structs import replace

from pypm.core.spec import AppSpec
from pypm.system.environment import build_environment

SPEC = AppSpec(name="a", command=("/bin/true",), cwd="/", env={"VIRTUAL_ENV": "/v"})


def test_its_folder_is_first_in_the_inherited_path():
    assert build_environment(SPEC, 0, {"PATH": "/usr/bin"}, {})["PATH"] == "/v/bin:/usr/bin"


def test_a_declared_path_is_left_alone():
    spec = replace(SPEC, env={"VIRTUAL_ENV": "/v", "PATH": "/mine"})
    assert build_environment(spec, 0, {"PATH": "/usr/bin"}, {})["PATH"] == "/mine"


def test_an_inherited_virtual_env_changes_nothing():
    env = build_environment(replace(SPEC, env={}), 0, {"PATH": "/usr/bin", "VIRTUAL_ENV": "/v"}, {})
    assert env["PATH"] == "/usr/bin"
