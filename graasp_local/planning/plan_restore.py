"""Which steps restore a backup, and which undo that.

The slow part, loading and unpacking, is done next to the current data, while visitors are served if the database is on.
The site is closed for renames and for the start of the version that the backup belongs to. Nothing is removed. Pure.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.planning.data_steps import CheckBackup, LoadDatabase, PutInPlace, TakeOut, UnpackFiles
from graasp_local.planning.parts import (
    closing_and_sealing,
    closing_for_a_change,
    emptying,
    left_off,
    needs_start,
    opening,
    replicas_after,
    starts_for,
    stops_for,
    taking_over,
    unsealing,
    without_graasp,
)
from graasp_local.planning.plan import DRAIN_SECONDS, Plan
from graasp_local.planning.plan_deploy import MOVED_TAGS
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.restoring import Restore
from graasp_local.planning.server import GRAASP_DATABASE, Direction
from graasp_local.planning.simulate import simulate
from graasp_local.planning.states import TABLE, Gate, InfraState, ObservedState, ServiceGroup
from graasp_local.planning.steps import (
    DeselectVersion,
    EndSessions,
    Preflight,
    ProveMigrations,
    RecordDeployment,
    RestoreImages,
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
    steps: list[Step] = [
        CheckBackup(restore, "damage is found before anything is changed"),
        Preflight(version, f"{version} is the version that the site will run"),
        RestoreImages(version, "nothing is downloaded while the site is closed"),
    ]
    loading = _loading(restore)
    if database_is_on:
        steps += loading
    steps += closing_and_sealing(observed, "visitors must not write to what is being replaced", str(version))
    steps += emptying(observed, request.drain_limit)
    steps += _down_to_the_database(observed, restore)
    if observed.migrations:
        steps.append(EndSessions("the database that a migration is working on is about to be replaced"))
    if not database_is_on:
        steps += loading
    steps.append(PutInPlace(restore, "the restored data is verified, and renaming takes only a moment"))
    opens = request.end is InfraState.RUNNING
    steps += _up_again(observed, steps, version, opens=opens)
    if opens:
        steps += opening("the restored site is verified")
        steps += replicas_after(steps, version)
    else:
        steps += unsealing("the restored site is verified")
    steps.append(RecordDeployment(version, "the next deployment starts from here"))
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
    steps: list[Step] = [RestoreImages(version, MOVED_TAGS, images)]
    if not was_begun and ServiceGroup.DATABASE not in TABLE[end].groups_on:
        # A database that is to be off need not be started first: it may be what failed.
        steps.append(SelectVersion(version, "the database belongs to this version again"))
        steps += left_off(observed, version)
        steps += plan_transition(simulate(observed, steps), end).steps
        return Plan(end, tuple(steps), version, restore=replace(restore, way=Direction.BACK), goes_back=True)
    steps += closing_for_a_change(observed, "visitors must not reach a site that is being rolled back")
    steps += emptying(observed, DRAIN_SECONDS)
    steps += _down_to_the_database(observed, restore)
    if was_begun:
        steps += _taking_out(restore)
    if TABLE[end].groups_on & {ServiceGroup.GRAASP}:
        steps += _up_again(observed, steps, version, opens=TABLE[end].gate is Gate.OPEN)
        if TABLE[end].gate is Gate.CLOSED and simulate(observed, steps).gate is Gate.SEALED:
            steps += unsealing("the site as it was before is verified")
    else:
        steps.append(SelectVersion(version, "the database belongs to this version again"))
        steps += left_off(observed, version)
        steps += plan_transition(simulate(observed, steps), end).steps
    if TABLE[end].gate is Gate.OPEN:
        steps += opening("the site as it was before is verified")
        steps += replicas_after(steps, version)
    return Plan(end, tuple(steps), version, restore=replace(restore, way=Direction.BACK), goes_back=True)


def plan_unrestore_to_nothing(observed: ObservedState, restore: Restore, end: InfraState, *, was_begun: bool) -> Plan:
    """The same for a site to which nothing was deployed before: Graasp is off again, and has no version."""
    end, steps = without_graasp(end), list[Step]()
    if was_begun:
        steps += closing_for_a_change(observed, "visitors must not reach a site that is being rolled back")
        steps += emptying(observed, DRAIN_SECONDS)
        steps += _down_to_the_database(observed, restore)
        steps += _taking_out(restore)
    steps.append(DeselectVersion("no version was deployed before"))
    steps += plan_transition(simulate(observed, steps), end).steps
    return Plan(end, tuple(steps), restore=replace(restore, way=Direction.BACK), goes_back=True)


def _taking_out(restore: Restore) -> list[Step]:
    out = TakeOut(restore, "everything from before is kept under another name")
    return [EndSessions("a database in use cannot be renamed"), out] if restore.snapshot else [out]


def _loading(restore: Restore) -> list[Step]:
    loads: list[Step] = [
        LoadDatabase(restore, database, "only verified data may replace the current database")
        for database in restore.databases
    ]
    unpacks: list[Step] = [
        UnpackFiles(restore, volume, "the current files are replaced only once everything is ready")
        for volume in restore.volumes
    ]
    return loads + unpacks


def _down_to_the_database(observed: ObservedState, restore: Restore) -> list[Step]:
    steps: list[Step] = [*stops_for(observed, InfraState.DB_ONLY)]
    if _touches_others(restore):
        after = simulate(observed, steps)
        names = tuple(s.name for s in after.in_group(ServiceGroup.ADMINISTRATION) if not s.is_off)
        if names:
            steps.append(StopServices(ServiceGroup.ADMINISTRATION, names, "a database in use cannot be renamed"))
    return [*steps, *starts_for(observed, ServiceGroup.DATABASE, InfraState.DB_ONLY)]


def _up_again(observed: ObservedState, before: list[Step], version: Version, *, opens: bool) -> list[Step]:
    steps: list[Step] = [ProveMigrations(version, f"{version} works only with exactly its own migrations")]
    steps.append(SelectVersion(version, "the database belongs to this version now"))
    after = simulate(observed, before)
    down = tuple(s.name for s in after.in_group(ServiceGroup.ADMINISTRATION) if needs_start(s))
    if down:
        steps.append(StartServices(ServiceGroup.ADMINISTRATION, down, "it serves again from its own database"))
    return steps + taking_over(observed, version, f"{version} takes over", opens=opens)


def _touches_others(restore: Restore) -> bool:
    everything = (restore, *restore.replaces)
    return any(database != GRAASP_DATABASE for each in everything for database in each.databases)
