"""Which steps a deployment is made of, and how to roll one back.

`plan_rollback` rolls back a deployment that failed, `plan_undo` one that succeeded. Never refuses anything: no clock,
no I/O, no prompts. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.planning.migrations import Forecast, Pending
from graasp_local.planning.parts import emptying, stops_for
from graasp_local.planning.plan import DRAIN_SECONDS, Plan, Strategy
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.requests import MIGRATION_SECONDS
from graasp_local.planning.safety_copy import WHY_A_FILE, SafetyCopy
from graasp_local.planning.simulate import simulate
from graasp_local.planning.stages import check, close_and_seal, fetch_again, record, serve, start_for_data
from graasp_local.planning.stand_in import StandIn, standing_in, stopped_together
from graasp_local.planning.states import Gate, InfraState, ObservedState, ServiceGroup, Status
from graasp_local.planning.steps import (
    AwaitMigration,
    BackUpDatabase,
    CloseGate,
    EndSessions,
    MakeDatabases,
    MakeMigration,
    MakeServices,
    Migrate,
    ProveMigrations,
    PullImages,
    ReadMigrations,
    RecordDeployment,
    SelectVersion,
    Snapshot,
    StartServices,
    Step,
    VerifyCore,
    WriteSnapshot,
)
from graasp_local.version import Images, Version
from graasp_local.wording import listed

_OTHER_IMAGES = "{} is already running, and its images of {} have changed"


class ImagesFrom(StrEnum):
    """Which images a version is deployed with: those its tags point to now, or those of its last deployment."""

    TAGS = "tags"
    LAST_DEPLOYMENT = "last-deployment"


class Backup(StrEnum):
    """Whether a deployment makes sure that there is a backup of the database before it changes it."""

    TAKEN = "taken"
    LEFT_OUT = "left-out"


class DeployRequest(Struct, frozen=True):
    """What was asked for; limits in seconds. `end` is `restricted` to stop behind the closed gate for a test."""

    version: Version
    end: InfraState = InfraState.RUNNING
    drain_limit: float = DRAIN_SECONDS
    migration_limit: float = MIGRATION_SECONDS
    images: ImagesFrom = ImagesFrom.TAGS
    backup: Backup = Backup.TAKEN
    strategy: Strategy = Strategy.CLOSED
    exact: Images = ()
    """With LAST_DEPLOYMENT, exactly these images; empty: see RestoreImages."""
    other_images: tuple[str, ...] = ()
    """Services that already run this version, but with images other than those it is to be deployed with."""
    needs_rollback: bool = False
    """It is to be rolled back if it fails, so it is refused if that could not work."""
    is_external: bool = False
    """The database is on a server outside the stack, where others may be connected too."""
    missing_databases: tuple[str, ...] = ()
    """Databases that an external server does not have yet."""
    stand_in: StandIn | None = None
    """What serves until the gate closes while several containers stop; None if nothing does."""


def plan_deploy(
    observed: ObservedState, request: DeployRequest, forecast: Forecast, copy: SafetyCopy = SafetyCopy.SNAPSHOT
) -> Plan:
    """The operation: running → restricted → db-only → migrate → restricted with the new version → running.

    Starts from any state, including a new site; leaves out what is proven to be unnecessary. `copy` is what the disk
    has room for.
    """
    version = request.version
    if _is_deployed(observed, request, forecast):
        return Plan(request.end, (), version)
    is_new, database_is_on = _is_new(observed), _database_is_on(observed, request)
    steps = check(version, "problems are found while visitors are still served")
    steps += _fetch(request)
    if database_is_on:
        steps += _back_up(request, forecast) + _create_migration(version, forecast)
    if request.stand_in is not None:
        steps += standing_in(request.stand_in, request.drain_limit)
        observed = simulate(observed, steps)
    steps += close_and_seal(observed, "visitors must not write while the database changes", str(version))
    steps += _quiet(observed, request)
    if not database_is_on:
        steps += _back_up(request, forecast)
    steps += _change(observed, request, forecast, copy)
    steps += _serve(observed, steps, request)
    steps += record(version)
    return Plan(request.end, tuple(_on_a_new_site(observed, steps, version) if is_new else steps), version)


def _database_is_on(observed: ObservedState, request: DeployRequest) -> bool:
    """Whether it can be read and backed up while visitors are served."""
    # What a migration that is still running does to the database is not known before it ends.
    is_on = observed.group_is_on(ServiceGroup.DATABASE) and not observed.migrations
    return is_on and not request.missing_databases


def _fetch(request: DeployRequest) -> list[Step]:
    if request.images is ImagesFrom.LAST_DEPLOYMENT:
        return fetch_again(request.version, request.exact)
    if request.other_images:
        return [PullImages(request.version, _OTHER_IMAGES.format(request.version, listed(request.other_images)))]
    return [PullImages(request.version, "nothing is downloaded while the site is closed")]


def _back_up(request: DeployRequest, forecast: Forecast) -> list[Step]:
    cause = "a migration that cannot work is refused before it starts"
    steps: list[Step] = [ReadMigrations(request.version, forecast, cause)]
    if request.backup is Backup.TAKEN:
        steps.append(BackUpDatabase(request.version, "a snapshot is on the same disk as the database"))
    return steps


def _create_migration(version: Version, forecast: Forecast) -> list[Step]:
    if forecast == Pending(()):
        return []
    return [MakeMigration(version, "this does not have to happen while the site is closed")]


def _quiet(observed: ObservedState, request: DeployRequest) -> list[Step]:
    emptied, stops = emptying(observed, request.drain_limit), stops_for(observed, InfraState.DB_ONLY)
    steps: list[Step] = [*emptied, *stops] if request.stand_in is None else stopped_together(emptied, stops)
    if request.missing_databases:
        steps.append(MakeDatabases(request.missing_databases, "the server does not have them yet"))
    steps += start_for_data(observed)
    if observed.migrations:
        cause = f"{listed(observed.migrations)} is still running from an earlier operation"
        steps.append(AwaitMigration(request.migration_limit, cause))
    return steps


def _change(observed: ObservedState, request: DeployRequest, forecast: Forecast, copy: SafetyCopy) -> list[Step]:
    version = request.version
    steps: list[Step] = [
        EndSessions(
            "no one may write to it while it changes, from here or from elsewhere"
            if request.is_external
            else "a killed migration may have left a statement that holds locks"
        )
    ]
    if forecast != Pending(()):
        steps.append(
            Snapshot("a failed migration can then be undone in a second")
            if copy is SafetyCopy.SNAPSHOT
            else WriteSnapshot(WHY_A_FILE[copy])
        )
        steps.append(Migrate(version, request.migration_limit, _why_to_migrate(forecast), _to_create(observed)))
    return [
        *steps,
        ProveMigrations(version, "a migration's exit code and output prove nothing"),
        SelectVersion(version, "the database belongs to this version now"),
    ]


def _why_to_migrate(forecast: Forecast) -> str:
    if not isinstance(forecast, Pending):
        return "it is not known which migrations are pending"
    return f"{listed(forecast.tags)} {'is' if len(forecast.tags) == 1 else 'are'} pending"


def _to_create(observed: ObservedState) -> tuple[str, ...]:
    """The services whose containers are created during the migration; none if the site has no containers yet."""
    if _is_new(observed):
        return ()
    return tuple(service.name for service in observed.in_group(ServiceGroup.GRAASP) if service.is_defined)


def _is_new(observed: ObservedState) -> bool:
    return all(service.status is Status.ABSENT for service in observed.services)


def _serve(observed: ObservedState, before: Sequence[Step], request: DeployRequest) -> list[Step]:
    what = f"{request.version} with its new images" if request.other_images else str(request.version)
    if request.end is InfraState.RUNNING:
        verified = "the new version is verified"
    else:
        verified = "the new version is verified and can be tested through the bypass"
    return serve(observed, before, request.version, request.end, f"{what} takes over", verified)


def plan_finish(observed: ObservedState, request: DeployRequest, forecast: Forecast) -> Plan | None:
    """The rest of a deployment that was cut off when its version was already serving; None if more is missing.

    Containers that do not serve yet are started with the gate open, as they would have been.
    """
    transition = plan_transition(observed, request.end, request.version)
    if transition.steps:
        graasp = observed.in_group(ServiceGroup.GRAASP)
        serves = observed.gate is Gate.OPEN and all(s.serves and not s.outdated for s in graasp if s.is_defined)
        if not serves or any(not isinstance(step, StartServices | VerifyCore) for step in transition.steps):
            return None
    if not _has_version(observed, request, forecast):
        return None
    record = RecordDeployment(request.version, "it was cut off before it was recorded")
    return Plan(request.end, (*transition.steps, record), request.version)


def _on_a_new_site(observed: ObservedState, steps: Sequence[Step], version: Version) -> list[Step]:
    """The same steps for a site with nothing to stop or disturb yet: one command creates all containers, the database
    starts along with nginx, and services that Graasp does not need are waited for after the migration.
    """
    database, administration = (
        tuple(service.name for service in observed.in_group(group))
        for group in (ServiceGroup.DATABASE, ServiceGroup.ADMINISTRATION)
    )
    names = tuple(service.name for service in observed.services)
    later: list[Step] = []
    ordered: list[Step] = []
    for step in steps:
        match step:
            case CloseGate():
                ordered += [
                    MakeServices(names, version, "one command for all of them takes less time", migration=True),
                    step,
                ]
            case StartServices(group=ServiceGroup.EDGE):
                ordered.append(replace(step, ahead=database))
            case StartServices(group=ServiceGroup.DATABASE):
                ordered.append(replace(step, ahead=administration))
            case StartServices(group=ServiceGroup.ADMINISTRATION):
                later.append(step)
            case StartServices(group=ServiceGroup.GRAASP, writers=False):
                ordered += [*later, replace(step, made_too=())]
            case _:
                ordered.append(step)
    return ordered


def _is_deployed(observed: ObservedState, request: DeployRequest, forecast: Forecast) -> bool:
    return not plan_transition(observed, request.end).steps and _has_version(observed, request, forecast)


def _has_version(observed: ObservedState, request: DeployRequest, forecast: Forecast) -> bool:
    return forecast == Pending(()) and observed.graasp_versions == {str(request.version)} and not request.other_images
