"""Where ``pypm`` and ``python -m pypm`` begin."""

from __future__ import annotations

import gc
import sys

__all__ = ["main"]

YOUNG_OBJECTS = 50_000
"""How many objects come before garbage is looked for: importing alone makes more than Python's own 700."""


def main() -> int:
    """Run the command line in ``sys.argv``; give its exit status."""
    try:
        return _run()
    except KeyboardInterrupt:  # while modules were being imported, which is the longest part of many commands
        return 130


def _run() -> int:
    gc.set_threshold(YOUNG_OBJECTS)
    from pypm.cli.output import guarded, prepare_streams
    from pypm.cli.quick import run_quickly

    prepare_streams()
    status = guarded(run_quickly, sys.argv[1:])
    if status is not None:
        return status
    from pypm.cli.main import run

    return guarded(run, sys.argv[1:]) or 0


if __name__ == "__main__":
    sys.exit(main())
