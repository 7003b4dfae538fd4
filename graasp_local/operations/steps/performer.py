"""Carries out each kind of step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from graasp_local.backup.keep import delete_old_backups
from graasp_local.errors import GraaspLocalError, Interrupted, NeedsYou
from graasp_local.images.deployed import record_deployment
from graasp_local.images.pins import as_images
from graasp_local.journal.events import OperationStarted
from graasp_local.journal.read import read_recent
from graasp_local.journal.records import OperationRecord, was_restored_before
from graasp_local.operations.steps.backing_up import see_to_backup
from graasp_local.operations.steps.ending_connections import end_connections
from graasp_local.operations.steps.having_images import (
    delete_unneeded_tags,
    deployed,
    pull_missing,
    restore_images,
    select_images,
    share_images,
)
from graasp_local.operations.steps.migrating import await_migrations, check_forecast, end_migrations, run_migration
from graasp_local.operations.steps.preflight import check_edge, check_preflight, check_stack
from graasp_local.operations.steps.proving import POLL_SECONDS, prove, verify_core, verify_replicas
from graasp_local.operations.steps.restoring import perform_data_step, tidy_up
from graasp_local.operations.steps.rolling import perform_rolling, still_running
from graasp_local.operations.steps.starting import (
    forget_old_addresses,
    make_missing_databases,
    needed,
    start_with_last_words,
    wait_until_on,
)
from graasp_local.operations.steps.upgrading import perform_upgrade
from graasp_local.operations.steps.written_snapshot import (
    drop_written_but,
    has_snapshot,
    load_snapshot,
    report_what_was_written,
    write_snapshot,
)
from graasp_local.planning.data_steps import CheckBackup, LoadDatabase, PutInPlace, TakeOut, UnpackFiles
from graasp_local.planning.migrations import proof_failures
from graasp_local.planning.rolling_steps import (
    DrainSide,
    LeadVisitors,
    ProveSide,
    RemoveHandover,
    ReplaceInTurn,
    StartHandover,
)
from graasp_local.planning.states import Gate, ServiceGroup
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

_QUIET_LOOKS = 2
"""A request that nginx has just let through has no connection to core yet; the next look finds it."""

_NOTHING_MADE: tuple[tuple[str, ...], Version | None] = ((), None)
"""Services whose containers were created but not started yet, and for which version."""


class Performer:
    """Does the steps of one operation; remembers between them what was pending.

    If an earlier attempt may have begun to migrate, the snapshot is from before that. `last_change` is the deployment
    that a rollback would undo if this one turns out to have changed nothing.
    """

    def __init__(self, world: World, started: OperationStarted, last_change: OperationRecord | None = None) -> None:
        self._world = world
        self._started = started
        self._snapshot = started.snapshot
        self._snapshot_is_from_before = started.migrated_before
        self._restore_number = started.plan.restore.number if started.plan.restore else ""
        self._last_change = last_change
        self._newly: tuple[str, ...] | None = None
        """What is pending; None until it has been read."""
        self._gate_is_shut = False
        self._made = _NOTHING_MADE
        self._ahead: set[str] = set()
        """Services that a later step is to start, and that are starting already."""

    def is_needed(self, step: Step) -> bool:
        """A plan includes a migration if it was not known yet that nothing is pending."""
        return not (isinstance(step, Migrate) and self._newly == () and not self._snapshot_is_from_before)

    @property
    def has_changed(self) -> bool:
        """Whether what is selected, or the database, differs from before the operation."""
        before, now = self._started, self._world.site.selection
        version = Version.parse_or_none(before.previous_version)
        if before.migrated_before or self._newly or version is None or version != now.version:
            return True
        was, is_now = (deployed(self._world, version, images) for images in (before.previous_images, now.images))
        if was is None or is_now is None:
            return was is not is_now
        pins = {pin.service: pin for pin in was.pins}
        return any(pin.service not in pins or not pin.is_same_image(pins[pin.service]) for pin in is_now.pins)

    def work_in(self, world: World) -> None:
        """Work with other settings of the same site from now on."""
        self._world, self._made = world, _NOTHING_MADE

    def perform(self, step: Step) -> Iterator[str]:
        """Do one step. Yields lines for people; raises GraaspLocalError if it could not be done."""
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
                yield f"those in {world.site.directory} stay as they are: the next change of state uses them"
            case RestoreImages(version=version, images=images):
                self._made, self._ahead = (
                    _NOTHING_MADE,
                    set(),
                )  # of other images, if not of another version
                world.migrations.remove_made_migrations()
                yield from restore_images(world, version, images)
            case ShareImages(version=version):
                yield from share_images(world, version)
            case ReadMigrations():
                pending = check_forecast(world, step)
                self._newly = pending.tags
                yield f"pending: {', '.join(pending.tags) or 'none'}"
            case BackUpDatabase():
                yield from see_to_backup(world, step)
            case CheckBackup() | LoadDatabase() | UnpackFiles() | PutInPlace() | TakeOut():
                yield from perform_data_step(world, step)
            case RemoveHandover():
                yield from perform_rolling(world, step)
                self.end_shutting()
            case StartHandover() | ProveSide() | LeadVisitors() | DrainSide() | ReplaceInTurn():
                yield from perform_rolling(world, step)
            case CheckEdge():
                yield from check_edge(world)
            case CheckStack(services=services, version=version):
                yield from check_stack(world, services, version)
            case CloseGate(sealed=sealed):
                yield from self._set_gate(Gate.SEALED if sealed else Gate.CLOSED)
            case OpenGate():
                yield from self._set_gate(Gate.OPEN)
            case SealGate():
                world.gate_control.seal_gate()
            case UnsealGate():
                yield from self._set_gate(Gate.CLOSED)
            case ProveGate(gate=gate):
                prove(
                    world,
                    lambda: world.edge.gate_failures(gate),
                    f"The gate could not be verified to be {gate.in_words}",
                )
            case Drain(limit_seconds=limit):
                yield from self._drain(limit)
            case EndConnections(limit_seconds=limit):
                yield from end_connections(world, limit)
            case StopServices(services=services):
                try:
                    world.containers.stop(services)
                finally:
                    self.end_shutting()
            case RemakeNetworks():
                self._made, self._ahead = _NOTHING_MADE, set()
                world.containers.remake_networks()
            case StartServices(services=services, writers=writers):
                yield from make_missing_databases(world, services)
                if step.group is ServiceGroup.GRAASP:
                    world.database.admit()
                if step.group is not ServiceGroup.DATABASE:
                    self._start_ahead(step.ahead)
                yield from start_with_last_words(world, services, partial(self._start, step))
                if step.ahead and step.group is ServiceGroup.DATABASE and self._started.plan.version is not None:
                    with suppress(GraaspLocalError):  # the step that needs them reports it
                        world.images.image_migrations(self._started.plan.version)
                yield from wait_until_on(world, needed(world, services) if writers else services, step.first_of)
                if step.group is ServiceGroup.DATABASE:
                    self._start_ahead(step.ahead)
                yield from forget_old_addresses(world, services)
            case StartReplicas(services=services):
                yield from start_with_last_words(world, services, partial(world.containers.start, services))
                yield from wait_until_on(world, services)
            case MakeServices(services=services, version=version, migration=migration):
                try:
                    world.containers.make((*services, *(("migrate",) if migration else ())), version)
                    self._made = services, version
                except NeedsYou as error:  # nothing needs them before they are started, which also creates them
                    yield f"{listed(services)} could not be made yet: {error.what}"
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
                    yield f"{'made' if is_new else 'there is'} the database {name}"
            case Snapshot():
                # If an earlier attempt may have begun to migrate, this is no longer the database from before.
                if self._snapshot_is_from_before and has_snapshot(world, self._snapshot):
                    yield f"{self._snapshot} is from before the first attempt, and is kept"
                else:
                    world.database.take_snapshot(self._snapshot)
                    yield f"snapshot: {self._snapshot}"
            case WriteSnapshot():
                yield from write_snapshot(world, self._snapshot)
            case SwapBack(snapshot=snapshot):
                yield from load_snapshot(world, snapshot)
                if step.written:
                    yield from report_what_was_written(world, snapshot)
                kept = world.database.swap_back(snapshot, until_removed=step.written)
                yield f"the database of the failed deployment is kept as {kept}"
            case MakeMigration(version=version):
                world.migrations.make_migration(version)
            case Migrate():
                with world.database.migration_lock():
                    made = yield from run_migration(world, step)
                    if step.creates:
                        self._made = made, step.version
            case ProveMigrations(version=version):
                self._prove_migrations(version)
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
                record_deployment(world.site.deployments_file, version, world.clock.now(), world.images.pins(version))
                yield from self._let_images_go(version)
                yield from self._drop_old_snapshots()
                yield from delete_old_backups(world)
                if self._restore_number or was_restored_before(read_recent(world.site.journal_directory).operations):
                    yield from tidy_up(world, self._restore_number)
            case _:  # only upgrade steps are left, which the type checker sees too
                yield from perform_upgrade(world, step)

    def _start(self, step: StartServices) -> None:
        containers, selected = self._world.containers, self._world.site.selected_version
        made, version = self._made
        if selected is not None and step.made_too and version != selected:
            # One command for all of them: Compose takes longer to get going than most containers take to start.
            made, version = (*step.services, *step.made_too), selected
            containers.make(made, selected)
        if {*step.services} <= self._ahead:
            self._ahead -= {*step.services}
            return
        # A service outside the graasp group is the same in every version.
        is_selected = step.group is not ServiceGroup.GRAASP or (selected is not None and version == selected)
        if is_selected and {*step.services} <= {*made}:
            containers.start_made(step.services, step.first_of)
            self._made = tuple(name for name in made if name not in step.services), version
        else:
            containers.start(step.services, step.first_of)

    def _start_ahead(self, services: tuple[str, ...]) -> None:
        """Only containers created in this operation; one that fails here is started by its own step, which says why."""
        made, version = self._made
        if services and {*services} <= {*made}:
            with suppress(GraaspLocalError):
                self._world.containers.start_made(services)
                self._made = tuple(name for name in made if name not in services), version
                self._ahead |= {*services}

    def _set_gate(self, gate: Gate) -> Iterator[str]:
        """If the engine's answer is lost, nginx tells whether it took effect. Raises GraaspLocalError."""
        self._gate_is_shut = False
        try:
            self._world.gate_control.set_gate_flag(gate)
        except GraaspLocalError as error:
            if self._world.edge.gate() is not gate:
                raise
            yield f"{error.what} nginx nevertheless reports that the gate is {gate.in_words}"

    def _drain(self, limit: float) -> Iterator[str]:
        """Wait for requests in flight; those still running at the limit are cut when core stops, and that is reported.

        People with the bypass would go on sending requests, so the gate is sealed until core has stopped.
        """
        if self._world.edge.gate() is not Gate.SEALED:  # otherwise it is to stay sealed after this too
            self._gate_is_shut = True
            self._world.gate_control.seal_gate()
        clock = self._world.clock
        deadline = clock.monotonic() + limit
        quiet_looks = 0
        while True:
            in_flight = self._world.gate_control.requests_in_flight()
            quiet_looks = quiet_looks + 1 if in_flight == 0 else 0
            if quiet_looks == _QUIET_LOOKS:
                held_open = self._world.old_connections.open()
                if held_open:
                    yield f"{held_open} connection(s) still open, such as websockets, end with core"
                return
            if in_flight != 0 and clock.monotonic() >= deadline:
                yield still_running(in_flight, limit, self._world.gate_control.upload_bytes_to_come())
                return
            if in_flight != 0 and self._world.interruption.requested:
                self.end_shutting()
                raise Interrupted("Interrupted while requests in flight were finishing.")
            clock.sleep(POLL_SECONDS)

    def end_shutting(self) -> None:
        """Let the bypass through again if draining sealed the gate: core has stopped, or will not be stopped."""
        if self._gate_is_shut:
            self._world.gate_control.set_gate_flag(Gate.CLOSED)
            self._gate_is_shut = False

    def _prove_migrations(self, version: Version) -> None:
        world = self._world
        failures = proof_failures(
            world.images.image_migrations(version), world.database.applied_migrations(), self._newly or ()
        )
        if failures:
            raise NeedsYou(f"The migrations of {version} cannot be verified. {' '.join(failures)}")

    def _let_images_go(self, version: Version) -> Iterator[str]:
        """Images that are kept longer than necessary do not make a deployment fail."""
        came_from = self._undone_by_rollback
        previous = Version.parse_or_none(came_from.previous_version)
        before = deployed(self._world, previous, came_from.previous_images) if previous else None
        try:
            yield from delete_unneeded_tags(self._world, version, before)
        except NeedsYou as error:
            yield f"images of earlier deployments are still kept: {error}"

    @property
    def _undone_by_rollback(self) -> OperationStarted | OperationRecord:
        """What a rollback after this deployment would undo."""
        return self._started if self.has_changed or self._last_change is None else self._last_change

    def _drop_old_snapshots(self) -> Iterator[str]:
        """Only one snapshot is needed from now on. One that cannot be removed does not make the deployment fail."""
        needed = self._undone_by_rollback.snapshot
        try:
            for name in self._world.database.drop_snapshots_but(needed):
                yield f"removed {name}"
            yield from drop_written_but(self._world, needed)
        except (NeedsYou, OSError) as error:
            yield f"snapshots of earlier operations could not be removed: {error}"
