"""What clients are shown of instances: rows and details, with what the parts of the master know of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pypm.core.instance import Instance
from pypm.core.state import App
from pypm.logs.registry import LogRegistry
from pypm.logs.trouble import LogTrouble
from pypm.master.engine import Engine
from pypm.master.rows import Detail, Moment, Row, SpecRow, make_detail, make_row, make_spec_row
from pypm.master.sampler import Sampler
from pypm.master.schedules import Schedules
from pypm.master.telemetry import RunTelemetry, Telemetry
from pypm.master.usage_rows import usage_report
from pypm.system.clock import boot_time, wall_time

__all__ = ["Views"]


class Views:
    """Makes them, each with fresh usage."""

    def __init__(
        self,
        engine: Engine,
        apps: Mapping[str, App],
        sampler: Sampler,
        schedules: Schedules,
        telemetry: Telemetry,
        logs: LogRegistry,
        logs_folder: str,
    ) -> None:
        self._engine = engine
        self._apps = apps
        self._sampler = sampler
        self._schedules = schedules
        self._telemetry = telemetry
        self._logs = logs
        self._folder = logs_folder

    def rows(self, instances: Sequence[Instance]) -> list[Row]:
        """The rows of instances."""
        moment, troubles = _now(), self._log_troubles()
        sample, next_run = self._sampler.of, self._schedules.next_run
        return [
            make_row(each, sample(each), self._folder, moment, next_run(each.id), troubles)
            for each in instances
        ]

    def spec_rows(self, instances: Sequence[Instance]) -> list[SpecRow]:
        """The rows of instances with what was declared."""
        moment, troubles = _now(), self._log_troubles()
        sample, next_run, said = self._sampler.of, self._schedules.next_run, self._telemetry_of
        return [
            make_spec_row(each, sample(each), self._folder, moment, said(each), next_run(each.id), troubles)
            for each in instances
        ]

    def details(self, instances: Sequence[Instance]) -> list[Detail]:
        """The details of instances."""
        moment, troubles = _now(), self._log_troubles()
        return [
            make_detail(
                each,
                self._sampler.of(each),
                self._folder,
                moment,
                self._apps[each.app],
                self._engine.history(each.id),
                self._telemetry_of(each),
                self._schedules.next_run(each.id),
                troubles,
                usage_report(self._sampler, each),
            )
            for each in instances
        ]

    def _telemetry_of(self, instance: Instance) -> RunTelemetry | None:
        return None if instance.run is None else self._telemetry.find(instance.run.run_id)

    def _log_troubles(self) -> dict[str, LogTrouble]:
        """What is wrong with logs now, by path: of several with a file, that for which somebody waits."""
        return {
            each.path: each for each in sorted(self._logs.troubles(), key=lambda each: each.kind == "block")
        }


def _now() -> Moment:
    return Moment(boot_time(), wall_time())
