"""The public test kit: a fake clock, a fake kernel with scripted programs, and ``wait_until``.

With ``Simulation`` days of an agent's life pass in milliseconds: the real state machine runs against programs
that are scripts and a clock that only the test moves.
"""

from pypm.testing.clock import FakeClock
from pypm.testing.simulation import Program, Simulation
from pypm.testing.waiting import wait_until

__all__ = ["FakeClock", "Program", "Simulation", "wait_until"]
