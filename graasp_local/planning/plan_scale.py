"""How many containers of a service are wanted: the site with another number, and how to remove some of an open site.

More of them are simply started, which is a change of state like any other. If fewer are wanted of a service that
visitors are routed to, a second one serves while the others are removed, so that no request is cut off, as in
plan_rolling.py. Never refuses anything. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from graasp_local.planning.parts import handing_back, needs_start
from graasp_local.planning.plan import DRAIN_SECONDS, Plan
from graasp_local.planning.rolling_steps import DrainSide, LeadVisitors, ProveSide, Side, StartHandover
from graasp_local.planning.states import Gate, Health, InfraState, ObservedState, Replica, ServiceGroup, Status
from graasp_local.planning.steps import StartServices, VerifyCore
from graasp_local.version import Version


def with_replicas(observed: ObservedState, wanted: Mapping[str, int]) -> ObservedState:
    """The same site with these numbers of containers wanted."""
    services = []
    for service in observed.services:
        there = service.replicas
        if not there and not service.is_off:
            there = (Replica(1, service.status, service.health, service.version),)
        if wanted.get(service.name, service.wanted) != service.wanted:
            service = replace(service, wanted=wanted[service.name], replicas=there)
        services.append(service)
    return replace(observed, services=tuple(services))


def apart_from(observed: ObservedState, scaled: Mapping[str, int]) -> ObservedState:
    """The same site with these services healthy if any of their containers is: a problem with the others is no reason
    not to scale them.

    Outdated ones stay so: they would be recreated all at once while visitors use them, with settings that may not work.
    """
    names = tuple(service.name for service in observed.services if service.name in scaled and service.serves)
    outdated = {service.name for service in observed.services if service.outdated}
    healthy = observed.with_services(names, Status.RUNNING, Health.HEALTHY)
    services = tuple(replace(service, outdated=service.name in outdated) for service in healthy.services)
    return replace(healthy, services=services)


def loses_visited(observed: ObservedState, visited: tuple[str, ...]) -> bool:
    """Whether visitors could be in the middle of a request to a container that has to go."""
    return observed.gate is Gate.OPEN and any(s.has_too_many and s.name in visited for s in observed.services)


def plan_fewer(observed: ObservedState, version: Version, visited: tuple[str, ...]) -> Plan:
    """For an open site for which `loses_visited` is true: the same site with as many containers as are wanted.

    `visited` are the services that nginx routes visitors to.
    """
    changed = tuple(s.name for s in observed.in_group(ServiceGroup.GRAASP) if needs_start(s))
    steps = (
        StartHandover(version, visited, "it serves while containers are removed, and needs memory of its own"),
        ProveSide(Side.HANDOVER, version, "visitors must not be the first to find a fault"),
        LeadVisitors(Side.HANDOVER, f"it is verified to be {version}"),
        VerifyCore(version, "only a visitor's request proves what visitors get"),
        DrainSide(Side.SERVICES, DRAIN_SECONDS, "core cuts off its requests when it stops"),
        StartServices(ServiceGroup.GRAASP, changed, "fewer are wanted; the others are removed"),
        *handing_back(version, DRAIN_SECONDS),
    )
    return Plan(InfraState.RUNNING, steps)
