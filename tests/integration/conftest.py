"""Real masters for the tests of this folder."""

from real_pypm import pypm

__all__ = ["pypm"]
