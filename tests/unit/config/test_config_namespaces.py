"""``[namespaces.NAME.limits]``: what the apps of a namespace may use together."""

from __future__ import annotations

import pytest

from pypm.config import load
from pypm.core.errors import ConfigError
from pypm.core.limit_validity import fault_of_limits
from pypm.core.spec import AppSpec, NamespaceLimits

APPS = """
[[apps]]
name = "a"
command = "/bin/true"
namespace = "team"
[[apps]]
name = "b"
command = "/bin/true"
"""


def load_text(folder, text: str, name: str = "ecosystem.toml", **options) -> list[AppSpec]:
    (folder / name).write_text(text)
    return load(str(folder / name), **options)


def faults(folder, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_text(folder, text)
    return caught.value.message


def test_the_apps_of_the_namespace_know_its_limits(tmp_path):
    text = APPS + '[namespaces.team.limits]\nmemory = "2G"\ntasks = 500\ncpu_max = "150%"\n'
    team, other = load_text(tmp_path, text)
    assert team.namespace_limits == NamespaceLimits(2 * 1024**3, 500, 1.5)
    assert other.namespace_limits is None
    (only,) = load_text(tmp_path, text, only=["a"])
    assert only == team


def test_formats_of_pm2_can_have_them_too(tmp_path):
    apps = '"apps": [{"name": "a", "command": "/bin/true"}]'
    text = "{" + apps + ', "namespaces": {"default": {"limits": {"tasks": 9}}}}'
    (app,) = load_text(tmp_path, text, "ecosystem.json")
    assert app.namespace_limits == NamespaceLimits(tasks=9)


@pytest.mark.parametrize("text", ["[namespaces.team]\n", "[namespaces.team.limits]\n"])
def test_a_namespace_without_limits_is_no_fault(tmp_path, text):
    assert [app.namespace_limits for app in load_text(tmp_path, APPS + text)] == [None, None]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[namespaces.taem.limits]\nmemory = "1G"\n',
            'namespaces.taem: no app of the file is in this namespace; did you mean "team"?',
        ),
        (
            "[namespaces.team.limits]\nmemroy = 1\n",
            'namespaces.team.limits.memroy: unknown key; did you mean "memory"?',
        ),
        (
            "[namespaces.team.limits]\ncpus = 2\n",
            'namespaces.team.limits.cpus: unknown key; did you mean "cpu_max"?',
        ),
        (
            "[namespaces.team.limits]\ncpu = 50\n",
            'a namespace can have memory, tasks, cpu_max, enforce; did you mean "cpu_max"?',
        ),
        (
            "[namespaces.team.limits]\nnice = 3\n",
            "namespaces.team.limits.nice: a namespace can have memory, tasks",
        ),
        ("[namespaces.team.limits]\ntasks = 0\n", "namespaces.team.limits.tasks: 0: expected a whole number"),
        (
            "[namespaces.team.limit]\ntasks = 4\n",
            'namespaces.team.limit: unknown key; did you mean "limits"?',
        ),
        ("[namespaces]\nteam = 3\n", "namespaces.team: 3 is a number"),
    ],
)
def test_faults_name_the_place(tmp_path, text, words):
    assert words in faults(tmp_path, APPS + text)


def test_namespaces_are_a_table(tmp_path):
    assert "namespaces: 3 is a number" in faults(tmp_path, "namespaces = 3\n" + APPS)


@pytest.mark.parametrize(
    "limits", [NamespaceLimits(memory=0), NamespaceLimits(tasks=0), NamespaceLimits(cpu_max=0.0)]
)
def test_what_no_machine_can_hold_to_is_a_fault_whoever_says_it(limits):
    assert fault_of_limits(AppSpec("a", ("/bin/true",), "/", namespace_limits=limits)) != ""
