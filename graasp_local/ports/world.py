"""Everything an operation works with, passed in as one value: the site, the engine, the edge, the database, time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from graasp_local.clock import Clock, Interruption
from graasp_local.planning.states import ObservedState
from graasp_local.ports.checks import Checks
from graasp_local.ports.containers import Containers
from graasp_local.ports.data import Databases, Transfers
from graasp_local.ports.database import Database
from graasp_local.ports.gate import Edge, GateControl, Prober
from graasp_local.ports.handovers import Handovers
from graasp_local.ports.images import Images
from graasp_local.ports.migration import Migrations
from graasp_local.ports.observation import observe
from graasp_local.ports.old_connections import OldConnections
from graasp_local.ports.servers import Servers
from graasp_local.site.site import Site


class Engine(Containers, Images, GateControl, Migrations, Checks, Protocol):
    """Everything an operation needs from an engine. Callers ask for the part they need."""


class World(Struct, frozen=True):
    """The means of every effect; in unit tests each part is a fake."""

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
    prober: Callable[[], Prober]
    """Makes a prober, which sends requests to the site as visitors do."""
    with_site: Callable[[Site], World]
    """The same world, around the same site with other settings."""

    @property
    def containers(self) -> Containers:
        return self.engine

    @property
    def images(self) -> Images:
        return self.engine

    @property
    def gate_control(self) -> GateControl:
        return self.engine

    @property
    def migrations(self) -> Migrations:
        return self.engine

    @property
    def checks(self) -> Checks:
        return self.engine

    def observe(self) -> ObservedState:
        """The site as it is now: one listing of containers, and one request to the gate if nginx is up."""
        return observe(self.containers.observe, self.edge.gate, page_when_stopped=self.site.settings.page_when_stopped)
