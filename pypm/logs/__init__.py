"""One log: where it is, writing and rotating it, reading its end, following it.

``paths`` names the files, ``writer`` and ``registry`` write and rotate them, ``pump`` moves bytes from a pipe
into them, ``rotation`` knows the rotated files beside a log, ``catalog`` finds the files of every known
instance in the state file.

Reading needs no master: ``listing`` finds a log's files, ``spans`` which bytes of them are asked for,
``lines`` reads these, ``parse``, ``failures`` and ``picking`` choose among the lines, ``history`` puts that
together and merges several logs; ``follow`` reads what is added, when ``watch`` (by ``inotify``) tells that
there is something.
"""
