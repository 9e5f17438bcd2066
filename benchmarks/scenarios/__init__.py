"""What is measured, one scenario a file, each with a function ``run(bench) -> Report``."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.report import Report
from benchmarks.scenarios import (
    adoption,
    agent_calls,
    agent_days,
    cli_latency,
    crash_storm,
    daemon_kill9,
    heartbeats,
    idle_cost,
    jlist,
    log_flood,
    log_forms,
    log_reader_stopped,
    log_since,
    log_throughput,
    master_killed,
    memory_growth,
    monit,
    orphans,
    probes,
    reload,
    restart_all,
    restart_latency,
    sampling,
    spawn_limits,
    start_n,
    stop_n,
    stuck_agents,
)

__all__ = ["SCENARIOS"]

SCENARIOS: dict[str, Callable[[Bench], Report]] = {
    "restart_latency": restart_latency.run,
    "start_n": start_n.run,
    "spawn_limits": spawn_limits.run,
    "stop_n": stop_n.run,
    "restart_all": restart_all.run,
    "reload": reload.run,
    "cli_latency": cli_latency.run,
    "jlist": jlist.run,
    "monit": monit.run,
    "idle_cost": idle_cost.run,
    "sampling": sampling.run,
    "memory_growth": memory_growth.run,
    "crash_storm": crash_storm.run,
    "log_throughput": log_throughput.run,
    "log_forms": log_forms.run,
    "log_flood": log_flood.run,
    "log_reader_stopped": log_reader_stopped.run,
    "log_since": log_since.run,
    "orphans": orphans.run,
    "master_killed": master_killed.run,
    "adoption": adoption.run,
    "agent_calls": agent_calls.run,
    "daemon_kill9": daemon_kill9.run,
    "agent_days": agent_days.run,
    "stuck_agents": stuck_agents.run,
    "probes": probes.run,
    "heartbeats": heartbeats.run,
}
