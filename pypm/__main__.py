"""Where ``pypm`` and ``python -m pypm`` begin."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line in ``sys.argv``; give its exit status."""
    try:
        return _run()
    except KeyboardInterrupt:  # while modules were being imported, which is the longest part of many commands
        return 130


def _run() -> int:
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
