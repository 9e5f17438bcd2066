"""The output of what ``pypm start --foreground`` starts, as it comes to the logs."""

from __future__ import annotations

import os
import sys
from typing import Any

from pypm.cli.log_options import template_printer, wants_colour
from pypm.cli.log_printers import JsonPrinter, Look, PrefixPrinter, flush
from pypm.cli.output import FORM
from pypm.cli.start_plan import Plan
from pypm.core.spec import instance_name
from pypm.logs.follow import Follower
from pypm.logs.lines import Chunk, Stamps
from pypm.logs.paths import log_files
from pypm.logs.picking import Picker, Query
from pypm.logs.reader import read_tail
from pypm.logs.view import Printer, Source

__all__ = ["Echo"]


class Echo:
    """Prints what comes to the logs of ``plan``'s instances from now on, each line with its instance.

    With ``as_json`` each line is a JSON object, as of ``pypm logs --json``, or has the form of ``--format``.
    Made before anything is started, so that the first line is not lost and no old one is shown.
    """

    def __init__(self, plan: Plan, rows: list[dict[str, Any]], home: str, *, as_json: bool = False) -> None:
        sources = [*_declared(plan, os.path.join(home, "logs")), *_known(plan, rows)]
        self._printer = _printer(as_json)
        self._printer.prepare(source.name for source in sources)
        self._follower: Follower[Source] = Follower()
        for source in {source.file: source for source in sources}.values():
            self._follower.add(source, source.file, read_tail(source.file, 0).position)

    def poll(self) -> bool:
        """Print what has come; tell whether anything has."""
        return self._print(self._follower.poll())

    def finish(self) -> None:
        """Print all that is left, also a last line without an end."""
        while self.poll():
            pass
        self._print(self._follower.flush())
        self._follower.close()

    def _print(self, came: list[tuple[Source, Chunk]]) -> bool:
        for source, chunk in came:
            for stamped in Stamps().of(chunk):
                for batch in Picker(Query(), source.date_format).pick(stamped):
                    self._printer.show(source, batch)
        flush()
        return bool(came)


def _printer(as_json: bool) -> Printer:
    look = Look(colour=wants_colour(), terminal=sys.stdout.isatty())
    if FORM.template is not None:
        return template_printer(FORM.template, look)
    return JsonPrinter() if as_json else PrefixPrinter(look)


def _declared(plan: Plan, logs_folder: str) -> list[Source]:
    """Give the logs of what will be declared; the index stands for the id, which is not known yet."""
    sources: list[Source] = []
    for spec in plan.specs:
        for index in range(spec.instances):
            files = log_files(logs_folder, spec, index)
            name = spec.name if spec.logs.merge else instance_name(spec.name, index, spec.instances)
            streams = (("out", files.out), ("error", files.error))
            form = spec.logs.date_format if spec.logs.form == "text" else None
            sources += [Source(name, stream, file or "", index, spec.name, form) for stream, file in streams]
    return [source for source in sources if source.file]


def _known(plan: Plan, rows: list[dict[str, Any]]) -> list[Source]:
    return [
        Source(row["name"], stream, row[f"{stream}_file"], row["id"])
        for row in plan.rows(rows)
        for stream in ("out", "error")
        if row[f"{stream}_file"]
    ]
