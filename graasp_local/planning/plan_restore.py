"""Which steps restore a backup, and which undo that.

The slow part, loading and unpacking, is done next to the current data, while visitors are served if the database is on.
The site is closed for renames and for the start of the version that the backup belongs to. Nothing is removed. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.planning.parts import emptying, needs_start, stops_for, without_graasp
from graasp_local.planning.plan import DRAIN_SECONDS, Plan
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.restore_steps import CheckBackup, LoadDatabase, PutInPlace, Restore, TakeOut, UnpackFiles
from graasp_local.planning.server import GRAASP_DATABASE, Direction
from graasp_local.planning.simulate import simulate
from graasp_local.planning.stages import check, close, close_and_seal, fetch_again, record, serve, start_for_data
from graasp_local.planning.states import TABLE, InfraState, ObservedState, ServiceGroup
from graasp_local.planning.steps import (
    DeselectVersion,
    EndSessions,
    ProveMigrations,
    SelectVersion,
    StartServices,
    Step,
    StopServices,
)
from graasp_local.version import Images, Version


class RestoreRequest(Struct, frozen=True):
    """What was asked for. `version` is what runs afterwards: the backup's, if Graasp's database is restored from it."""

    restore: Restore
    version: Version
    end: InfraState = InfraState.RUNNING
    drain_limit: float = DRAIN_SECONDS


def plan_restore(observed: ObservedState, request: RestoreRequest) -> Plan:
    """From any state, including a new site, to a site that runs what the backup holds."""
    restore, version = request.restore, request.version
    database_is_on = observed.group_is_on(ServiceGroup.DATABASE) and not observed.migrations
    steps: list[Step] = [CheckBackup(restore, "damage is found before anything is changed")]
    steps += check(version, f"{version} is the version that the site will run")
    steps += fetch_again(version, (), "nothing is downloaded while the site is closed")
    if database_is_on:
        steps += _load(restore)
    steps += close_and_seal(observed, "visitors must not write to what is being replaced", str(version))
    steps += _quiet(observed, restore, request.drain_limit)
    if observed.migrations:
        steps.append(EndSessions("the database that a migration is working on is about to be replaced"))
    if not database_is_on:
        steps += _load(restore)
    steps.append(PutInPlace(restore, "the restored data is verified, and renaming takes only a moment"))
    steps += _select(observed, steps, version, "the database belongs to this version now")
    steps += serve(observed, steps, version, request.end, f"{version} takes over", "the restored site is verified")
    steps += record(version)
    return Plan(request.end, tuple(steps), version, restore=restore)


def plan_unrestore(
    observed: ObservedState,
    restore: Restore,
    version: Version,
    end: InfraState,
    *,
    was_begun: bool,
    images: Images = (),
) -> Plan:
    """Back to `version`, to the state `end` and to the data from before, from wherever a restore stopped.

    `was_begun`: the restored data may already be in place. `images` are those that the version had then.
    """
    steps = fetch_again(version, images)
    again = "the database belongs to this version again"
    # A database that is unchanged and is to be off need not be started first: it may be what failed.
    if was_begun or ServiceGroup.DATABASE in TABLE[end].groups_on:
        steps += close(observed, "visitors must not reach a site that is being rolled back")
        steps += _quiet(observed, restore)
    if was_begun:
        steps += _take_out(restore)
    if ServiceGroup.GRAASP in TABLE[end].groups_on:
        steps += _select(observed, steps, version, again)
    else:
        steps.append(SelectVersion(version, again))
    steps += serve(observed, steps, version, end, f"{version} serves again", "the site as it was before is verified")
    return Plan(end, tuple(steps), version, restore=replace(restore, way=Direction.BACK), goes_back=True)


def plan_unrestore_to_nothing(observed: ObservedState, restore: Restore, end: InfraState, *, was_begun: bool) -> Plan:
    """The same for a site to which nothing was deployed before: Graasp is off again, and has no version."""
    end, steps = without_graasp(end), list[Step]()
    if was_begun:
        steps += close(observed, "visitors must not reach a site that is being rolled back")
        steps += _quiet(observed, restore)
        steps += _take_out(restore)
    steps.append(DeselectVersion("no version was deployed before"))
    steps += plan_transition(simulate(observed, steps), end).steps
    return Plan(end, tuple(steps), restore=replace(restore, way=Direction.BACK), goes_back=True)


def _load(restore: Restore) -> list[Step]:
    loads: list[Step] = [
        LoadDatabase(restore, database, "only verified data may replace the current database")
        for database in restore.databases
    ]
    unpacks: list[Step] = [
        UnpackFiles(restore, volume, "the current files are replaced only once everything is ready")
        for volume in restore.volumes
    ]
    return loads + unpacks


def _quiet(observed: ObservedState, restore: Restore, limit_seconds: float = DRAIN_SECONDS) -> list[Step]:
    """Graasp is off, and the administration too if its database is replaced."""
    steps: list[Step] = [*emptying(observed, limit_seconds), *stops_for(observed, InfraState.DB_ONLY)]
    if _touches_others(restore):
        after = simulate(observed, steps)
        names = tuple(s.name for s in after.in_group(ServiceGroup.ADMINISTRATION) if not s.is_off)
        if names:
            steps.append(StopServices(ServiceGroup.ADMINISTRATION, names, "a database in use cannot be renamed"))
    return steps + start_for_data(observed, (ServiceGroup.DATABASE,))


def _take_out(restore: Restore) -> list[Step]:
    out = TakeOut(restore, "everything from before is kept under another name")
    return [EndSessions("a database in use cannot be renamed"), out] if restore.snapshot else [out]


def _select(observed: ObservedState, before: Sequence[Step], version: Version, cause: str) -> list[Step]:
    steps: list[Step] = [
        ProveMigrations(version, f"{version} works only with exactly its own migrations"),
        SelectVersion(version, cause),
    ]
    after = simulate(observed, before)
    down = tuple(s.name for s in after.in_group(ServiceGroup.ADMINISTRATION) if needs_start(s))
    if down:
        steps.append(StartServices(ServiceGroup.ADMINISTRATION, down, "it serves again from its own database"))
    return steps


def _touches_others(restore: Restore) -> bool:
    everything = (restore, *restore.replaces)
    return any(database != GRAASP_DATABASE for each in everything for database in each.databases)
