"""When an app's hooks are run, and what they are told: from what a step has changed, in one place.

``pre_stop`` is part of the stop itself (``transitions``), since the signal waits for it.
"""

from __future__ import annotations

from pypm.core.actions import Action, RunHook
from pypm.core.causes import Cause
from pypm.core.instance import Instance, RunEnd, Status
from pypm.core.policy import signal_name

__all__ = ["facts", "has_failed", "hooks_due"]

NO_FAILURE: frozenset[Cause] = frozenset(
    ("operator", "config", "schedule", "max-runtime", "reboot", "dependency")
)
"""Causes for which a run is over that has not failed; for ``dependency`` there was none."""


def hooks_due(before: Instance, after: Instance) -> list[Action]:
    """The hooks that a step has made due: it is up now, or a run of it has failed."""
    hooks = after.spec.hooks
    due: list[Action] = []
    ended = after.last if after.runs[:1] != before.runs[:1] else None
    if hooks.on_failure is not None and ended is not None:
        due += [RunHook("on_failure")] if has_failed(ended, after.spec.restart.stop_exit_codes) else []
    is_up = after.status is Status.ONLINE and before.status is not Status.ONLINE
    if hooks.post_start is not None and is_up:
        due.append(RunHook("post_start"))
    return due


def has_failed(end: RunEnd, fine_codes: tuple[int, ...] = ()) -> bool:
    """Whether a run has failed: it was not told to end, and did not end with an exit code that is fine."""
    if end.cause in NO_FAILURE:
        return False
    return end.cause != "exit" or (end.code != 0 and end.code not in fine_codes)


def facts(instance: Instance, hook: str) -> dict[str, str]:
    """What a hook is told in its environment, beside what every run of the app is told."""
    told = {
        "PYPM_EVENT": hook,
        "PYPM_STATUS": instance.status.value,
        "PYPM_REASON": _one_line(instance.reason),
    }
    run, end = instance.run, instance.last
    if hook != "on_failure":
        if run is not None:
            told |= {"PYPM_RUN_ID": run.run_id, "PYPM_PID": str(run.main_pid)}
        return told | ({"PYPM_CAUSE": instance.stop_cause} if hook == "pre_stop" else {})
    assert end is not None
    told |= {"PYPM_RUN_ID": end.run_id, "PYPM_CAUSE": end.cause, "PYPM_REASON": _one_line(end.reason)}
    if end.code is not None:
        told["PYPM_EXIT_CODE"] = str(end.code)
    if end.signal is not None:
        told["PYPM_SIGNAL"] = signal_name(end.signal)
    if end.snapshot:
        told["PYPM_REPORT"] = end.snapshot
    return told


def _one_line(text: str) -> str:
    return " ".join(text.replace("\0", " ").split())[:1000]
