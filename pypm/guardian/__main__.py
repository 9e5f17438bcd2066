"""``python -I -S .../pypm/guardian/__main__.py HOME``: guard a master of this home until it is told to end.

A master whose guardian has died becomes the guardian by executing this program in its own place, with
``--holding FD``: FD is a file that names the descriptors it already has.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Without site-packages there is no pypm on the path: it is where this file is.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from pypm.core.errors import PypmError
from pypm.guardian.guardian import Guardian
from pypm.guardian.holdings import Holdings
from pypm.system.home import Home
from pypm.system.lock import HomeLock
from pypm.system.sockets import bind_private

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run a guardian; gives the exit status."""
    home = Home(arguments[0])
    try:
        if arguments[1:2] == ["--holding"]:
            holdings = Holdings.inherited(int(arguments[2]))
        else:
            holdings = take_home(home)
        return Guardian(home, holdings).run()
    except PypmError as error:
        print(f"pypm: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_status


def take_home(home: Home) -> Holdings:
    """Make the home ours: its folders, its lock and its listening sockets.

    Raises PypmError where another guardian or master has it, or where it cannot be used.
    """
    home.prepare()
    lock = HomeLock(home.lock_file)
    descriptor = lock.acquire()
    if descriptor is None:
        raise PypmError(f"{home.path} has a master already (guardian {lock.holder() or 'unknown'})")
    holdings = Holdings()
    holdings.add("lock", descriptor)
    holdings.add("socket", bind_private(home.socket).detach())
    holdings.add("agents", bind_private(home.agents_socket).detach())
    return holdings


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
