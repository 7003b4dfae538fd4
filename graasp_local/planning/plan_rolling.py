"""Which steps replace core while visitors are served, if nothing has to be migrated, and which steps undo that.

A second core of the new version, verified before any visitor is routed to it, serves while the service itself is
recreated, so what runs in the end is what Compose would have created. `why_not_rolling` says when this cannot be done;
the planners never refuse. Pure.
"""

from __future__ import annotations

from graasp_local.planning.migrations import Forecast, Pending
from graasp_local.planning.parts import edge_is_ready, handing_back
from graasp_local.planning.plan import DRAIN_SECONDS, Plan
from graasp_local.planning.plan_deploy import Backup, DeployRequest, ImagesFrom
from graasp_local.planning.plan_rollback import RollbackRequest, plan_rollback
from graasp_local.planning.rolling_steps import DrainSide, LeadVisitors, ProveSide, ReplaceInTurn, Side, StartHandover
from graasp_local.planning.simulate import simulate
from graasp_local.planning.stages import check, fetch_again, record
from graasp_local.planning.states import Gate, InfraState, ObservedService, ObservedState, ServiceGroup
from graasp_local.planning.steps import (
    BackUpDatabase,
    PullImages,
    ReadMigrations,
    SelectVersion,
    StartServices,
    Step,
    StopServices,
    VerifyCore,
)
from graasp_local.version import Images, Version
from graasp_local.wording import listed

NOTHING_PENDING = Pending(())


def why_not_rolling(
    observed: ObservedState, request: DeployRequest, forecast: Forecast, visited: tuple[str, ...]
) -> str | None:
    """Why the version cannot take over while visitors are served, as a sentence; None if it can.

    `visited` are the services that nginx routes visitors to and that change with the version.
    """
    if request.end is not InfraState.RUNNING:
        return f"The deployment would end in {request.end}, with the gate closed."
    if observed.gate is not Gate.OPEN:
        gate = "nginx does not answer" if observed.gate is Gate.UNKNOWN else f"The gate is {observed.gate.in_words}"
        return f"{gate}, so there are no visitors to keep serving."
    if request.other_images:
        return f"{request.version} is already running; visitors cannot be moved from one build of it to another."
    if observed.migrations:
        return f"A migration is running ({listed(observed.migrations)})."
    replaced = _replaced(observed, visited)
    serving = {second.name for second in observed.handovers if second.is_on}
    for service in observed.services:
        if service.name in replaced:
            if service.name in visited and not service.serves and service.name not in serving:
                return f"{service.name} is {service.described()}, so visitors are not served."
        elif not service.is_on and not service.optional and service.is_defined:
            return f"{service.name} is {service.described()}."
        elif service.is_on and service.outdated:
            return f"{service.name} still runs with old settings: .env or the stack has changed since."
    for second in observed.handovers:
        if second.version != str(request.version):
            return f"A second {second.name} of {second.version} is left over from another deployment."
    match forecast:
        case Pending(tags=()):
            return None
        case Pending(tags=tags):
            return f"{request.version} has to migrate the database (pending: {listed(tags)})."
        case _:
            return f"Which migrations {request.version} needs is not known until its images have been pulled."


def plan_rolling(
    observed: ObservedState, request: DeployRequest, visited: tuple[str, ...], in_turn: tuple[str, ...] = ()
) -> Plan:
    """From an open site to the same with another version, without closing the gate.

    Continues from wherever an earlier one was cut off. Only for sites for which `why_not_rolling` returns None.
    Services `in_turn` are not stopped: the Swarm replaces their containers one after the other.
    """
    version = request.version
    steps = check(version, "problems are found before anything is changed")
    if request.images is ImagesFrom.TAGS:
        steps.append(PullImages(version, "nothing is downloaded while two cores run"))
    else:
        steps += fetch_again(version, request.exact)
    steps.append(
        ReadMigrations(version, NOTHING_PENDING, "two versions can share the database only if nothing is migrated")
    )
    if request.backup is Backup.TAKEN:
        steps.append(BackUpDatabase(version, "the new version will write to the database"))
    if not (_all_on(observed, visited, version) and _are_current(observed, visited)):
        steps += [
            StartHandover(
                version, visited, "it serves while the service itself is replaced, and needs memory of its own"
            ),
            ProveSide(Side.HANDOVER, version, "visitors must not be the first to find a fault"),
        ]
        # Every deployment leaves jobs of the old version in the queue, so workers of the new one can handle those; but
        # the old version's workers have never seen a job of the new one.
        behind = _not_off(observed, _replaced(observed, visited), but=visited)
        if behind:
            cause = f"jobs of {version} must wait in the queue for its own workers"
            steps.append(StopServices(ServiceGroup.GRAASP, behind, cause))
        steps += [
            LeadVisitors(Side.HANDOVER, f"it is verified to be {version}"),
            VerifyCore(version, "only a visitor's request proves what visitors get"),
        ]
        steps += _drained_stop(observed, visited, request.drain_limit, "no visitor is routed to it any more", in_turn)
    steps += _started(observed, steps, version, visited, f"{version} takes over", in_turn)
    steps += handing_back(version, request.drain_limit)
    steps += record(version)
    return Plan(InfraState.RUNNING, tuple(steps), version)


def plan_rolling_back(observed: ObservedState, version: Version, visited: tuple[str, ...], images: Images = ()) -> Plan:
    """Back to `version`, with the images that it had, from wherever a rolling deployment stopped.

    Also without closing the gate if something can serve during the rollback; otherwise behind a closed gate.
    """
    old_serves = _all_on(observed, visited, version)
    serving = {second.name for second in observed.handovers if second.is_on}
    if observed.gate is not Gate.OPEN or not edge_is_ready(observed) or not (old_serves or serving >= {*visited}):
        return plan_rollback(observed, RollbackRequest(version, InfraState.RUNNING, images))
    steps = fetch_again(version, images)
    if not old_serves:
        steps.append(LeadVisitors(Side.HANDOVER, f"it serves until {version} does again"))
        steps += _drained_stop(observed, visited, DRAIN_SECONDS, f"{version} takes its place again")
        behind = _not_off(observed, _replaced(observed, visited), but=visited)
        if behind:
            steps.append(StopServices(ServiceGroup.GRAASP, behind, f"{version} takes their place again"))
    steps += _started(observed, steps, version, visited, f"{version} serves again")
    steps += handing_back(version, DRAIN_SECONDS)
    return Plan(InfraState.RUNNING, tuple(steps), version, goes_back=True)


def _drained_stop(
    observed: ObservedState, visited: tuple[str, ...], limit: float, cause: str, in_turn: tuple[str, ...] = ()
) -> list[Step]:
    if not _not_off(observed, visited):
        return []
    steps: list[Step] = [DrainSide(Side.SERVICES, limit, "core cuts off its requests when it stops")]
    stopped = _not_off(observed, visited, but=in_turn)
    if stopped:
        cause = f"{cause}; its websockets end and reconnect to the stand-in"
        steps.append(StopServices(ServiceGroup.GRAASP, stopped, cause))
    return steps


def _started(
    observed: ObservedState,
    before: list[Step],
    version: Version,
    visited: tuple[str, ...],
    cause: str,
    in_turn: tuple[str, ...] = (),
) -> list[Step]:
    """Select the version and start what is off, or not of the version, after the steps in `before`.

    Services that only have outdated settings are left alone: recreating them is not what was asked for.
    """
    steps: list[Step] = [SelectVersion(version, "a restart must not bring the other version back")]
    after = simulate(observed, before)
    replaced = tuple(name for name in _not_off(after, in_turn) if not _all_on(after, (name,), version))
    if replaced:
        steps.append(
            ReplaceInTurn(version, replaced, f"{cause}; if it fails on any machine, the old ones are put back")
        )
        after = simulate(after, steps)
    names = tuple(
        service.name
        for service in after.in_group(ServiceGroup.GRAASP)
        if (service.is_defined and not service.is_on)
        or (service.name in _replaced(observed, visited) and not _is(service, version))
    )
    if names:
        steps.append(StartServices(ServiceGroup.GRAASP, names, cause))
    return steps


def _replaced(observed: ObservedState, visited: tuple[str, ...]) -> tuple[str, ...]:
    """What changes with the version."""
    graasp = (service for service in observed.in_group(ServiceGroup.GRAASP) if service.is_defined)
    return tuple(s.name for s in graasp if s.version or s.name in visited)


def _not_off(observed: ObservedState, names: tuple[str, ...], but: tuple[str, ...] = ()) -> tuple[str, ...]:
    return tuple(s.name for s in observed.services if s.name in names and s.name not in but and not s.is_off)


def _all_on(observed: ObservedState, names: tuple[str, ...], version: Version) -> bool:
    return all(s.is_on and _is(s, version) for s in observed.services if s.name in names)


def _are_current(observed: ObservedState, names: tuple[str, ...]) -> bool:
    return not any(service.outdated for service in observed.services if service.name in names)


def _is(service: ObservedService, version: Version) -> bool:
    return service.version == str(version)
