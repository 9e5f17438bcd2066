"""Lives of an agent on a fake clock, as tests begin them."""

from __future__ import annotations

from itertools import pairwise

from pypm.core import events as ev
from pypm.core.spec import AppSpec, RestartPolicy
from pypm.testing import Program, Simulation

MIB = 2**20
CRASH = Program(lives=0.05, code=1)
SERVES = Program()
HOUR = 3600.0


def app(**fields: object) -> AppSpec:
    policy = {key: fields.pop(key) for key in list(fields) if key in RestartPolicy.__struct_fields__}
    return AppSpec("agent", ("/bin/agent",), "/", restart=RestartPolicy(**policy), **fields)  # type: ignore[arg-type]


def started(spec: AppSpec, *programs: Program) -> Simulation:
    life = Simulation(spec, programs)
    life.handle(ev.StartRequested())
    return life


def delays(life: Simulation) -> list[float]:
    """Seconds between one start and the next."""
    return [round(after - before, 6) for before, after in pairwise(life.starts)]
