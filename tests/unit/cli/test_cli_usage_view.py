"""What ``describe`` and ``why`` tell of what an instance uses."""

from __future__ import annotations

from pypm.cli.usage_view import (
    age_in_words,
    cpu_limit_in_words,
    levels_in_words,
    memory_in_words,
    most_in_words,
    usage_fields,
)
from pypm.core.spec import AppSpec, CpuLimit, LimitSpec

MIB = 2**20


def detail(**usage: object) -> dict[str, object]:
    return {"spec": {"max_memory": 100 * MIB}, "memory_bytes": 40 * MIB, "usage": {"interval": 10.0, **usage}}


def test_the_past_is_a_line_of_blocks_with_its_gaps_and_its_peak() -> None:
    memory = [20 * MIB, None, 40 * MIB, 80 * MIB]
    fields = dict(usage_fields(detail(memory=memory, cpu=[0.0, None, 100.0, 50.0])))
    assert fields["memory"] == "▃ ▅█  peak 80M in the last 40s"
    assert fields["cpu"] == "▁ █▅  peak 100.0% in the last 40s"


def test_an_hour_fits_into_a_line_and_no_peak_is_lost() -> None:
    memory = [10 * MIB] * 360
    memory[101] = 90 * MIB
    line = dict(usage_fields(detail(memory=memory, cpu=[])))["memory"]
    blocks, _, rest = line.partition("  ")
    assert len(blocks) == 60
    assert blocks.count("█") == 1
    assert blocks.index("█") == 101 // 6
    assert rest == "peak 90M in the last 1h"


def test_what_does_next_to_nothing_has_no_peaks() -> None:
    fields = dict(usage_fields(detail(memory=[MIB, MIB], cpu=[0.1, 0.2])))
    assert fields["cpu"].startswith("▁▁ ")
    assert fields["memory"].startswith("▁▁ ")


def test_where_nothing_is_known_nothing_is_said() -> None:
    assert usage_fields({"usage": {"interval": 10.0, "memory": [], "cpu": []}}) == []
    assert usage_fields({}) == []
    assert memory_in_words({"spec": {}, "memory_bytes": MIB}) == ""


def test_a_leak_says_when_it_reaches_its_limit() -> None:
    leak = detail(memory_slope=MIB / 60, reaches_limit_in_seconds=840.0)
    assert dict(usage_fields(leak))["going on"] == "memory grows by 1M a minute, and reaches its limit in 14m"
    assert memory_in_words(leak) == "40M of 100M, reaches its limit in 14m"
    falls = detail(memory_slope=-MIB / 60, reaches_limit_in_seconds=None)
    assert dict(usage_fields(falls))["going on"] == "memory falls by 1M a minute"
    assert memory_in_words(falls) == ""
    assert memory_in_words({**detail(), "memory_bytes": 85 * MIB}) == "85M of 100M"


def test_what_it_uses_now() -> None:
    now = {"processes": 3, "threads": 9, "descriptors": 12, "proportional_bytes": 5 * MIB}
    fields = usage_fields(detail(**now, read_bytes=0, written_bytes=2048))
    assert fields == [
        ("shared once", "5M"),
        ("processes", "3, with 9 threads"),
        ("open files", "12"),
        ("disk", "0B read, 2K written"),
    ]
    assert ("processes", "1, with 1 thread") in usage_fields(detail(processes=1, threads=1))


def test_limits_in_words() -> None:
    limits = LimitSpec(memory_warn=70 * MIB, memory_high=80 * MIB, memory_high_signal="SIGUSR1")
    spec = AppSpec("a", ("/a",), "/", max_memory=100 * MIB, limits=limits)
    assert levels_in_words(spec) == "told at 70M, asked to give back at 80M (SIGUSR1), restarted above 100M"
    assert levels_in_words(AppSpec("a", ("/a",), "/")) == ""
    assert cpu_limit_in_words(CpuLimit(90.0)) == "told when above 90% of a core for 5m"
    bound = LimitSpec(tasks=10, cpu_max=1.5, enforce="best_effort")
    assert most_in_words(AppSpec("a", ("/a",), "/", limits=bound)) == [
        ("cpu max", "150% of a core, where the machine can do that"),
        ("tasks", "at most 10 processes and threads"),
    ]
    aged = AppSpec("a", ("/a",), "/", limits=LimitSpec(max_runtime=86400.0, runtime_jitter=3600.0))
    assert age_in_words(aged) == "renewed after 1d and up to 1h more, at most 10m later if it is busy"
