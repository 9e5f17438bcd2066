"""Carries out what the core orders beside the runs: looks, reports, hooks, and what is told."""

from __future__ import annotations

import logging

from pypm.core.actions import Action, AskToShed, Forget, Gather, ReadLog, RunHook, Snapshot, Tell
from pypm.core.instance import Instance
from pypm.master.actions import MEMORY_PRESSURE, Actions
from pypm.master.event_log import EventLog
from pypm.master.evidence import Witness
from pypm.master.hooks import HookRunner
from pypm.master.log_search import LogSearch
from pypm.master.reports import Reports

__all__ = ["Observer"]

log = logging.getLogger(__name__)


class Observer:
    """Looks at runs (``witness``) and into logs (``search``), makes ``reports``, tells ``events``."""

    def __init__(
        self,
        witness: Witness,
        reports: Reports,
        search: LogSearch,
        hooks: HookRunner,
        events: EventLog,
        actions: Actions,
    ) -> None:
        self._witness = witness
        self._reports = reports
        self._search = search
        self._hooks = hooks
        self._events = events
        self._actions = actions

    def perform(self, instance: Instance, action: Action) -> None:
        """Carry out one action."""
        match action:
            case Gather():
                self._witness.gather(instance, first=action.first)
            case Snapshot():
                self._reports.make(instance, action.why)
            case Tell():
                run_id = None if instance.run is None else instance.run.run_id
                facts = {"name": instance.name, "id": instance.id, "run_id": run_id}
                self._events.record(action.what, **facts, reason=action.why)
            case ReadLog():
                self._search.read(instance, action.patterns)
            case AskToShed():
                if self._actions.tell(instance, MEMORY_PRESSURE):
                    log.info("%s: asked to give memory back", instance.name)
            case RunHook():
                self._hooks.run(instance, action.hook)
            case Forget():
                self._witness.forget(instance.id)
                self._events.record("instance.deleted", name=instance.name, id=instance.id)

    def close(self) -> None:
        """Begin nothing more."""
        self._reports.close()
