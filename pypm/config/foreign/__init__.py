"""The configurations of other process managers, read into drafts of apps, for ``pypm import``.

Each module reads one format. What a line says that has an equal here becomes a key; for every other one there
is a note, above the app that it is about, so that nothing gets lost unsaid.
"""
