"""The parts that plans are put together from: closing and opening the gate, what has to stop, what has to start, and
what becomes of a second container that stands in for a service.

Their order is up to each plan. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from graasp_local.planning.rolling_steps import DrainSide, LeadVisitors, ProveSide, RemoveHandover, Side
from graasp_local.planning.simulate import simulate
from graasp_local.planning.states import (
    STOP_ORDER,
    TABLE,
    Gate,
    InfraState,
    ObservedService,
    ObservedState,
    ServiceGroup,
)
from graasp_local.planning.steps import (
    CheckEdge,
    CloseGate,
    Drain,
    OpenGate,
    ProveGate,
    StartReplicas,
    StartServices,
    Step,
    StopServices,
    UnsealGate,
    VerifyCore,
    VerifyReplicas,
)
from graasp_local.version import Version

_SHOWS_THE_PAGE = "nginx shows the maintenance page"


def closing(observed: ObservedState, cause: str, *, seal: bool = False) -> list[Step]:
    """With `seal`, an nginx that has to be started first comes up with the gate sealed."""
    edge = observed.in_group(ServiceGroup.EDGE)
    # An nginx that is healthy inside but silent on its port has lost that port; only a restart gets it back.
    silent = observed.gate is Gate.UNKNOWN
    stuck = tuple(service.name for service in edge if service.is_stuck or (service.is_on and silent))
    down = tuple(s.name for s in edge if needs_start(s) or (s.name in stuck and s.is_defined))
    steps: list[Step] = [CheckEdge("a configuration that nginx refuses would take the site down")] if down else []
    sealed = seal and bool(down)
    steps.append(CloseGate(cause, sealed))
    if stuck:
        steps.append(StopServices(ServiceGroup.EDGE, stuck, why_edge_is_silent(observed)))
    if down:
        changed = "its settings have changed; connections are refused for a second or two"
        cause = changed if observed.edge_has_old_settings else _SHOWS_THE_PAGE
        steps.append(StartServices(ServiceGroup.EDGE, down, cause))
    gate = Gate.SEALED if sealed else Gate.CLOSED
    steps.append(ProveGate(gate, "only a visitor's request proves that visitors are kept out"))
    return steps


def opening(cause: str) -> list[Step]:
    return [OpenGate(cause), ProveGate(Gate.OPEN, "only a visitor's request proves that visitors get in")]


def unsealing(cause: str) -> list[Step]:
    return [UnsealGate(cause), ProveGate(Gate.CLOSED, "only a visitor's request proves that visitors are kept out")]


def first_containers(observed: ObservedState, steps: Sequence[Step]) -> list[Step]:
    """The same steps before the gate opens: if several containers of a service are wanted, only one is started."""
    several = {service.name for service in observed.services if service.wanted > 1}
    changed: list[Step] = []
    for step in steps:
        match step:
            case StartServices(services=services) if not several.isdisjoint(services):
                changed.append(replace(step, first_of=tuple(name for name in services if name in several)))
            case VerifyCore() if any(isinstance(earlier, StartServices) and earlier.first_of for earlier in changed):
                changed.append(replace(step, first_only=True))
            case _:
                changed.append(step)
    return changed


def replicas_after(steps: Sequence[Step], version: Version | None) -> list[Step]:
    """For an open gate: start the containers that these steps left out, and ask each of core's."""
    left = tuple(name for step in steps if isinstance(step, StartServices) for name in step.first_of)
    if not left:
        return []
    return [
        StartReplicas(left, "visitors need not wait for them"),
        VerifyReplicas(version, "any of them may answer a visitor"),
    ]


def without_graasp(end: InfraState) -> InfraState:
    """The state for a site without a version: this one if Graasp is off in it, otherwise `stopped`."""
    return end if ServiceGroup.GRAASP not in TABLE[end].groups_on else InfraState.STOPPED


def starting_writers(names: tuple[str, ...], first_of: tuple[str, ...] = ()) -> list[Step]:
    cause = "services that write on their own start only once core is verified"
    return [StartServices(ServiceGroup.GRAASP, names, cause, writers=True, first_of=first_of)] if names else []


def emptying(observed: ObservedState, limit_seconds: float) -> list[Step]:
    """For a closed gate: let requests in flight finish, and remove what stood in for a service."""
    steps: list[Step] = []
    if observed.handovers or not observed.group_is_off(ServiceGroup.GRAASP):
        steps.append(Drain(limit_seconds, "core cuts off its requests when it stops"))
    return steps + without_handover(observed)


def without_handover(observed: ObservedState) -> list[Step]:
    """For a closed gate, where no visitor is routed to it."""
    return [RemoveHandover("it was left over from replacing a service")] if observed.handovers else []


def handing_back(version: Version | None, limit_seconds: float) -> list[Step]:
    """For an open gate: route visitors back to the services before removing what stood in for them."""
    return [
        ProveSide(Side.SERVICES, version, "visitors are routed only to a core that answers"),
        LeadVisitors(Side.SERVICES, "the stand-in was needed only during the change"),
        VerifyCore(version, "only a visitor's request proves what visitors get"),
        DrainSide(Side.HANDOVER, limit_seconds, "core cuts off its requests when it stops"),
        RemoveHandover("no visitor is routed to it any more"),
    ]


def needs_start(service: ObservedService) -> bool:
    return service.is_defined and (not service.is_on or service.outdated)


def edge_is_ready(observed: ObservedState) -> bool:
    return not any(needs_start(service) for service in observed.in_group(ServiceGroup.EDGE))


def stops_for(observed: ObservedState, target: InfraState) -> list[StopServices]:
    """What has to stop, the database last: what the state does not need, and what is stuck.

    If nginx is not needed either, it stops after the database: until then it shows the maintenance page.
    """
    needed = observed.row(target).groups_on
    database = observed.in_group(ServiceGroup.DATABASE)
    database_restarts = any(service.is_stuck or service.outdated for service in database)

    def must_stop(service: ObservedService) -> bool:
        if service.is_off:
            return False
        return service.group not in needed or database_restarts or service.is_stuck

    steps = []
    for group in STOP_ORDER:
        names = tuple(service.name for service in observed.in_group(group) if must_stop(service))
        if names:
            cause = (
                f"{target} does not need the {group} group"
                if group not in needed
                else f"the {group} group must restart"
            )
            steps.append(StopServices(group, names, cause))
    if ServiceGroup.EDGE not in needed:
        steps += edge_stop(observed, f"{target} serves nothing; STOPPED_PAGE=on would keep nginx and its page")
    return steps


def why_edge_is_silent(observed: ObservedState) -> str:
    """Why nginx has to stop. It is asked at the address in `.env`, where one with old settings may not listen."""
    if observed.edge_has_old_settings:
        return "it runs with its old settings and does not answer at the address that .env names now"
    return "it is running but does not answer"


def edge_stop(observed: ObservedState, cause: str) -> list[StopServices]:
    names = tuple(service.name for service in observed.in_group(ServiceGroup.EDGE) if not service.is_off)
    return [StopServices(ServiceGroup.EDGE, names, cause)] if names else []


def starts_for(observed: ObservedState, group: ServiceGroup, target: InfraState) -> list[StartServices]:
    after_stops = simulate(observed, stops_for(observed, target))
    starting = [service for service in after_stops.in_group(group) if needs_start(service)]
    names = tuple(service.name for service in starting)
    cause = f"{target} needs the {group} group"
    if all(service.is_on for service in starting):
        cause = f"{'its' if len(names) == 1 else 'their'} settings have changed"
        if "core" in names and observed.gate is Gate.OPEN and not observed.handovers:
            cause += "; requests in flight are cut off, and visitors see the maintenance page until core answers again"
    return [StartServices(group, names, cause)] if names else []
