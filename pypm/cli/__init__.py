"""The command line: a file a verb. ``quick`` answers the read-only verbs before click is imported."""
