"""Which steps lead from the observed site to one of the four states.

Never refuses anything: no clock, no I/O, no prompts. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from graasp_local.planning.parts import (
    closing,
    edge_is_ready,
    edge_stop,
    first_containers,
    handing_back,
    opening,
    replicas_after,
    starts_for,
    stops_for,
    why_edge_is_silent,
    without_handover,
)
from graasp_local.planning.plan import DRAIN_SECONDS, Plan
from graasp_local.planning.simulate import simulate
from graasp_local.planning.states import START_ORDER, Gate, InfraState, ObservedState, ServiceGroup
from graasp_local.planning.steps import (
    CloseGate,
    Drain,
    EndConnections,
    ProveGate,
    RemakeNetworks,
    StartServices,
    Step,
    StopServices,
    VerifyCore,
)
from graasp_local.version import Version


def plan_transition(
    observed: ObservedState,
    target: InfraState,
    version: Version | None = None,
    drain_limit: float = DRAIN_SECONDS,
    *,
    left_open: bool = False,
) -> Plan:
    """The steps from what was observed to one of the four states.

    `version` is what core must answer before the gate opens; None accepts any. `drain_limit` is in seconds.
    `left_open`: the command that closed the gate was cut off before it ended older connections.
    """
    row = observed.row(target)
    if observed.other_networks and row.groups_on:
        return _on_other_networks(observed, target, version, drain_limit)
    if ServiceGroup.EDGE not in row.groups_on:
        return Plan(target, (*_down_to_nothing(observed, target, drain_limit),))
    stops = stops_for(observed, target)
    starts = [step for group in START_ORDER if group in row.groups_on for step in starts_for(observed, group, target)]
    steps: list[Step] = []
    if _gate_must_close(observed, target, stops):
        steps += closing(
            observed, f"{target} keeps visitors out" if row.gate is Gate.CLOSED else "not everything is up yet"
        )
    gate_is_closed = observed.gate is Gate.CLOSED or bool(steps)
    edge_goes_on = not any(isinstance(step, StartServices) for step in steps)
    graasp_stops = any(step.group is ServiceGroup.GRAASP for step in stops)
    stays_up = not (graasp_stops or observed.group_is_off(ServiceGroup.GRAASP))
    if row.gate is Gate.CLOSED and (steps or left_open) and edge_goes_on and stays_up:
        steps.append(EndConnections(drain_limit, "visitors could still write through them"))
    if gate_is_closed and (observed.handovers or any(step.group is ServiceGroup.GRAASP for step in stops)):
        steps.append(Drain(drain_limit, "core cuts off its requests when it stops"))
        steps += without_handover(observed)
    steps += stops
    steps += starts
    if row.gate is Gate.OPEN:
        gate_closes = any(isinstance(step, CloseGate) for step in steps)
        if observed.handovers and not gate_is_closed:
            steps += handing_back(version, drain_limit)
        elif steps or observed.gate is not Gate.OPEN:
            steps.append(VerifyCore(version, "the gate opens only if core answers"))
        if gate_closes or observed.gate is not Gate.OPEN:
            steps = first_containers(observed, steps) + opening(f"{target} lets visitors in")
            steps += replicas_after(steps, version)
    return Plan(target, tuple(steps))


def _on_other_networks(
    observed: ObservedState, target: InfraState, version: Version | None, drain_limit: float
) -> Plan:
    """Stop everything, since a network can be removed only when it is empty; then start what the state needs."""
    cause = "core and workers move to other machines or back, so everything joins other networks"
    everything_off = _down_to_nothing(replace(observed, page_when_stopped=False), InfraState.STOPPED, drain_limit)
    steps = [replace(step, cause=cause) if isinstance(step, StopServices) else step for step in everything_off]
    steps.append(RemakeNetworks("the kind of a network cannot be changed; data is in volumes, which stay"))
    after = simulate(observed, steps)
    return Plan(target, (*steps, *plan_transition(after, target, version, drain_limit).steps))


def _down_to_nothing(observed: ObservedState, target: InfraState, drain_limit: float) -> list[Step]:
    """Stop everything, nginx last, since it keeps visitors out and shows the page. If it cannot, it stops first."""
    edge = observed.in_group(ServiceGroup.EDGE)
    keeps_out = observed.gate is not Gate.UNKNOWN and not any(service.is_stuck for service in edge)
    steps: list[Step] = []
    if keeps_out and observed.gate is Gate.OPEN:
        cause = "only a visitor's request proves that visitors are kept out"
        steps += [CloseGate(f"{target} keeps visitors out"), ProveGate(Gate.CLOSED, cause)]
    elif not keeps_out and not observed.group_is_off(ServiceGroup.EDGE):
        steps.append(CloseGate(f"{target} keeps visitors out"))
        steps += edge_stop(observed, why_edge_is_silent(observed))
    stops = stops_for(simulate(observed, steps), target)
    if observed.handovers or any(step.group is ServiceGroup.GRAASP for step in stops):
        if keeps_out:
            steps.append(Drain(drain_limit, "core cuts off its requests when it stops"))
        steps += without_handover(observed)
    return steps + stops


def _gate_must_close(observed: ObservedState, target: InfraState, stops: Sequence[StopServices]) -> bool:
    """For `running`, an open gate stays open while a service is fixed, unless the database or nginx is down."""
    if not edge_is_ready(observed) or observed.gate in (Gate.SEALED, Gate.UNKNOWN):
        return True
    if observed.gate is Gate.CLOSED:
        return False
    database_comes_up = not observed.group_is_on(ServiceGroup.DATABASE)
    return (
        observed.row(target).gate is Gate.CLOSED
        or database_comes_up
        or any(s.group is ServiceGroup.DATABASE for s in stops)
    )
