"""The process managers that are measured, one a file."""

from __future__ import annotations

from benchmarks.peers.bare import Bare
from benchmarks.peers.base import Peer
from benchmarks.peers.circus import Circus
from benchmarks.peers.pm2 import Pm2
from benchmarks.peers.pypm import Pypm
from benchmarks.peers.runit import Runit
from benchmarks.peers.s6 import S6
from benchmarks.peers.supervisor import Supervisor

__all__ = ["ALL_PEERS", "OTHER_PEERS"]

ALL_PEERS: dict[str, type[Peer]] = {
    peer.name: peer for peer in (Bare, Pypm, Pm2, Supervisor, Circus, Runit, S6)
}
OTHER_PEERS = tuple(name for name in ALL_PEERS if name not in {Bare.name, Pypm.name})
