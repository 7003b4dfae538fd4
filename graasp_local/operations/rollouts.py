"""Whether a deployment closes the gate or keeps serving visitors, and what is done when the latter fails.

Decides by what was asked for, by the site, and by what is pending. Refuses `rolling` if it is not certain that visitors
stay served; `rolling-if-possible` then falls back to closing the gate.
"""

from __future__ import annotations

from msgspec.structs import replace

from graasp_local.errors import Refused
from graasp_local.planning.migrations import Forecast, NotKnownYet, Pending
from graasp_local.planning.plan import Plan, Strategy
from graasp_local.planning.plan_deploy import DeployRequest, ImagesFrom
from graasp_local.planning.plan_rolling import plan_rolling, plan_rolling_back, why_not_rolling
from graasp_local.planning.rolling_steps import DrainSide, RemoveHandover, Side
from graasp_local.planning.stand_in import stand_in_for
from graasp_local.planning.states import ObservedState
from graasp_local.planning.steps import RecordDeployment, Step
from graasp_local.ports.world import World
from graasp_local.stack.memory import memory_limits
from graasp_local.version import Images, Version
from graasp_local.wording import listed

_GIB = 1024**3
_MIB = 1024**2


def by_strategy(
    world: World, observed: ObservedState, request: DeployRequest, forecast: Forecast, operation: Plan
) -> Plan:
    """The plan for the requested strategy; `operation` is the plan that closes the gate. Raises Refused."""
    if not operation.steps:
        return operation
    reason = why_not_rolling(observed, request, forecast, world.handovers.visited())
    match request.strategy:
        case Strategy.CLOSED if request.images is ImagesFrom.LAST_DEPLOYMENT:
            return operation  # a rollback, or what was begun: another deployment would not do the same
        case Strategy.CLOSED:
            hint = _could_be_rolling(request.version)
            return operation if reason else replace(operation, hint=hint, alternative=Strategy.ROLLING)
        case Strategy.ROLLING_IF_POSSIBLE:
            reason = reason or why_not_here(world)
            if reason:
                return replace(operation, hint=f"The site has to be closed: {reason}")
        case Strategy.ROLLING:
            reason = reason or why_not_here(world)
            if reason:
                raise Refused(reason, "Visitors are not affected.", _other_way(request, forecast))
    visited = world.handovers.visited()
    plan = plan_rolling(observed, request, visited, world.handovers.replaced_in_turn())
    return replace(plan, hint=_memory_of_both(world, visited))


def with_stand_in(world: World, observed: ObservedState, request: DeployRequest) -> DeployRequest:
    """The request with what serves until the gate closes, if several cores would have to stop behind it."""
    served = world.site.selected_version
    if served is None or served == request.version:
        return request
    stand_in = stand_in_for(observed, served, world.handovers.visited())
    return request if stand_in is None or why_not_here(world) else replace(request, stand_in=stand_in)


def rolling_recovery(
    world: World, observed: ObservedState, tried: tuple[Step, ...], previous: Version, images: Images
) -> Plan | None:
    """The rollback of a rolling deployment that failed after these steps.

    None once visitors are served by the new core itself: then only the last steps are missing.
    """
    for step in tried:
        match step:
            case DrainSide(side=Side.HANDOVER) | RemoveHandover() | RecordDeployment():
                return None
            case _:
                pass
    return plan_rolling_back(observed, previous, world.handovers.visited(), images)


def why_not_here(world: World) -> str | None:
    """Why a second core cannot serve here for a while, as far as only the engine can tell; None if it can."""
    if not world.handovers.edge_can_route():
        return (
            "The running nginx was started by an older graasp-local and cannot route visitors to a second core; "
            "any deployment behind the closed gate restarts it."
        )
    memory = world.handovers.memory()
    if memory.free is not None and memory.free < memory.in_use:
        return (
            f"A second core would need about {memory.in_use / _MIB:.0f} MiB of memory, like the first one, but only "
            f"{memory.free / _MIB:.0f} MiB are free."
        )
    return None


def _could_be_rolling(version: Version) -> str:
    return (
        "Nothing has to be migrated, so this deployment need not close the site: "
        f"`graasp-local deploy --version {version} --strategy rolling`."
    )


def _other_way(request: DeployRequest, forecast: Forecast) -> str:
    version = request.version
    if isinstance(forecast, NotKnownYet):
        return (
            f"`graasp-local images pull {version}` fetches them; "
            f"`graasp-local deploy --version {version} --strategy closed` closes the site."
        )
    pending = " and migrates" if isinstance(forecast, Pending) and forecast.tags else ""
    return f"`graasp-local deploy --version {version} --strategy closed` closes the site{pending}."


def _memory_of_both(world: World, visited: tuple[str, ...]) -> str:
    site = world.site
    limits = memory_limits(site.compose_files, site.settings.values, visited)
    if not limits:
        return f"During the change a second {listed(visited)} needs memory, and no limit is set for it."
    return (
        f"During the change a second {listed(visited)} may take up to {sum(limits.values()) / _GIB:.1f} GiB of memory."
    )
