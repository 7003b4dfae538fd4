"""Carries out each kind of step."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial

from msgspec.structs import replace

from graasp_local.errors import GraaspLocalError, NeedsYou
from graasp_local.images.pins import as_images
from graasp_local.journal.events import OperationStarted
from graasp_local.journal.records import OperationRecord
from graasp_local.operations.progress import Progress
from graasp_local.operations.steps.backing_up import see_to_backup
from graasp_local.operations.steps.draining import drain, give_up_draining
from graasp_local.operations.steps.ending_connections import end_connections
from graasp_local.operations.steps.having_images import (
    pull_missing,
    restore_images,
    select_images,
    share_images,
)
from graasp_local.operations.steps.migrating import await_migrations, check_forecast, end_migrations, run_migration
from graasp_local.operations.steps.preflight import check_edge, check_preflight, check_stack, refuse_subscriptions
from graasp_local.operations.steps.proving import prove, verify_core, verify_replicas
from graasp_local.operations.steps.recording import has_changed, record
from graasp_local.operations.steps.restoring import perform_restore_step
from graasp_local.operations.steps.rolling import perform_rolling
from graasp_local.operations.steps.starting import start_services, start_with_last_words, wait_until_on
from graasp_local.operations.steps.upgrading import perform_upgrade
from graasp_local.operations.steps.written_snapshot import (
    has_snapshot,
    load_snapshot,
    report_what_was_written,
    write_snapshot,
)
from graasp_local.planning.migrations import proof_failures
from graasp_local.planning.restore_steps import CheckBackup, LoadDatabase, PutInPlace, TakeOut, UnpackFiles
from graasp_local.planning.rolling_steps import (
    DrainSide,
    LeadVisitors,
    ProveSide,
    RemoveHandover,
    ReplaceInTurn,
    StartHandover,
)
from graasp_local.planning.states import Gate
from graasp_local.planning.steps import (
    AwaitMigration,
    BackUpDatabase,
    CheckEdge,
    CheckStack,
    CloseGate,
    DeselectVersion,
    Drain,
    EndConnections,
    EndSessions,
    MakeDatabases,
    MakeMigration,
    MakeServices,
    Migrate,
    OpenGate,
    Preflight,
    ProveGate,
    ProveMigrations,
    PullImages,
    ReadMigrations,
    RecordDeployment,
    RemakeNetworks,
    RestoreImages,
    SealGate,
    SelectImages,
    SelectVersion,
    ShareImages,
    Snapshot,
    StartReplicas,
    StartServices,
    Step,
    StopServices,
    SwapBack,
    UnsealGate,
    UseEarlierSettings,
    VerifyCore,
    VerifyReplicas,
    WriteSnapshot,
)
from graasp_local.ports.world import World
from graasp_local.site import prepare
from graasp_local.site.selection import Release
from graasp_local.version import Version
from graasp_local.wording import listed


class Performer:
    """Does the steps of one operation. It remembers nothing: what a step leaves for later ones is its Progress.

    If an earlier attempt may have begun to migrate, the snapshot is from before that. `last_change` is the deployment
    that a rollback would undo if this one turns out to have changed nothing.
    """

    def __init__(self, world: World, started: OperationStarted, last_change: OperationRecord | None = None) -> None:
        self._world = world
        self._started = started
        self._last_change = last_change

    def is_needed(self, step: Step, progress: Progress) -> bool:
        """False for a migration that a plan includes only because it was not known yet that nothing is pending."""
        return not (isinstance(step, Migrate) and progress.pending == () and not self._started.migrated_before)

    def has_changed(self, progress: Progress) -> bool:
        """Whether what is selected, or the database, differs from before the operation."""
        return has_changed(self._world, self._started, progress)

    def perform(self, step: Step, progress: Progress) -> Generator[str, None, Progress]:
        """Do one step. Yields lines for people, returns what holds after it; raises GraaspLocalError if it failed."""
        world = self._world
        match step:
            case Preflight(version=version, found=told):
                if not told:
                    found = check_preflight(world, version)
                    told = (found.described(), *found.warnings(version, world.site.settings.values))
                yield from told
            case PullImages(version=version):
                # An operation that was cut off may have created them with other images or settings.
                world.migrations.remove_made_migrations()
                yield from pull_missing(world, version)
            case UseEarlierSettings():
                prepare.prepare(world.site)
                yield f"the settings in {world.site.directory} stay as they are: the next change of state uses them"
            case RestoreImages(version=version, images=images):
                progress = progress.without_made()
                world.migrations.remove_made_migrations()
                yield from restore_images(world, version, images)
            case ShareImages(version=version):
                yield from share_images(world, version)
            case ReadMigrations():
                pending = check_forecast(world, step)
                progress = replace(progress, pending=pending.tags)
                yield f"pending: {', '.join(pending.tags) or 'none'}"
            case BackUpDatabase():
                yield from see_to_backup(world, step)
            case CheckBackup() | LoadDatabase() | UnpackFiles() | PutInPlace() | TakeOut():
                yield from perform_restore_step(world, step)
            case RemoveHandover():
                yield from perform_rolling(world, step)
                give_up_draining(world, progress)
                progress = replace(progress, sealed_to_drain=False)
            case StartHandover() | ProveSide() | LeadVisitors() | DrainSide() | ReplaceInTurn():
                yield from perform_rolling(world, step)
            case CheckEdge():
                yield from check_edge(world)
            case CheckStack(services=services, version=version):
                yield from check_stack(world, services, version)
            case CloseGate(sealed=sealed):
                yield from _set_gate(world, Gate.SEALED if sealed else Gate.CLOSED)
                progress = replace(progress, sealed_to_drain=False)
            case OpenGate():
                yield from _set_gate(world, Gate.OPEN)
                progress = replace(progress, sealed_to_drain=False)
            case SealGate():
                world.gate_control.seal_gate()
                progress = replace(progress, sealed_to_drain=False)
            case UnsealGate():
                yield from _set_gate(world, Gate.CLOSED)
                progress = replace(progress, sealed_to_drain=False)
            case ProveGate(gate=gate):
                prove(
                    world,
                    lambda: world.edge.gate_failures(gate),
                    f"The gate could not be verified to be {gate.in_words}",
                )
            case Drain(limit_seconds=limit):
                sealed = yield from drain(world, limit)
                progress = replace(progress, sealed_to_drain=sealed)
            case EndConnections(limit_seconds=limit):
                yield from end_connections(world, limit)
            case StopServices(services=services):
                try:
                    world.containers.stop(services)
                finally:
                    give_up_draining(world, progress)
                progress = replace(progress, sealed_to_drain=False)
            case RemakeNetworks():
                progress = progress.without_made()
                world.containers.remake_networks()
            case StartServices():
                progress = yield from start_services(world, step, self._started.plan.version, progress)
            case StartReplicas(services=services):
                yield from start_with_last_words(world, services, partial(world.containers.start, services))
                yield from wait_until_on(world, services)
            case MakeServices(services=services, version=version, migration=migration):
                try:
                    world.containers.make((*services, *(("migrate",) if migration else ())), version)
                    progress = progress.with_made(services, version)
                except NeedsYou as error:  # nothing needs them before they are started, which also creates them
                    yield f"{listed(services)} could not be created yet: {error.what}"
            case AwaitMigration(limit_seconds=limit):
                yield from await_migrations(world, limit)
            case EndSessions():
                yield from end_migrations(world)
                ended = world.database.end_other_sessions()
                if ended:
                    yield f"ended {ended} session(s)"
            case MakeDatabases(databases=databases):
                passwords = world.site.settings.owner_passwords
                for name in databases:
                    is_new = world.database.make_database(name, passwords[name])
                    yield f"created the database {name}" if is_new else f"the database {name} exists already"
            case Snapshot():
                yield from self._take_snapshot()
            case WriteSnapshot():
                if not self._started.migrated_before:
                    refuse_subscriptions(world)
                yield from write_snapshot(world, self._started.snapshot)
            case SwapBack(snapshot=snapshot):
                yield from load_snapshot(world, snapshot)
                if step.written:
                    yield from report_what_was_written(world, snapshot)
                kept = world.database.swap_back(snapshot, until_removed=step.written)
                yield f"the replaced database is kept as {kept}"
            case MakeMigration(version=version):
                world.migrations.make_migration(version)
            case Migrate():
                with world.database.migration_lock():
                    made = yield from run_migration(world, step)
                if step.creates:
                    progress = progress.with_made(made, step.version)
            case ProveMigrations(version=version):
                _prove_migrations(world, version, progress)
            case SelectImages():
                select_images(world, step)
            case SelectVersion(version=version):
                prepare.select(world.site, Release(version, as_images(world.images.pins(version))))
            case DeselectVersion():
                prepare.deselect(world.site)
            case VerifyCore(version=expected, first_only=first_only):
                verify_core(world, expected, first_only=first_only)
            case VerifyReplicas(version=expected):
                verify_replicas(world, expected)
            case RecordDeployment(version=version):
                restore = self._started.plan.restore
                undone = self._undone_by_rollback(progress)
                yield from record(world, version, restore, undone)
            case _:  # only upgrade steps are left, which the type checker sees too
                yield from perform_upgrade(world, step)
        return progress

    def _take_snapshot(self) -> Iterator[str]:
        """If an earlier attempt may have begun to migrate, the current database is no longer the one from before."""
        world, name = self._world, self._started.snapshot
        if self._started.migrated_before and has_snapshot(world, name):
            yield f"{name} is from before the first attempt, and is kept"
        else:
            refuse_subscriptions(world)  # the database was off when the deployment was planned, or it is new
            world.database.take_snapshot(name)
            yield f"snapshot: {name}"

    def _undone_by_rollback(self, progress: Progress) -> OperationStarted | OperationRecord:
        """What a rollback after this deployment would undo."""
        return self._started if self._last_change is None or self.has_changed(progress) else self._last_change


def _set_gate(world: World, gate: Gate) -> Iterator[str]:
    """If the engine's answer is lost, nginx tells whether it took effect. Raises GraaspLocalError."""
    try:
        world.gate_control.set_gate_flag(gate)
    except GraaspLocalError as error:
        if world.edge.gate() is not gate:
            raise
        yield f"{error.what} nginx nevertheless reports that the gate is {gate.in_words}"


def _prove_migrations(world: World, version: Version, progress: Progress) -> None:
    image, applied = world.images.image_migrations(version), world.database.applied_migrations()
    failures = proof_failures(image, applied, progress.pending or ())
    if failures:
        raise NeedsYou(f"The migrations of {version} cannot be verified. {' '.join(failures)}")
