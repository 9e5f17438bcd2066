"""The kernel's side, one facility a file: clocks, files, locks, spawning, reaping, signals, process trees."""
