"""``python -m pypm.master``: run the master of the home that ``PYPM_HOME`` names, in the foreground."""

from __future__ import annotations

import sys

# asyncio works without ssl, which would cost every master 4 MB for nothing.
sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]


def main() -> int:
    """Run a master; returns the exit status."""
    import os
    import resource

    from setproctitle import setproctitle

    from pypm.core.errors import PypmError
    from pypm.master.log import open_log
    from pypm.master.main import run
    from pypm.system.home import Home
    from pypm.system.lock import HomeLock
    from pypm.system.signals import restore_signals
    from pypm.system.subreaper import become_subreaper

    home = Home.from_environment()
    try:
        home.prepare()
        lock = HomeLock(home.lock_file)
        if not lock.acquire():
            raise PypmError(f"{home.path} has a master already (pid {lock.holder() or 'unknown'})")
        open_log(home.master_log)
        setproctitle(f"pypm: master [{home.path}]")
        os.chdir("/")
        # Each instance has a handful of descriptors: take what the machine allows.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        restore_signals()
        become_subreaper()
        run(home)
    except PypmError as error:
        print(f"pypm: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
