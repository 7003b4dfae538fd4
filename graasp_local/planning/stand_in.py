"""With several cores, one more serves until the gate closes, so that the others have stopped by then.

Otherwise the site would be closed for as long as all of them take to stop. The stand-in is of the version that is being
replaced. When a site can have one is also up to its machine: see operations/rollouts.py. Pure.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.planning.parts import edge_is_ready
from graasp_local.planning.rolling_steps import DrainSide, LeadVisitors, ProveSide, RemoveHandover, Side, StartHandover
from graasp_local.planning.states import Gate, ObservedState, ServiceGroup
from graasp_local.planning.steps import Step, StopServices, VerifyCore
from graasp_local.version import Version


class StandIn(Struct, frozen=True):
    """One more container of each of the `visited` services, of the version `served`, while `stopped` are stopped."""

    served: Version
    visited: tuple[str, ...]
    stopped: tuple[str, ...]


def stand_in_for(observed: ObservedState, served: Version, visited: tuple[str, ...]) -> StandIn | None:
    """What can serve until the gate closes; None if only one container has to stop, or if it is not certain that
    visitors stay served.

    `visited` are the services that nginx routes visitors to.
    """
    graasp = [service for service in observed.in_group(ServiceGroup.GRAASP) if service.is_defined]
    replaced = [service for service in graasp if service.name in visited]
    if observed.gate is not Gate.OPEN or observed.handovers or observed.migrations or not edge_is_ready(observed):
        return None
    if any(not s.is_on or s.outdated or s.version != str(served) for s in replaced):
        return None
    if all(service.wanted == 1 for service in replaced):
        return None
    # Jobs wait in the queue for the new version's workers.
    workers = (service.name for service in graasp if service.writes and service.wanted > 1)
    return StandIn(served, visited, (*(service.name for service in replaced), *workers))


def stopped_together(emptied: list[Step], stops: list[StopServices]) -> list[Step]:
    """The same steps, but what still serves stops at the same time as the stand-in: the site is closed by then."""
    graasp = next((stop for stop in stops if stop.group is ServiceGroup.GRAASP), None)
    if graasp is None:
        return [*emptied, *stops]
    with_it = [replace(step, stopped=graasp.services) if isinstance(step, RemoveHandover) else step for step in emptied]
    return [*with_it, *(stop for stop in stops if stop is not graasp)]


def standing_in(stand_in: StandIn, limit_seconds: float) -> list[Step]:
    """For an open gate: route visitors to the stand-in, and stop what it stands in for."""
    served = stand_in.served
    return [
        StartHandover(served, stand_in.visited, "it serves until the gate closes, and needs memory of its own"),
        ProveSide(Side.HANDOVER, served, "visitors must not be the first to find a fault"),
        LeadVisitors(Side.HANDOVER, f"it is verified to be {served}"),
        VerifyCore(served, "only a visitor's request proves what visitors get"),
        DrainSide(Side.SERVICES, limit_seconds, "core cuts off its requests when it stops"),
        StopServices(
            ServiceGroup.GRAASP, stand_in.stopped, "the site need not be closed while several containers stop"
        ),
    ]
