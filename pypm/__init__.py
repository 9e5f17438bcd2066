"""pypm: a process manager in pure Python for long-running AI agents."""

__version__ = "0.1.0"
