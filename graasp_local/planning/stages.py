"""The stages that deployment, rolling deployment, restore, upgrade and their rollbacks share.

An operation that changes what Graasp runs on goes through them in this order: check, fetch, back up, close, quiet,
change, serve (start, verify, open), record. What it changes is its planner's own business. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from graasp_local.planning.parts import (
    closing,
    edge_is_ready,
    emptying,
    first_containers,
    opening,
    replicas_after,
    starting_writers,
    starts_for,
    stops_for,
    unsealing,
)
from graasp_local.planning.plan import DRAIN_SECONDS
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.simulate import simulate
from graasp_local.planning.states import TABLE, Gate, InfraState, ObservedState, ServiceGroup, Status
from graasp_local.planning.steps import (
    CloseGate,
    MakeServices,
    Preflight,
    RecordDeployment,
    RestoreImages,
    SealGate,
    StartServices,
    Step,
    VerifyCore,
)
from graasp_local.version import Images, Version


def check(version: Version, cause: str) -> list[Step]:
    return [Preflight(version, cause)]


def fetch_again(version: Version, images: Images, cause: str = "tags may have moved since then") -> list[Step]:
    """Exactly these images, or those that the version was last deployed with."""
    return [RestoreImages(version, cause, images)]


def close(observed: ObservedState, cause: str) -> list[Step]:
    """Close the gate unless it is closed. If Graasp has containers, seal it too: what they write may be discarded."""
    if observed.gate in (Gate.CLOSED, Gate.SEALED) and edge_is_ready(observed):
        return []
    is_new = all(service.status is Status.ABSENT for service in observed.in_group(ServiceGroup.GRAASP))
    return closing(observed, cause, seal=not is_new)


def close_and_seal(observed: ObservedState, cause: str, what: str) -> list[Step]:
    """Close the gate unless it is closed, and seal it until `what` is verified: a rollback could discard what was
    written before.
    """
    steps = close(observed, cause)
    if any(isinstance(step, CloseGate) and step.sealed for step in steps):
        return steps
    return [*steps, SealGate(f"nothing may be written before {what} is verified, not even through the bypass")]


def quiet(
    observed: ObservedState,
    limit_seconds: float = DRAIN_SECONDS,
    groups: Sequence[ServiceGroup] = (ServiceGroup.DATABASE, ServiceGroup.ADMINISTRATION),
) -> list[Step]:
    """For a closed gate: Graasp is off, with no request cut off, and these groups are on."""
    return [
        *emptying(observed, limit_seconds),
        *stops_for(observed, InfraState.DB_ONLY),
        *start_for_data(observed, groups),
    ]


def start_for_data(
    observed: ObservedState,
    groups: Sequence[ServiceGroup] = (ServiceGroup.DATABASE, ServiceGroup.ADMINISTRATION),
) -> list[Step]:
    return [step for group in groups for step in starts_for(observed, group, InfraState.DB_ONLY)]


def serve(
    observed: ObservedState, before: Sequence[Step], version: Version, end: InfraState, cause: str, verified: str
) -> list[Step]:
    """After the steps in `before`: start the version, verify it, and let visitors or the bypass in, all as far as the
    state `end` has it.

    `cause` is why it starts, `verified` why the gate may change.
    """
    row = TABLE[end]
    if ServiceGroup.GRAASP not in row.groups_on:
        left = _left_off(observed, version)
        return [*left, *plan_transition(simulate(observed, [*before, *left]), end).steps]
    steps = _start_and_verify(observed, version, cause)
    if row.gate is Gate.OPEN:
        steps = first_containers(observed, steps)
        return [*steps, *opening(verified), *replicas_after(steps, version)]
    return steps + unsealing(verified) if simulate(observed, before).gate is Gate.SEALED else steps


def record(version: Version) -> list[Step]:
    return [RecordDeployment(version, "the next deployment starts from here")]


def _start_and_verify(observed: ObservedState, version: Version, cause: str) -> list[Step]:
    """First core and everything that only serves; what writes on its own starts once core is verified."""
    graasp = [service for service in observed.in_group(ServiceGroup.GRAASP) if service.is_defined]
    serving = tuple(service.name for service in graasp if not service.writes)
    writing = tuple(service.name for service in graasp if service.writes)
    steps: list[Step] = []
    if serving:
        steps.append(StartServices(ServiceGroup.GRAASP, serving, cause, made_too=writing))
    steps.append(VerifyCore(version, "visitors must not be the first to find a fault"))
    return steps + starting_writers(writing)


def _left_off(observed: ObservedState, version: Version) -> list[Step]:
    """For a site where Graasp stays off: leftover containers would make it look like another version."""
    graasp = observed.in_group(ServiceGroup.GRAASP)
    others = tuple(s.name for s in graasp if s.is_defined and s.version not in ("", str(version)))
    return [MakeServices(others, version, "containers of another version were left behind")] if others else []
