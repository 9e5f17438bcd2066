"""Work that takes too long is ended; a process that is not let run is not to blame."""

from __future__ import annotations

import re
import signal
import subprocess

import pytest

from pypm.system.time_limit import time_limit

ENDLESS = re.compile(r"(a+)+$")


def test_what_does_not_end_is_ended() -> None:
    with pytest.raises(TimeoutError, match=r"longer than 0\.05 s"), time_limit(0.05):
        ENDLESS.match("a" * 60 + "b")


def test_time_in_which_nothing_could_be_done_does_not_count() -> None:
    """As on a machine that gives its time to others."""
    with time_limit(0.5):
        subprocess.run(["sleep", "1"], check=True)


def test_nothing_is_left_of_it() -> None:
    before = signal.getsignal(signal.SIGPROF)
    with time_limit(5.0):
        pass
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGPROF) == before
