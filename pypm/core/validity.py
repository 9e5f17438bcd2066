"""What every app spec has to be, whoever made it: the master runs none that is not."""

from __future__ import annotations

from signal import Signals

from pypm.core.addresses import fault_of_sockets
from pypm.core.date_format import DateFormatError, compile_date_format
from pypm.core.hook_validity import fault_of_hooks
from pypm.core.limit_validity import fault_of_limits
from pypm.core.probe_validity import fault_of_probes
from pypm.core.redaction import RedactionError, check_redactions
from pypm.core.rule_validity import fault_of_rules
from pypm.core.sandbox_spec import fault_of_sandbox
from pypm.core.secret_sources import fault_of_secrets
from pypm.core.spec import (
    LEAST_LINE,
    MOST_INSTANCES,
    MOST_LINE,
    AppSpec,
    HealthSpec,
    LogSpec,
    ScheduleSpec,
)

__all__ = ["fault_of"]

READY_NUMBERS = range(3, 10)


def fault_of(spec: AppSpec) -> str:
    """Say what is wrong with ``spec`` in a way that would harm the master; empty if nothing is.

    Files are config's business: it names the place of a fault in them, and knows more kinds of faults.
    """
    if not spec.name or not spec.name.isprintable() or any(sign in spec.name for sign in "/:"):
        return "the name is empty, or has a slash, a colon or a sign that does not print"
    if not spec.command or not spec.command[0].startswith("/") or not spec.cwd.startswith("/"):
        return "the command and the folder have to be absolute paths"
    if not 1 <= spec.instances <= MOST_INSTANCES:
        return f"{spec.instances} instances; 1 to {MOST_INSTANCES} are possible"
    if spec.kill_signal not in Signals.__members__:
        return f"there is no signal {spec.kill_signal}"
    if any("\0" in word for word in (*spec.command, spec.cwd, *spec.env.values(), *spec.secrets.values())):
        return "there is a NUL in its command, folder or environment"
    if any(not name or "\0" in name or "=" in name for name in (*spec.env, *spec.secrets)):
        return "a variable of its environment has no name, or one with = or NUL in it"
    if spec.ready_fd is not None and spec.ready_fd not in READY_NUMBERS:
        return f"the descriptor {spec.ready_fd} cannot tell that it is ready; 3 to 9 can"
    policy = spec.restart
    times = (spec.kill_timeout, spec.listen_timeout, spec.min_uptime, policy.delay, policy.backoff)
    if any(time is not None and not 0 <= time < float("inf") for time in times):
        return "one of its durations is negative or no number"
    faults = (
        fault_of_hooks(spec.hooks),
        fault_of_sockets(spec.sockets, spec.ready_fd),
        _fault_of_health(spec.health),
        fault_of_probes(spec),
        fault_of_limits(spec),
        fault_of_secrets(spec.secrets),
        fault_of_sandbox(spec),
    )
    if fault := next(filter(None, faults), "") or fault_of_rules(policy.rules):
        return fault
    return _fault_of_schedule(spec.schedule) or _fault_of_bounds(spec.logs) or _fault_of_form(spec.logs)


def _fault_of_schedule(schedule: ScheduleSpec | None) -> str:
    """What is wrong with when it runs."""
    if schedule is None:
        return ""
    if (schedule.cron is None) == (schedule.every is None):
        return "its schedule needs either a cron line or an interval"
    every = 1.0 if schedule.every is None else schedule.every
    timeout = 1.0 if schedule.timeout is None else schedule.timeout
    endless = float("inf")
    if not (1.0 <= every < endless and 0.0 <= schedule.jitter < endless and 0.0 < timeout < endless):
        return "one of the durations of its schedule is too short, or no number"
    return ""


def _fault_of_bounds(logs: LogSpec) -> str:
    """What is wrong with how much of its logs is kept."""
    if min(logs.max_size, logs.retain, logs.total_size) < 0:
        return "one of the sizes of its logs, or their number, is negative"
    if any(age is not None and not 0 < age < float("inf") for age in (logs.max_age, logs.retain_age)):
        return "one of the ages of its logs is not above zero"
    return ""


def _fault_of_health(health: HealthSpec) -> str:
    """What is wrong with the clocks and the ladders."""
    rungs = (*health.on_startup, *health.on_heartbeat, *health.on_stall, *health.on_liveness)
    times = (health.heartbeat_timeout, health.progress_timeout, health.max_extension)
    if any(
        time is not None and not 0 <= time < float("inf")
        for time in (*times, *(each.after for each in rungs))
    ):
        return "one of the durations of its health is negative or no number"
    if any(each.action == "signal" and each.signal not in Signals.__members__ for each in rungs):
        return "one of the signals of its health does not exist"
    return ""


def _fault_of_form(logs: LogSpec) -> str:
    """What is wrong with the form of its records."""
    if not LEAST_LINE <= logs.max_line <= MOST_LINE:
        return f"lines of at most {logs.max_line} bytes; {LEAST_LINE} to {MOST_LINE} are possible"
    if logs.redact and logs.form == "raw":
        return 'nothing can be masked in logs of the form "raw"'
    try:
        check_redactions(logs.redact)
        if logs.date_format is not None:
            compile_date_format(logs.date_format)
    except (RedactionError, DateFormatError) as error:
        return f"the form of its logs: {error}"
    return ""
