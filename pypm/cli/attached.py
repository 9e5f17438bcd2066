"""``--attach``: what follows the logs of what was started, restarted or reloaded."""

from __future__ import annotations

from pypm.core.errors import UsageError

__all__ = ["check_attach", "follow"]


def check_attach(attach: bool, as_json: bool) -> None:
    """Raise UsageError where what follows would not be JSON."""
    if attach and as_json:
        raise UsageError("--attach goes with neither --json nor --format")


def follow(targets: list[str], status: int) -> int:
    """Follow logs until Ctrl-C; gives ``status``, that of what went before."""
    from pypm.cli.main import run

    run(["logs", *targets])
    return status
