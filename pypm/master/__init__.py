"""The master: the only place where things are wired together. ``python -m pypm.master`` runs one."""
