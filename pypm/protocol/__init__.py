"""What crosses the socket: methods, messages and framing, without I/O. ``docs/protocol.md`` is the prose."""
