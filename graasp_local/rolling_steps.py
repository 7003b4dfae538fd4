"""The kinds of step that replace what serves visitors without closing the gate.

A second container of each such service, the handover, serves while the service itself is made anew. Decides nothing
about when that is done (plan_rolling.py) or how (perform/rolling.py). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from graasp_local.version import Version


class Side(StrEnum):
    """Whom nginx leads visitors to: the services themselves, or the handover that stands in for them."""

    SERVICES = "services"
    HANDOVER = "handover"


@dataclass(frozen=True, slots=True)
class StartHandover:
    """Start a second container of each of these services, of the version, and wait until it is healthy.

    No visitor is led to it yet. One of this version that runs already is kept.
    """

    version: Version
    services: tuple[str, ...]
    cause: str


@dataclass(frozen=True, slots=True)
class ProveSide:
    """Ask core itself on one side, past nginx's choice, for its version and its database; None accepts any version."""

    side: Side
    version: Version | None
    cause: str


@dataclass(frozen=True, slots=True)
class LeadVisitors:
    """Have nginx lead every request that begins from here on to this side; those under way stay where they are."""

    to: Side
    cause: str


@dataclass(frozen=True, slots=True)
class DrainSide:
    """Let the requests that a side is working on come to their end; websockets are not waited for."""

    side: Side
    limit_seconds: float
    cause: str


@dataclass(frozen=True, slots=True)
class RemoveHandover:
    """Stop the handover and take it away; whoever nginx still led to it is led to the services first."""

    cause: str


RollingStep = StartHandover | ProveSide | LeadVisitors | DrainSide | RemoveHandover


def rolling_step_name(step: RollingStep) -> str:
    """See `steps.step_name`."""
    match step:
        case StartHandover():
            return "start-handover"
        case ProveSide(side=side):
            return f"prove-{side}"
        case LeadVisitors(to=side):
            return f"lead-to-{side}"
        case DrainSide(side=side):
            return f"drain-{side}"
        case RemoveHandover():
            return "remove-handover"


def rolling_step_title(step: RollingStep) -> str:
    """See `steps.title`."""
    match step:
        case StartHandover(version=version, services=services):
            return f"start a second {' and a second '.join(services)} of {version} and wait until healthy"
        case ProveSide(side=side, version=None):
            return f"ask {_CORE_OF[side]} itself for its version and its database"
        case ProveSide(side=side, version=version):
            return f"ask {_CORE_OF[side]} itself whether it is {version}"
        case LeadVisitors(to=Side.HANDOVER):
            return "lead visitors to the second one"
        case LeadVisitors():
            return "lead visitors to the service itself"
        case DrainSide(side=Side.HANDOVER, limit_seconds=limit):
            return f"let the second one finish its requests (at most {limit:g} s)"
        case DrainSide(limit_seconds=limit):
            return f"let the old one finish its requests (at most {limit:g} s)"
        case RemoveHandover():
            return "take the second one away"


_CORE_OF = {Side.SERVICES: "core", Side.HANDOVER: "the second core"}
