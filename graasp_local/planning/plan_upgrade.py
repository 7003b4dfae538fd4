"""Which steps lead from one major of Postgres to a newer one, and back.

The newer server is filled next to the old one, verified to hold the same data, and only then selected: that single
write makes the change, and the old volume is never written to. This operation stops umami as well, since its database
is on the same server. Never refuses anything. Pure.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.planning.parts import (
    edge_is_ready,
    needs_start,
    starting_writers,
    unsealing,
    without_handover,
)
from graasp_local.planning.plan import DRAIN_SECONDS, Plan
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.server import DatabaseServer, Direction, Upgrade
from graasp_local.planning.simulate import simulate
from graasp_local.planning.stages import close, close_and_seal
from graasp_local.planning.states import TABLE, Gate, InfraState, ObservedState, ServiceGroup
from graasp_local.planning.steps import Drain, EndSessions, StartServices, Step, StopServices, VerifyCore
from graasp_local.planning.upgrade_steps import (
    CheckUpgrade,
    DiscardNewServer,
    DumpServer,
    ProveCopy,
    PullServer,
    RecordUpgrade,
    RestoreServer,
    SelectServer,
    StartNewServer,
    StopNewServer,
)
from graasp_local.version import Version


class UpgradeRequest(Struct, frozen=True):
    """What is wanted, and what an upgrade starts from.

    `selected` is the server that services are started with now. `version` is what core must answer; None on a site
    that nothing was deployed to. `end` is the state to end in. `size_bytes` is the size of all databases, None while
    the server is off. `drain_limit` is in seconds.
    """

    upgrade: Upgrade
    selected: DatabaseServer
    version: Version | None
    end: InfraState
    size_bytes: int | None = None
    drain_limit: float = DRAIN_SECONDS


def plan_upgrade(observed: ObservedState, request: UpgradeRequest) -> Plan:
    """The operation: check, start the newer server, close, stop, dump, restore, prove, select, start, verify, open.

    If the newer server is already selected, by an operation that was cut off, only what comes after that is left.
    """
    upgrade = request.upgrade
    steps: list[Step] = []
    if request.selected != upgrade.target:
        steps = _copy(observed, request)
    elif observed.gate is Gate.UNKNOWN or not edge_is_ready(observed):
        steps = close(observed, "what is on the newer server is not verified yet")
    steps += _to_the_end(simulate(observed, steps), request)
    steps.append(RecordUpgrade(upgrade, "what is kept of the old server must be on record"))
    return Plan(request.end, tuple(steps), upgrade=upgrade)


def plan_upgrade_back(observed: ObservedState, request: UpgradeRequest) -> Plan:
    """Back to the old server and to the state `end`, from wherever an upgrade stopped."""
    upgrade = request.upgrade
    steps: list[Step] = []
    if request.selected.volume != upgrade.source.volume:
        steps += close(observed, "visitors must not reach a site that is being rolled back")
        steps += without_handover(observed)
        steps += _stops(observed, f"its database is on Postgres {upgrade.target_major}")
        steps += _stop_database(observed, f"the site goes back to Postgres {upgrade.source_major}")
    if request.selected != upgrade.source:
        steps.append(SelectServer(upgrade.source, upgrade.source_major, "its volume is unchanged"))
    steps.append(DiscardNewServer(upgrade, "it is a copy that nothing uses"))
    steps += _to_the_end(simulate(observed, steps), request)
    return Plan(request.end, tuple(steps), upgrade=replace(upgrade, way=Direction.BACK))


def _copy(observed: ObservedState, request: UpgradeRequest) -> list[Step]:
    """From the old server to the newer one, with the same databases on it."""
    database_is_on = observed.group_is_on(ServiceGroup.DATABASE)
    start_new: list[Step] = [StartNewServer(request.upgrade, "anything it lacks shows before the gate closes")]
    steps: list[Step] = [
        CheckUpgrade(request.upgrade, "problems are found while visitors are still served"),
        PullServer(request.upgrade, "nothing is downloaded while the site is closed"),
    ]
    if database_is_on:
        steps += start_new
    steps += _close(observed, request)
    steps += _quiet(observed, request)
    if not database_is_on:
        steps += _start_old_server(observed, request) + start_new
    return steps + _change(simulate(observed, steps), request)


def _close(observed: ObservedState, request: UpgradeRequest) -> list[Step]:
    why = "nothing may be written while the databases are copied"
    if ServiceGroup.GRAASP in TABLE[request.end].groups_on:
        return close_and_seal(observed, why, f"Postgres {request.upgrade.target_major}")
    return close(observed, why)


def _quiet(observed: ObservedState, request: UpgradeRequest) -> list[Step]:
    steps: list[Step] = []
    if observed.gate is Gate.OPEN and not observed.group_is_off(ServiceGroup.GRAASP):
        steps.append(Drain(request.drain_limit, "core cuts off its requests when it stops"))
    return steps + without_handover(observed) + _stops(observed, "its database is on this server")


def _change(observed: ObservedState, request: UpgradeRequest) -> list[Step]:
    upgrade, size = request.upgrade, request.size_bytes
    return [
        EndSessions("a killed migration may have left a statement that holds locks"),
        DumpServer(upgrade, size, "one major version cannot read another's files"),
        RestoreServer(upgrade, size, "Postgres fills the new volume itself; the old one is only read"),
        ProveCopy(upgrade, size, "only a verified copy may be selected"),
        *_stop_database(observed, f"Postgres {upgrade.target_major} takes over"),
        StopNewServer(upgrade, "two servers must never share a volume"),
        SelectServer(upgrade.target, upgrade.target_major, "the databases are there from now on"),
    ]


def _start_old_server(observed: ObservedState, request: UpgradeRequest) -> list[Step]:
    steps: list[Step] = []
    stuck = tuple(service.name for service in observed.in_group(ServiceGroup.DATABASE) if service.is_stuck)
    if stuck:
        steps.append(StopServices(ServiceGroup.DATABASE, stuck, "it is running but does not answer"))
    if request.selected != request.upgrade.source:
        steps.append(SelectServer(request.upgrade.source, request.upgrade.source_major, "the data is still on it"))
    names = tuple(s.name for s in simulate(observed, steps).in_group(ServiceGroup.DATABASE) if needs_start(s))
    return [*steps, StartServices(ServiceGroup.DATABASE, names, "its data can only be read through it")]


def _stops(observed: ObservedState, cause: str) -> list[Step]:
    """Everything that uses the server, including umami."""
    steps: list[Step] = []
    for group in (ServiceGroup.GRAASP, ServiceGroup.ADMINISTRATION):
        names = tuple(service.name for service in observed.in_group(group) if not service.is_off)
        if names:
            steps.append(StopServices(group, names, cause))
    return steps


def _stop_database(observed: ObservedState, cause: str) -> list[Step]:
    names = tuple(service.name for service in observed.in_group(ServiceGroup.DATABASE) if not service.is_off)
    return [StopServices(ServiceGroup.DATABASE, names, cause)] if names else []


def _to_the_end(observed: ObservedState, request: UpgradeRequest) -> list[Step]:
    """From a selected server to the wanted state; core is verified even if the gate stays closed.

    What writes on its own is started after that.
    """
    sealed = observed.gate is Gate.SEALED and edge_is_ready(observed)
    as_closed = replace(observed, gate=Gate.CLOSED) if sealed else observed
    steps: list[Step] = []
    writing: tuple[str, ...] = ()
    first_of: tuple[str, ...] = ()
    starts_core = False
    for step in plan_transition(as_closed, request.end, request.version).steps:
        if isinstance(step, StartServices) and step.group is ServiceGroup.GRAASP:
            starts_core = True
            writes = {service.name for service in observed.in_group(ServiceGroup.GRAASP) if service.writes}
            writing = tuple(name for name in step.services if name in writes)
            serving = tuple(name for name in step.services if name not in writes)
            if serving:
                steps.append(
                    replace(step, services=serving, first_of=tuple(name for name in step.first_of if name in serving))
                )
            first_of = tuple(name for name in step.first_of if name in writing)
            continue
        steps.append(step)
        if isinstance(step, VerifyCore):
            steps += starting_writers(writing, first_of)
            writing = ()
    row = observed.row(request.end)
    if row.gate is Gate.CLOSED:
        if starts_core:
            steps.append(VerifyCore(request.version, "a server that core cannot work with is not kept"))
            steps += starting_writers(writing)
        if sealed and ServiceGroup.EDGE in row.groups_on:
            steps += unsealing("the server is verified")
    return steps
