"""The checks that every app spec passes before the master runs it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from pypm.core.spec import AppSpec, CpuLimit, LimitSpec, LogSpec, RestartPolicy
from pypm.core.validity import fault_of

GOOD = AppSpec(name="a", command=("/bin/sleep", "1"), cwd="/tmp", env={"A": "b=c"})


def test_a_good_spec_has_no_fault() -> None:
    assert fault_of(GOOD) == ""


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "a:0"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"command": ()}, "absolute"),
        ({"command": ("sleep",)}, "absolute"),
        ({"command": ("/bin/echo", "\0")}, "NUL"),
        ({"cwd": "tmp"}, "absolute"),
        ({"logs": LogSpec(redact=("a",))}, "masked"),
        ({"logs": LogSpec(form="text", redact=("[",))}, "no regular expression"),
        ({"logs": LogSpec(form="text", redact=("ENV:",))}, "names no variable"),
        ({"logs": LogSpec(form="text", date_format="Q")}, "not known"),
        ({"logs": LogSpec(form="text", max_line=0)}, "0 bytes"),
        ({"ready_fd": 2}, "descriptor 2"),
        ({"ready_fd": 10}, "descriptor 10"),
        ({"instances": 0}, "instances"),
        ({"instances": 10_001}, "instances"),
        ({"kill_signal": "SIGNONSENSE"}, "SIGNONSENSE"),
        ({"env": {"A": "\0"}}, "NUL"),
        ({"env": {"A=B": ""}}, "variable"),
        ({"env": {"": ""}}, "variable"),
        ({"kill_timeout": -0.1}, "duration"),
        ({"listen_timeout": float("nan")}, "duration"),
        ({"restart": RestartPolicy(delay=float("inf"))}, "duration"),
        ({"limits": LimitSpec(memory_warn=-1)}, "levels of memory"),
        ({"limits": LimitSpec(memory_high_signal="SIGNONSENSE")}, "SIGNONSENSE"),
        ({"limits": LimitSpec(cpu=CpuLimit(0.0))}, "percent"),
        ({"limits": LimitSpec(cpu=CpuLimit(50.0, float("nan")))}, "percent"),
        ({"limits": LimitSpec(max_runtime=0.0)}, "max_runtime"),
        ({"limits": LimitSpec(max_runtime=9.0, recycle_grace=float("inf"))}, "max_runtime"),
    ],
)
def test_what_would_harm_the_master_is_a_fault(wrong: dict[str, Any], word: str) -> None:
    assert word in fault_of(replace(GOOD, **wrong))
