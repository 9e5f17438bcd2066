"""Speak to the master: find the home, connect, ask; start a master when there is none."""
