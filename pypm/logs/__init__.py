"""One log: where it is, writing and rotating it, reading its end, following it.

``paths`` names the files, ``writer`` and ``registry`` write and rotate them, ``pump`` moves bytes from a pipe
into them, ``rotation`` knows the rotated files beside a log, ``reader`` and ``follow`` read without a master,
``catalog`` finds the files of every known instance in the state file.
"""
