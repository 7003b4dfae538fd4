"""Everything that a walk works with, handed in as one value: the site, the engine, the edge, the database, time."""

from __future__ import annotations

import threading
import time

from msgspec import Struct, field

from graasp_local.observation import observe
from graasp_local.planning.states import ObservedState
from graasp_local.ports.data import Databases, Transfers
from graasp_local.ports.handovers import Handovers
from graasp_local.ports.old_connections import OldConnections
from graasp_local.ports.servers import Servers
from graasp_local.ports.walk import Clock, Database, Edge, Engine, Interruption
from graasp_local.site import Site


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class InterruptionFlag(Struct):
    """Set by a signal handler, looked at by the walk. What is done to end well is not interrupted any more."""

    _asked: threading.Event = field(default_factory=threading.Event)
    _ending: threading.Event = field(default_factory=threading.Event)

    @property
    def requested(self) -> bool:
        return self._asked.is_set() and not self.is_ending

    @property
    def is_ending(self) -> bool:
        """The walk puts the site back, because of a request or because something failed."""
        return self._ending.is_set()

    def request(self) -> None:
        self._asked.set()

    def acknowledge(self) -> None:
        self._ending.set()


class World(Struct, frozen=True):
    """What effects are done with; in unit tests each part is a fake."""

    site: Site
    engine: Engine
    edge: Edge
    database: Database
    clock: Clock
    interruption: Interruption
    databases: Databases
    transfers: Transfers
    servers: Servers
    handovers: Handovers
    old_connections: OldConnections

    def observe(self) -> ObservedState:
        """The site as it is just now: one listing of containers, and one request to the gate if nginx is up."""
        return observe(self.engine.see, self.edge.gate)
