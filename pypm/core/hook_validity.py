"""What the hooks of an app have to be."""

from __future__ import annotations

from pypm.core.spec import Hooks

__all__ = ["fault_of_hooks"]


def fault_of_hooks(hooks: Hooks) -> str:
    """What is wrong with the commands that are run beside an app's runs; empty if nothing is."""
    for hook in (hooks.post_start, hooks.pre_stop, hooks.on_failure):
        if hook is None:
            continue
        if not hook.command or not hook.command[0].startswith("/") or "\0" in "".join(hook.command):
            return "the command of a hook has to begin with an absolute path, and to be without NUL"
        if not 0 < hook.timeout < float("inf"):
            return "the timeout of a hook is not above zero, or no number"
    return ""
