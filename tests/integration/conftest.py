"""Real masters, and the programs of examples/, for the tests of this folder."""

from example_programs import model, run
from real_pypm import pypm

__all__ = ["model", "pypm", "run"]
