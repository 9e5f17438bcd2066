"""How much an app may use before something follows, as an ecosystem file says it."""

from __future__ import annotations

import pytest

from pypm.core.spec import CpuLimit

MIB = 1024**2


@pytest.mark.parametrize(
    ("limits", "warn", "high"),
    [
        ({"memory": "100M", "memory_warn": "70%"}, 70 * MIB, None),
        ({"memory": "100M", "memory_warn": "60M", "memory_high": "62.5 %"}, 60 * MIB, int(62.5 * MIB)),
        ({"memory": "100M", "memory_warn": 0, "memory_high": False}, 0, 0),
        ({"memory_high": "1G"}, None, 1024 * MIB),
        ({"memory": "100M"}, None, None),
    ],
)
def test_levels_of_memory_are_sizes_or_parts_of_the_limit(spec_of, limits, warn, high):
    spec = spec_of(limits=limits)
    assert (spec.limits.memory_warn, spec.limits.memory_high) == (warn, high)


def test_a_part_is_one_of_pm2s_limit_as_well(spec_of):
    spec = spec_of(max_memory_restart="200M", limits={"memory_warn": "50%"})
    assert spec.limits.memory_warn == 100 * MIB


@pytest.mark.parametrize(
    ("limits", "fault"),
    [
        ({"memory_warn": "80%"}, "limits.memory_warn: is a part of the limit, but there is none"),
        ({"memory": "1G", "memory_warn": "120%"}, "limits.memory_warn: "),
        ({"memory": "1G", "memory_warn": "much%"}, "limits.memory_warn: "),
        ({"memory": "1G", "memory_warn": True}, "limits.memory_warn: "),
        ({"memory": "1G", "memory_high": "2G"}, "limits.memory_high: is more than the limit"),
        ({"memory_warn": "2G", "memory_high": "1G"}, "limits.memory_warn: is more than memory_high"),
        ({"memory_high_signal": "SIGUSR1"}, "limits.memory_high_signal: needs a limit"),
        ({"memory": "1G", "memory_high_signal": "SIGNONE"}, "limits.memory_high_signal: "),
        ({"cpu": {"percent": 90, "during": "5m"}}, 'limits.cpu: "during" is no part of it'),
        ({"cpu": {"for": "5m"}}, "limits.cpu: it has no percent: expected such as"),
        ({"cpu": {"percent": -1}}, "limits.cpu: "),
        ({"cpu": {"percent": 90, "for": "10ms"}}, "limits.cpu: that is too short"),
        ({"cpu": {"percent": 90, "action": "kill"}}, "limits.cpu: "),
        ({"cpu": "inf"}, "limits.cpu: "),
        ({"max_runtime": "never"}, "limits.max_runtime: "),
        ({"runtime_jitter": "5m"}, "limits.runtime_jitter: there is no max_runtime"),
        ({"recycle_grace": "5m"}, "limits.recycle_grace: there is no max_runtime"),
    ],
)
def test_what_makes_no_sense_is_refused(faults_of, limits, fault):
    assert fault in faults_of(limits=limits)


@pytest.mark.parametrize(
    ("written", "cpu"),
    [
        (90, CpuLimit(90.0)),
        ("150%", CpuLimit(150.0)),
        ({"percent": "90%", "for": "30s", "action": "restart"}, CpuLimit(90.0, 30.0, "restart")),
        (0, None),
        (False, None),
    ],
)
def test_how_much_of_the_processor_for_how_long(spec_of, written, cpu):
    assert spec_of(limits={"cpu": written}).limits.cpu == cpu


def test_how_old_a_run_becomes(spec_of):
    limits = spec_of(limits={"max_runtime": "1d", "runtime_jitter": "1h", "recycle_grace": "30m"}).limits
    assert (limits.max_runtime, limits.runtime_jitter, limits.recycle_grace) == (86400.0, 3600.0, 1800.0)
    assert spec_of(limits={"max_runtime": 0}).limits.max_runtime is None
