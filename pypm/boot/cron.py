"""cron: one ``@reboot`` line in a user's table, found again by its mark."""

from __future__ import annotations

import shlex

from pypm.boot.job import MARK, BootJob
from pypm.boot.steps import RunProgram, Step, output_of
from pypm.core.errors import RequestError

__all__ = ["install", "line_of", "path_of", "remove", "with_line", "without_line"]


def line_of(job: BootJob) -> str:
    """The line of a job. What goes wrong before the guardian can say so in its log goes there too."""
    log = shlex.quote(f"{job.home}/master.log")
    command = (
        f"umask 077; mkdir -p {shlex.quote(job.home)} && "
        f"exec {shlex.join(job.command)} </dev/null >>{log} 2>&1"
    )
    return f"@reboot {_escaped(command)} {_mark(job)}"


def with_line(table: str, job: BootJob) -> str:
    """The table with the job's line as its last one, and no older one of the same home."""
    return without_line(table, job) + line_of(job) + "\n"


def without_line(table: str, job: BootJob) -> str:
    """The table without the job's line; everything else stays as it is."""
    lines = table.splitlines(keepends=True)
    kept = "".join(line for line in lines if not line.rstrip("\n").endswith(_mark(job)))
    return kept if not kept or kept.endswith("\n") else kept + "\n"


def path_of(job: BootJob) -> None:  # noqa: ARG001 - as the other platforms have it
    """There is no file of ours: crontab(1) keeps the table."""
    return


def install(job: BootJob, *, start: bool) -> list[Step]:  # noqa: ARG001 - cron starts nothing but at boot
    """The steps that have cron start the job at boot; none when it does already."""
    table = _table(job)
    wanted = with_line(table, job)
    return [] if wanted == table else [RunProgram((*_crontab(job), "-"), wanted)]


def remove(job: BootJob) -> list[Step]:
    """The steps that undo ``install``."""
    table = _table(job)
    wanted = without_line(table, job)
    return [] if wanted == table else [RunProgram((*_crontab(job), "-"), wanted)]


def _table(job: BootJob) -> str:
    """The present table. Raises RequestError where it cannot be read: it would be lost otherwise."""
    try:
        return output_of((*_crontab(job), "-l"))
    except RequestError as error:
        if "no crontab for" in error.message.lower():
            return ""
        raise


def _crontab(job: BootJob) -> tuple[str, ...]:
    return ("crontab",) if job.user is None else ("crontab", "-u", job.user)


def _mark(job: BootJob) -> str:
    return _escaped(f"# {MARK}{job.home}")


def _escaped(text: str) -> str:
    """cron makes a line break of a bare percent sign."""
    return text.replace("%", "\\%")
