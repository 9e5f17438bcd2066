"""``python -I -S .../pypm/guardian/__main__.py HOME``: guard a master of this home until it is told to end.

A master whose guardian has died becomes the guardian by executing this program in its own place, with
``--holding FD``: FD is a file that names the descriptors it already has. A guardian whose program has been
replaced executes the new one in its own place, with ``--renewed FD``, after ``--check FORMAT`` has succeeded.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Without site-packages there is no pypm on the path: it is where this file is.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from pypm.core.errors import PypmError
from pypm.guardian.guardian import REFUSED, Guardian
from pypm.guardian.holdings import SUCCESSION, Holdings
from pypm.guardian.renewal import FORMAT, Inheritance
from pypm.system.home import Home
from pypm.system.limits import protect_from_oom, raise_open_files_limit
from pypm.system.lock import HomeLock
from pypm.system.sockets import bind_private, bind_private_datagrams
from pypm.system.supervised import become_main_process, hand_over, notify

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run a guardian; gives the exit status."""
    if arguments[0] == "--check":
        return 0 if arguments[1] == FORMAT else REFUSED
    home = Home(arguments[0])
    # Each instance has a handful of descriptors, which we hold and the master uses.
    raise_open_files_limit()
    protect_from_oom()
    try:
        if arguments[1:2] == ["--renewed"]:
            inheritance = Inheritance.read(int(arguments[2]))
            return Guardian(home, inheritance.holdings, inheritance=inheritance).run()
        if arguments[1:2] == ["--holding"]:
            holdings = Holdings.inherited(int(arguments[2]))
            holdings.keep(SUCCESSION)
            HomeLock(home.lock_file).sign()
            become_main_process()
            served = True
        else:
            served = False
            lock = HomeLock(home.lock_file)
            home.prepare()
            descriptor = lock.acquire()
            if descriptor is None:
                return leave_to(lock.holder(), home)
            holdings = take_home(home, descriptor)
        notify("READY=1")
        return Guardian(home, holdings, served=served).run()
    except PypmError as error:
        complain(error.message, error.hint)
        return error.exit_status
    except OSError as error:  # a full disk, for example, where its lock or its sockets are to be
        complain(f"cannot use {home.path}: {error.strerror or error}")
        return REFUSED


def take_home(home: Home, lock: int) -> Holdings:
    """Make the home, of which we have the lock, ours: its sockets.

    Raises PypmError where it cannot be used.
    """
    holdings = Holdings()
    holdings.add("lock", lock)
    holdings.add("socket", bind_private(home.socket).detach())
    holdings.add("agents", bind_private(home.agents_socket).detach())
    holdings.add("notify", bind_private_datagrams(home.notify_socket).detach())
    return holdings


def leave_to(holder: str, home: Home) -> int:
    """The home has a guardian: the service manager learns that, or that there is nothing for it to do."""
    if holder.isdecimal() and hand_over(int(holder)):
        return 0
    complain(f"{home.path} has a master already (guardian {holder or 'unknown'})")
    return REFUSED


def complain(message: str, hint: str | None = None) -> None:
    """Tell whoever started us."""
    print(f"pypm: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
