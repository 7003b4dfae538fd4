"""The kinds of step that replace what serves visitors without closing the gate.

A second container of each such service, the handover, serves while the service itself is made anew. Decides nothing
about when that is done (plan_rolling.py) or how (operations/steps/rolling.py). Pure.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from graasp_local.planning.planned import PlannedStep
from graasp_local.version import Version


class Side(StrEnum):
    """Whom nginx leads visitors to: the services themselves, or the handover that stands in for them."""

    SERVICES = "services"
    HANDOVER = "handover"


class StartHandover(PlannedStep, frozen=True):
    """Start a second container of each of these services, of the version, and wait until it is healthy.

    No visitor is led to it yet. One of this version that runs already is kept.
    """

    version: Version
    services: tuple[str, ...]
    cause: str
    name: ClassVar[str] = "start-handover"

    @property
    def title(self) -> str:
        seconds = " and a second ".join(self.services)
        return f"Start a second {seconds} of {self.version} as a stand-in and wait until healthy"


class ProveSide(PlannedStep, frozen=True):
    """Ask core itself on one side, past nginx's choice, for its version and its database; None accepts any version."""

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
    """Have nginx lead every request that begins from here on to this side; those under way stay where they are."""

    to: Side
    cause: str

    @property
    def name(self) -> str:
        return f"lead-to-{self.to}"

    @property
    def title(self) -> str:
        return "Route visitors to the stand-in" if self.to is Side.HANDOVER else "Route visitors back from the stand-in"


class DrainSide(PlannedStep, frozen=True):
    """Let the requests that a side is working on come to their end; websockets are not waited for."""

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


class RemoveHandover(PlannedStep, frozen=True):
    """Stop the handover and take it away; whoever nginx still led to it is led to the services first."""

    cause: str
    name: ClassVar[str] = "remove-handover"

    @property
    def title(self) -> str:
        return "Remove the stand-in"


RollingStep = StartHandover | ProveSide | LeadVisitors | DrainSide | RemoveHandover

_CORE_OF = {Side.SERVICES: "core itself", Side.HANDOVER: "the second core"}
