"""``python -m pypm.master``: a master of the home that ``PYPM_HOME`` names, under a guardian."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

# asyncio works without ssl, and hashlib without OpenSSL where Python was built with hashes of its own (some
# systems' are not): each would cost every master 4 MB for nothing.
HASHES = (
    "_md5",
    "_sha1",
    "_sha3",
    "_blake2",
    *(("_sha2",) if sys.version_info >= (3, 12) else ("_sha256", "_sha512")),
)
sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]
if all(map(find_spec, HASHES)):
    sys.modules.setdefault("_hashlib", None)  # type: ignore[arg-type]


if TYPE_CHECKING:
    from pypm.master.link import GuardianLink
    from pypm.system.home import Home

YOUNG_OBJECTS = 10_000
"""How many objects come before the new ones are looked through for garbage; Python's own 700 are few."""


def main() -> int:
    """Run a master for the guardian that started it, or become that guardian; gives the exit status."""
    import os

    from pypm.core.msgspec_alone import load_msgspec

    load_msgspec()
    from pypm.core.errors import PypmError
    from pypm.guardian.guardian import REFUSED
    from pypm.master.link import GuardianLink, execute_guardian
    from pypm.system.home import Home

    home = Home.from_environment()
    link = GuardianLink.from_environment()
    if link is None:
        execute_guardian(home.path)
    try:
        _run(home, link)
    except PypmError as error:
        print(f"pypm: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return REFUSED
    except TimeoutError:
        print(f"pypm: master {os.getpid()}: the guardian hands nothing over", file=sys.stderr)
        return 1
    except (EOFError, ConnectionError):
        # Killed while we were loaded: there is nothing to take over, so all begins as with a first command.
        execute_guardian(home.path)
    return 0


def _run(home: Home, link: GuardianLink) -> None:
    import faulthandler
    import gc
    import os

    from setproctitle import setproctitle

    from pypm.guardian.child import DUMP_SIGNAL
    from pypm.master.log import open_log
    from pypm.master.main import run
    from pypm.system.signals import restore_signals
    from pypm.system.spawn import keep_passed_numbers
    from pypm.system.subreaper import become_subreaper

    faulthandler.register(DUMP_SIGNAL, all_threads=True)
    keep_passed_numbers(0)
    link.greet()
    open_log(home.master_log)
    setproctitle(f"pypm: master [{home.path}]")
    os.chdir("/")
    restore_signals()
    become_subreaper()
    # What has been loaded stays: looking through it for garbage is a fifth of what starting agents costs.
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    run(home, link)


if __name__ == "__main__":
    sys.exit(main())
