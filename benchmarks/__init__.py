"""pypm measured against the bare machine and against other process managers: ``python -m benchmarks``."""
