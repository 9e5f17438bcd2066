"""``pypm monit``: the screen of a person who is on call. Textual is loaded by ``screen.py`` only."""
