"""Which steps restore a backup.

The slow part, loading and unpacking, is done next to the current data, while visitors are served if the database is on.
The site is closed for renames and for the start of the version that the backup belongs to. Nothing is removed. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from graasp_local.planning.parts import emptying, needs_start, stops_for
from graasp_local.planning.plan import DRAIN_SECONDS, Plan
from graasp_local.planning.restore_steps import CheckBackup, LoadDatabase, PutInPlace, Restore, UnpackFiles
from graasp_local.planning.server import GRAASP_DATABASE
from graasp_local.planning.simulate import simulate
from graasp_local.planning.stages import check, close_and_seal, fetch_again, record, serve, start_for_data
from graasp_local.planning.states import InfraState, ObservedState, ServiceGroup
from graasp_local.planning.steps import (
    EndSessions,
    ProveMigrations,
    SelectVersion,
    StartServices,
    Step,
    StopServices,
)
from graasp_local.version import Version


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
    steps += quiet_for(observed, restore, request.drain_limit)
    if observed.migrations:
        steps.append(EndSessions("the database that a migration is working on is about to be replaced"))
    if not database_is_on:
        steps += _load(restore)
    steps.append(PutInPlace(restore, "the restored data is verified, and renaming takes only a moment"))
    steps.append(ProveMigrations(version, f"{version} works only with exactly its own migrations"))
    steps.append(SelectVersion(version, "the database belongs to this version now"))
    steps += administration_again(observed, steps)
    steps += serve(observed, steps, version, request.end, f"{version} takes over", "the restored site is verified")
    steps += record(version)
    return Plan(request.end, tuple(steps), version, restore=restore)


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


def quiet_for(observed: ObservedState, restore: Restore, limit_seconds: float = DRAIN_SECONDS) -> list[Step]:
    """Graasp is off, and the administration too if its database is replaced."""
    steps: list[Step] = [*emptying(observed, limit_seconds), *stops_for(observed, InfraState.DB_ONLY)]
    if _touches_others(restore):
        after = simulate(observed, steps)
        names = tuple(s.name for s in after.in_group(ServiceGroup.ADMINISTRATION) if not s.is_off)
        if names:
            steps.append(StopServices(ServiceGroup.ADMINISTRATION, names, "a database in use cannot be renamed"))
    return steps + start_for_data(observed, (ServiceGroup.DATABASE,))


def administration_again(observed: ObservedState, before: Sequence[Step]) -> list[Step]:
    """After the steps in `before`: it is on."""
    after = simulate(observed, before)
    down = tuple(s.name for s in after.in_group(ServiceGroup.ADMINISTRATION) if needs_start(s))
    if not down:
        return []
    return [StartServices(ServiceGroup.ADMINISTRATION, down, "it serves again from its own database")]


def _touches_others(restore: Restore) -> bool:
    everything = (restore, *restore.replaces)
    return any(database != GRAASP_DATABASE for each in everything for database in each.databases)
