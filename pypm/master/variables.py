"""What pypm tells a run in its environment about its place and about the run before (docs/ecosystem.md)."""

from __future__ import annotations

import os

from pypm.core.instance import Instance
from pypm.core.policy import signal_name
from pypm.logs.paths import file_stem

__all__ = ["history_variables", "state_folder"]

LONGEST_REASON = 1000


def state_folder(home: str, instance: Instance) -> str:
    """The folder in which an instance keeps what its next run needs; its agent makes it when it needs it.

    It goes by app and index and not by the instance's name, which changes when the app is scaled.
    """
    return os.path.join(home, "agents", f"{file_stem(instance.app)}-{instance.index}")


def history_variables(instance: Instance) -> dict[str, str]:
    """How often the instance was restarted, and how its last run ended."""
    variables = {"PYPM_RESTARTS": str(instance.restarts)}
    last = instance.last
    if last is None:
        return variables
    reason = " ".join(last.reason.replace("\0", " ").split())
    variables["PYPM_LAST_CAUSE"] = last.cause
    variables["PYPM_LAST_REASON"] = reason[:LONGEST_REASON]
    if last.code is not None:
        variables["PYPM_LAST_EXIT_CODE"] = str(last.code)
    if last.signal is not None:
        variables["PYPM_LAST_SIGNAL"] = signal_name(last.signal)
    if last.run_id:
        variables["PYPM_LAST_RUN_ID"] = last.run_id
    return variables
