"""The kinds of step that replace what serves visitors without closing the gate.

A second container of each such service, the handover, serves while the service itself is recreated. plan_rolling.py
decides when that is done, operations/steps/rolling.py does it. Pure.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from msgspec.structs import replace

from graasp_local.planning.planned import Ahead, PlannedStep
from graasp_local.planning.states import Health, ObservedService, ServiceGroup, Status
from graasp_local.version import Version
from graasp_local.wording import listed


class Side(StrEnum):
    """Where nginx routes visitors to: the services themselves, or the handover that stands in for them."""

    SERVICES = "services"
    HANDOVER = "handover"


class StartHandover(PlannedStep, frozen=True):
    """Start a second container of each of these services, of the version, and wait until it is healthy.

    No visitor is routed to it yet. One of this version that is already running is kept.
    """

    version: Version
    services: tuple[str, ...]
    cause: str
    name: ClassVar[str] = "start-handover"

    @property
    def title(self) -> str:
        seconds = " and a second ".join(self.services)
        return f"Start a second {seconds} of {self.version} as a stand-in and wait until healthy"

    def leads_to(self, site: Ahead) -> Ahead:
        on = (Status.RUNNING, Health.HEALTHY)
        seconds = (ObservedService(s, ServiceGroup.GRAASP, *on, version=str(self.version)) for s in self.services)
        return replace(site, observed=replace(site.observed, handovers=tuple(seconds)))


class ProveSide(PlannedStep, frozen=True):
    """Ask core on one side directly, past nginx's routing, for its version and database; None accepts any version."""

    side: Side
    version: Version | None
    cause: str

    @property
    def name(self) -> str:
        return f"prove-{self.side}"

    @property
    def title(self) -> str:
        if self.version is None:
            return f"Verify that {_CORE_OF[self.side]} and its database answer"
        return f"Verify that {_CORE_OF[self.side]} answers as {self.version}"


class LeadVisitors(PlannedStep, frozen=True):
    """Have nginx route every new request to this side; requests in flight stay where they are."""

    to: Side
    cause: str

    @property
    def name(self) -> str:
        return f"lead-to-{self.to}"

    @property
    def title(self) -> str:
        return "Route visitors to the stand-in" if self.to is Side.HANDOVER else "Route visitors back from the stand-in"


class DrainSide(PlannedStep, frozen=True):
    """Let the requests that a side is working on finish; websockets are not waited for."""

    side: Side
    limit_seconds: float
    cause: str

    @property
    def name(self) -> str:
        return f"drain-{self.side}"

    @property
    def title(self) -> str:
        what = "the stand-in's requests" if self.side is Side.HANDOVER else "the remaining requests"
        return f"Wait for {what} to finish (limit {self.limit_seconds:g} s)"


class ReplaceInTurn(PlannedStep, frozen=True):
    """Have the Swarm replace the containers of these services with those of the version, one after the other.

    An old one stops only once a new one is healthy. If one fails, the Swarm itself puts the old ones back.
    """

    version: Version
    services: tuple[str, ...]
    cause: str
    name: ClassVar[str] = "replace-in-turn"

    @property
    def title(self) -> str:
        return f"Replace {listed(self.services)} with {self.version}, one container after the other"

    def leads_to(self, site: Ahead) -> Ahead:
        return site.with_services(self.services, Status.RUNNING, Health.HEALTHY, str(self.version))


class RemoveHandover(PlannedStep, frozen=True):
    """Stop and remove the handover; visitors still routed to it are routed to the services first.

    Behind a closed gate, services of the graasp group can be `stopped` at the same time.
    """

    cause: str
    stopped: tuple[str, ...] = ()
    name: ClassVar[str] = "remove-handover"

    @property
    def title(self) -> str:
        return f"Stop {listed((*self.stopped, 'the stand-in'))}" if self.stopped else "Remove the stand-in"

    def leads_to(self, site: Ahead) -> Ahead:
        after = site.with_services(self.stopped, Status.EXITED, Health.NONE)
        return replace(after, observed=replace(after.observed, handovers=()))


RollingStep = StartHandover | ProveSide | LeadVisitors | DrainSide | ReplaceInTurn | RemoveHandover

_CORE_OF = {Side.SERVICES: "core itself", Side.HANDOVER: "the second core"}
