"""What a site would look like after some steps, if each does what it says. Planners use it to look ahead. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from graasp_local.planning.rolling_steps import RemoveHandover, ReplaceInTurn, StartHandover
from graasp_local.planning.states import Gate, Health, ObservedService, ObservedState, ServiceGroup, Status
from graasp_local.planning.steps import (
    AwaitMigration,
    CloseGate,
    EndSessions,
    MakeServices,
    OpenGate,
    RecordDeployment,
    RemakeNetworks,
    SealGate,
    SelectVersion,
    StartServices,
    Step,
    StopServices,
    UnsealGate,
)


def simulate(observed: ObservedState, steps: Iterable[Step]) -> ObservedState:
    """What the site would look like after these steps, if each does what it says."""
    selected = ""
    sealed = observed.gate is Gate.SEALED
    for step in steps:
        match step:
            case SelectVersion(version=version):
                selected = str(version)
            case StartServices(group=group, services=services):
                versioned = tuple(s.name for s in observed.in_group(group) if s.version and s.name in services)
                observed = observed.with_services(services, Status.RUNNING, Health.HEALTHY)
                observed = observed.with_services(versioned, Status.RUNNING, Health.HEALTHY, selected)
                if group is ServiceGroup.EDGE:
                    observed = replace(observed, gate=Gate.SEALED if sealed else Gate.CLOSED)
            case StopServices(group=group, services=services):
                observed = observed.with_services(services, Status.EXITED, Health.NONE)
                if group is ServiceGroup.EDGE and not _edge_answers(observed):
                    observed = replace(observed, gate=Gate.UNKNOWN)
            case RemakeNetworks():
                names = tuple(service.name for service in observed.services)
                observed = observed.with_services(names, Status.ABSENT, Health.NONE)
                observed = replace(observed, other_networks=False)
            case MakeServices(services=services, version=version):
                observed = observed.with_services(services, Status.CREATED, Health.NONE, str(version))
            case CloseGate(sealed=sealed):
                closed = Gate.SEALED if sealed else Gate.CLOSED
                observed = replace(observed, gate=closed if _edge_answers(observed) else Gate.UNKNOWN)
            case SealGate():
                sealed, observed = True, replace(observed, gate=Gate.SEALED)
            case UnsealGate():
                sealed = False
                observed = replace(observed, gate=Gate.CLOSED)
            case OpenGate():
                sealed = False
                observed = replace(observed, gate=Gate.OPEN)
            case AwaitMigration() | EndSessions():
                observed = replace(observed, migrations=())
            case StartHandover(version=version, services=services):
                on = (Status.RUNNING, Health.HEALTHY)
                seconds = (ObservedService(s, ServiceGroup.GRAASP, *on, version=str(version)) for s in services)
                observed = replace(observed, handovers=tuple(seconds))
            case ReplaceInTurn(services=services, version=version):
                observed = observed.with_services(services, Status.RUNNING, Health.HEALTHY, str(version))
            case RemoveHandover(stopped=stopped):
                observed = replace(observed.with_services(stopped, Status.EXITED, Health.NONE), handovers=())
            case RecordDeployment(version=version):
                names = tuple(service.name for service in observed.in_group(ServiceGroup.GRAASP) if service.version)
                observed = observed.with_services(names, Status.RUNNING, Health.HEALTHY, str(version))
            case _:
                pass
    return observed


def _edge_answers(observed: ObservedState) -> bool:
    edge = observed.in_group(ServiceGroup.EDGE)
    return bool(edge) and all(service.is_on for service in edge)
