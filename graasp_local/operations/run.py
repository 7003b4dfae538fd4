"""An operation from beginning to end: plan, lock, journal, execution, rollback. What every interface calls.

Only knows the order: deployments.py, recovery.py and the modules next to them turn a request into a plan, and steps/
carries out each step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.errors import ConfigurationError, GraaspLocalError, NeedsYou, Refused
from graasp_local.journal.events import Event, OperationEnded, OperationStarted, Outcome, Probed
from graasp_local.journal.read import read_operations, trusted_operations
from graasp_local.journal.records import (
    WRITING_NAMES,
    OperationRecord,
    last_change,
    may_be_written,
    runs_by_step,
    state_left,
    unfinished_operation,
    visitors_were_let_in,
)
from graasp_local.journal.write import Journal
from graasp_local.lock import Patience, held_lock
from graasp_local.operations.closed_time import timed, with_closing
from graasp_local.operations.deployments import apply_plan, deploy_request, deployment_plan, scale_plan, transition_plan
from graasp_local.operations.execute import Runtime, execute
from graasp_local.operations.recovery import resume_plan, rollback_plan
from graasp_local.operations.restores import restore_plan
from graasp_local.operations.rollouts import rolling_recovery
from graasp_local.operations.steps import Performer
from graasp_local.operations.steps.written_snapshot import has_snapshot
from graasp_local.operations.upgrades import upgrade_plan, upgrade_recovery
from graasp_local.planning.data_steps import PutInPlace
from graasp_local.planning.estimate import Estimate, estimate_downtime, refuse_longer
from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_deploy import plan_back_to_nothing, plan_rollback
from graasp_local.planning.plan_restore import plan_unrestore
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.requests import (
    ChangeState,
    Deploy,
    OnFailure,
    Request,
    Restore,
    Resume,
    Rollback,
    Rotate,
    Scale,
    UpgradeDatabase,
    on_failure_of,
)
from graasp_local.planning.rolling_steps import StartHandover
from graasp_local.planning.server import GRAASP_DATABASE, Direction
from graasp_local.planning.states import (
    Gate,
    InfraState,
    ObservedState,
    ServiceGroup,
    came_from,
    classify,
    state_name,
    state_named,
)
from graasp_local.planning.steps import (
    CloseGate,
    Drain,
    EndConnections,
    Migrate,
    OpenGate,
    RestoreImages,
    SelectImages,
    Snapshot,
    Step,
    SwapBack,
    UseEarlierSettings,
)
from graasp_local.ports.gate import Prober
from graasp_local.ports.world import World
from graasp_local.postgres.database import snapshot_name
from graasp_local.site import prepare, proven
from graasp_local.site.affected import outdated, services_to_recreate
from graasp_local.version import Version
from graasp_local.wording import size_in_words

Planner = Callable[[ObservedState], Plan]

_OPERATIONS_FOR_ESTIMATES = 10
"""How many of the newest operations are used to estimate how long steps take."""


_SHOWN_SECONDS = 600.0
"""How long a shown plan counts as checked, if the site has not changed."""


class Shown(Struct, frozen=True):
    """A plan that a person was asked about, and the site that it was made for."""

    plan: Plan
    before: ObservedState
    files: str
    """A digest of the contents of the site's files."""
    at: float


class RunOptions(Struct, frozen=True):
    """How any operation is run, as opposed to what it does to the site."""

    shown: Shown | None = None
    """The plan that was agreed to: if a different one would be carried out now, nothing is done."""
    lock_wait: float = 0.0
    """Seconds to wait for an operation that is already running."""
    max_downtime: float | None = None
    """The operation is refused if the forecast is more seconds closed than this."""


_USUAL = RunOptions()


def planner_of(world: World, request: Request) -> Planner:
    """The function that turns a request into a plan, given the observed site."""
    match request:
        case ChangeState(state=state, drain_limit=limit):
            return lambda observed: apply_plan(world, observed, state, limit)
        case Deploy():
            return lambda observed: deployment_plan(world, observed, deploy_request(world, request))
        case Resume():
            return lambda observed: _taking_up_settings(world, resume_plan(world, observed))
        case Rollback(discard_written_since=discard):
            return lambda observed: _taking_up_settings(world, rollback_plan(world, observed, discard=discard))
        case Restore():
            return lambda observed: restore_plan(world, observed, request)
        case UpgradeDatabase():
            return lambda observed: upgrade_plan(world, observed, request)
        case Scale(wanted=wanted):
            return lambda observed: scale_plan(world, observed, wanted)
        case Rotate():
            return lambda observed: _rotation_plan(world, observed, request)


def _rotation_plan(world: World, observed: ObservedState, request: Rotate) -> Plan:
    """Recreate the services that use the new secrets, in the state that the site is in."""
    services = services_to_recreate(world.site, request.keys)
    left_in = state_left(read_operations(world.site.journal_directory, newest=1))
    return transition_plan(world, outdated(observed, services), InfraState(came_from(observed, left_in)))


def shown_plan(world: World, request: Request) -> Shown:
    """The plan to show, whether or not a question follows. Raises Refused."""
    files, world = _files_of(world), settings_for(world, request)
    before = world.observe()
    plan = make_plan(planner_of(world, request), before)
    return Shown(plan, before, files, world.clock.now())


def settings_for(world: World, request: Request) -> World:
    """The world that a request works with: a rollback uses the settings with which the site was last known to work.

    Except after a rollback failed and a person then changed the site's own files: from then on those count again.
    """
    newest = read_operations(world.site.journal_directory, newest=1)
    left = unfinished_operation(trusted_operations(world.site.journal_directory))
    goes_back = isinstance(request, Rollback) or (isinstance(request, Resume) and left is not None and left.is_way_back)
    if not goes_back or (newest and newest[0].outcome == Outcome.FAILED and _changed_since(world, newest[0])):
        return world
    return _as_it_ran(world) or world


def _changed_since(world: World, record: OperationRecord) -> bool:
    ended = datetime.fromisoformat(record.at).timestamp() + (record.seconds or 0.0)
    return proven.changed_at(world.site) > ended


def _as_it_ran(world: World) -> World | None:
    """The world with the settings with which the site was last known to work; None if the current ones are to stay."""
    if world.site.kept is not None:
        return None
    kept = proven.as_proven(world.site)
    return world.with_site(kept) if kept is not None else None


def _taking_up_settings(world: World, plan: Plan) -> Plan:
    """The plan, with a first step that says so if it is carried out with earlier settings."""
    if world.site.kept is None or not plan.steps:
        return plan
    changed = proven.changed_since(world.site, world.site)
    step = UseEarlierSettings(changed, "what ran before was last known to work with them")
    return replace(plan, steps=(step, *plan.steps))


def make_plan(planner: Planner, observed: ObservedState) -> Plan:
    """Plan; since nothing was changed yet, any failure is a refusal."""
    try:
        return planner(observed)
    except NeedsYou as error:
        raise Refused(error.what, "Nothing was changed.", error.next_step) from error
    except OSError as error:  # a full disk, permissions: planning writes files for Compose
        if error.errno is None:
            raise Refused(f"{type(error).__name__}: {error}.", "Nothing was changed.") from error
        raise Refused(
            f"{error.filename or 'A file of the site'} cannot be used: {error.strerror or error}.",
            "Nothing was changed.",
            "Free some space or fix its permissions, then try again.",
        ) from error


def running_requests(world: World, plan: Plan) -> str:
    """The requests that core is working on and that the plan gives time to finish, as sentences; empty if none."""
    limit = next((step.limit_seconds for step in plan.steps if isinstance(step, Drain | EndConnections)), None)
    count = world.gate_control.requests_in_flight() if limit is not None else 0
    if not count:
        return ""
    running = "1 request is" if count == 1 else f"{count} requests are"
    to_come = world.gate_control.upload_bytes_to_come()
    if to_come is None:
        uploads = "how much of the uploads is still to come is unknown"
    else:
        uploads = f"about {size_in_words(to_come)} of uploads are still to come" if to_come else "no upload among them"
    return f"{running} running now, {uploads}. What takes longer than {limit:g} s after the gate closes is cut off."


def downtime_estimate(world: World, plan: Plan, observed: ObservedState | None = None) -> Estimate | None:
    """How long the plan will keep the site closed, going by the site's own history if it has one; None if it is not
    open now.

    `observed` is what the plan was made for; without it the site is observed again.
    """
    if observed is None:
        observed = world.observe()
    if observed.gate is not Gate.OPEN:
        return None
    runs = runs_by_step(read_operations(world.site.journal_directory, newest=_OPERATIONS_FOR_ESTIMATES))
    return estimate_downtime(plan, runs, _bytes_to_copy(world, plan, observed))


def _bytes_to_copy(world: World, plan: Plan, observed: ObservedState) -> int | None:
    """The size of Graasp's database, if the plan takes a snapshot of it and the database can be asked."""
    if not any(isinstance(step, Snapshot) for step in plan.steps):
        return None
    if observed.group_is_on(ServiceGroup.DATABASE):
        with suppress(GraaspLocalError):
            return world.databases.sizes().get(GRAASP_DATABASE)
    return None


def run(world: World, request: Request, options: RunOptions = _USUAL) -> Iterator[Event]:
    """Plan and carry out under the site's lock, writing the journal. Raises Locked while another operation has it."""
    return carry_out(world, request, None, options)


def carry_out(
    world: World, request: Request, planner: Planner | None = None, options: RunOptions = _USUAL
) -> Iterator[Event]:
    """The same with another planner than the request's own, if one is given."""
    prepare.refuse_if_not_ours(world.site)
    prepare.prepare(world.site)
    patience = Patience(options.lock_wait, world.clock, world.interruption)
    with held_lock(world.site.lock_file, request.command, patience):
        killed_in = _last_step_of_killed(world)
        if killed_in is not None:
            world.containers.wait_for_leftovers(killed_in)
        files, own_files = _files_of(world), proven.own_files(world.site)
        if planner is None:
            world = settings_for(world, request)
            planner = planner_of(world, request)
        before = world.observe()
        _keep_if_proven(world, own_files, state_name(classify(before)))
        plan = _agreed_to(world, options.shown, before, files) or make_plan(planner, before)
        if options.shown is not None and plan != options.shown.plan:
            raise Refused(
                "The site has changed since the plan was shown.", "Nothing was changed.", "Start the command again."
            )
        earlier = trusted_operations(world.site.journal_directory)
        left = unfinished_operation(earlier)
        _refuse_over_a_restore(plan, left)
        estimate = downtime_estimate(world, plan, before)
        refuse_longer(plan, estimate, options.max_downtime)
        asked = _all_that_was_asked(request, left)
        journal = _new_journal(world, request.name)
        begun = _started(world, journal.operation, request, asked, plan, before, earlier)
        started = replace(begun, forecast=estimate)
        performer = Performer(world, started, last_change(earlier))
        used = world  # a rollback may use other settings

        def perform(step: Step) -> Iterator[str]:
            journal.raise_trouble()
            yield from performer.perform(step)

        def recover(tried: tuple[Step, ...]) -> Plan | None:
            # Asked before anything is done to the gate: it tells whether visitors were let in.
            gate = world.edge.gate() if _tells_to_open(tried) else Gate.UNKNOWN
            with suppress(GraaspLocalError):  # the engine is unreachable; the next command sees that the gate is sealed
                performer.end_shutting()
            nonlocal used
            used = _as_it_ran(world) or world
            performer.work_in(used)
            if isinstance(asked, ChangeState):
                back = _state_before(used, started)
            else:
                back = _recovery(used, on_failure_of(asked), started, tried, gate)
            if back is None:
                used = world
                performer.work_in(world)
                return None
            return _taking_up_settings(used, back)

        runtime = Runtime(
            perform, lambda: used.observe(), recover, world.clock, world.interruption, performer.is_needed
        )
        prober = world.prober() if isinstance(asked, Deploy) and asked.probe else None
        try:
            events = probed(execute(started, before, runtime), prober)
            for event, at in with_closing(timed(events, world.clock), earlier):
                if isinstance(event, OperationEnded) and plan.version is not None and plan.restore is None:
                    event = replace(event, changed=performer.has_changed)
                if isinstance(event, OperationEnded) and event.outcome in (Outcome.DONE, Outcome.HELD):
                    _keep_if_proven(world, own_files, event.state)
                journal.write(event, at)
                yield event
        finally:
            journal.close()


def _keep_if_proven(world: World, files: proven.OwnFiles, state: str) -> None:
    """Keep a copy of the site's files if its services work with them and they were not changed since.

    If that is not possible, the operation has still not failed.
    """
    serves = state in (InfraState.RUNNING, InfraState.RESTRICTED)
    with suppress(OSError, UnicodeDecodeError, ConfigurationError):
        if serves and world.site.kept is None and proven.own_files(world.site) == files and not _is_untried(world):
            proven.keep(world.site, files, world.containers.files_used_since)


def _is_untried(world: World) -> bool:
    """Whether a service still runs as it did before the site's files changed, though it does not count as outdated.

    What they say of it is then not known to work.
    """
    kept = proven.as_proven(world.site)
    if kept is None:
        return False
    containers, directory = world.containers, world.site.proven_directory
    with suppress(GraaspLocalError):
        changed_at = proven.changed_at(world.site)
        names = proven.changed_unnoticed(world.site, kept)
        return any(containers.made_from(name, directory) or containers.created_at(name) < changed_at for name in names)
    return True


def _agreed_to(world: World, shown: Shown | None, before: ObservedState, files: str) -> Plan | None:
    """The plan that was shown, if nothing has changed since: its checks are not repeated."""
    if shown is None or world.clock.now() - shown.at > _SHOWN_SECONDS:
        return None
    return shown.plan if (shown.before, shown.files) == (before, files) else None


def _files_of(world: World) -> str:
    """A digest of the site's own files: settings, what is selected, and which operation was the last."""
    site = world.site
    files = (site.env_file, site.override_file, site.version_file)
    # Whether they are text is told by what reads them.
    contents = [file.read_bytes() if file.exists() else b"" for file in files]
    journals = sorted(file.name.encode() for file in site.journal_directory.glob("*.jsonl"))
    return hashlib.sha256(b"\0".join([*contents, *journals[-1:]])).hexdigest()


def _all_that_was_asked(request: Request, left: OperationRecord | None) -> Request:
    """For a `resume`, the request of the operation it continues, apart from what the `resume` itself says."""
    if not isinstance(request, Resume) or left is None:
        return request
    asked = left.asked
    if request.on_failure is not None and isinstance(asked, Deploy | Restore | UpgradeDatabase):
        return replace(asked, on_failure=request.on_failure)
    return asked or request


def _last_step_of_killed(world: World) -> float | None:
    """When the last step of an operation that was killed began, or said its last; None if the last one was not."""
    newest = read_operations(world.site.journal_directory, newest=1)
    if not newest or newest[0].outcome is not None:
        return None
    return (world.site.journal_directory / f"{newest[0].operation}.jsonl").stat().st_mtime


def probed(events: Iterator[Event], prober: Prober | None) -> Iterator[Event]:
    """The same events, with what visitors got inserted before the last one."""
    if prober is None:
        yield from events
        return
    prober.start()
    for event in events:
        if isinstance(event, OperationEnded):
            yield Probed(prober.stop(Gate.OPEN if event.state == InfraState.RUNNING else Gate.CLOSED))
        yield event


def _refuse_over_a_restore(plan: Plan, earlier: OperationRecord | None) -> None:
    if plan.version is None or plan.restore is not None or earlier is None or earlier.restore is None:
        return
    if earlier.database_is_changed:
        raise Refused(
            f"The restore {earlier.operation} was left unfinished: some or all of the backup's data is in place.",
            "A deployment would not know which data it would work on; nothing was changed.",
            "`graasp-local resume` continues the restore, `graasp-local rollback` undoes it.",
        )


def _new_journal(world: World, name: str) -> Journal:
    """A journal with the space to record how the operation ends. Raises Refused."""
    try:
        return Journal(world.site.journal_directory, name, world.clock.now())
    except OSError as error:
        raise Refused(
            f"The journal in {world.site.journal_directory} cannot be written: {error.strerror}.",
            "Nothing was changed: an operation without a journal could not be resumed after a crash.",
            "Free some space or fix the directory's permissions, then try again.",
        ) from error


def _started(
    world: World,
    operation: str,
    request: Request,
    asked: Request,
    plan: Plan,
    before: ObservedState,
    operations: Sequence[OperationRecord],
) -> OperationStarted:
    """Where the operation starts from; one that continues an unfinished deployment starts from where that started."""
    images = next((step.images for step in plan.steps if isinstance(step, RestoreImages)), ())
    begun = OperationStarted(
        operation, request.command, plan, request=request, asked=asked, images=images, gate=before.gate
    )
    earlier, snapshot = unfinished_operation(operations), snapshot_name(operation)
    written = (
        earlier is not None and earlier.database_is_changed and visitors_were_let_in(operations, earlier, before.gate)
    )
    if plan.restore is not None and earlier is not None and earlier.database_is_changed:
        # Only the same restore knows what it has set aside: any other has nothing certain to go back to.
        goes_on = earlier.restore is not None and earlier.restore.number == plan.restore.number
        return replace(
            begun,
            came_from=earlier.came_from,
            previous_version=earlier.previous_version if goes_on else "",
            previous_images=earlier.previous_images if goes_on else (),
            snapshot=snapshot,
            migrated_before=goes_on,
            written_before=goes_on and written,
        )
    back = next((step.snapshot for step in plan.steps if isinstance(step, SwapBack)), None)
    if earlier is not None and earlier.is_way_back and back is None and earlier.database_is_changed:
        earlier = None  # a change of mind: the database that was to be discarded is kept after all
    if earlier is not None and written and back is None and earlier.version != str(plan.version):
        earlier = None  # this operation must not lose what visitors wrote with its version
    if earlier is not None and plan.can_be_resumed:
        inherited = earlier.database_is_changed and _has_snapshot(world, before, earlier.snapshot)
        return replace(
            begun,
            came_from=earlier.came_from,
            previous_version=earlier.previous_version,
            previous_images=earlier.previous_images,
            snapshot=earlier.snapshot if inherited else snapshot,
            migrated_before=inherited,
            written_before=inherited and written,
            may_be_written=inherited and may_be_written(operations, earlier),
        )
    begun = replace(begun, came_from=came_from(before, state_left(operations)))
    if back is not None:
        return replace(
            begun,
            previous_version=str(plan.version),
            previous_images=images,
            snapshot=back,
            migrated_before=True,
            may_be_written=any(isinstance(step, SwapBack) and step.written for step in plan.steps),
        )
    selected = world.site.selection
    return replace(
        begun, previous_version=str(selected.version or ""), previous_images=selected.images, snapshot=snapshot
    )


def _has_snapshot(world: World, before: ObservedState, name: str) -> bool:
    """Assumed to exist while the database is off and cannot be asked."""
    return not before.group_is_on(ServiceGroup.DATABASE) or has_snapshot(world, name)


def _state_before(world: World, started: OperationStarted) -> Plan | None:
    """The plan that undoes a change of state that put changed settings into effect, if these may be why it failed.

    Any other has nothing to put back, and neither has one that was interrupted. A site that served nothing before
    serves nothing afterwards either: a person may have closed it because of the earlier settings.
    """
    before, serving = state_named(started.came_from), (InfraState.RUNNING, InfraState.RESTRICTED)
    rebuilt = next((step for step in started.plan.steps if isinstance(step, SelectImages)), None)
    if before is None or started.plan.target not in serving or world.interruption.requested:
        return None
    if world.site.kept is None and rebuilt is None:
        return None
    with suppress(GraaspLocalError, OSError):  # the engine is unreachable: report the first error
        observed = world.observe()
        if rebuilt is None:
            return plan_transition(observed, before, world.site.selected_version)
        plan = plan_transition(outdated(observed, rebuilt.services), before, world.site.selected_version)
        return replace(plan, steps=(rebuilt.undone("it ran before"), *plan.steps))
    return None


def _recovery(
    world: World, on_failure: OnFailure, started: OperationStarted, tried: tuple[Step, ...], gate: Gate
) -> Plan | None:
    """The rollback of an operation that failed after these steps; None if there is none, or none is wanted.

    The last step may have taken effect with only its answer lost: the database counts as changed by it, and visitors
    as let in, unless nginx answers (`gate`) that they are not.
    """
    told_to_open = _tells_to_open(tried)
    if _tells_to_open(tried[:-1]) or (told_to_open and gate not in (Gate.CLOSED, Gate.SEALED)):
        return None
    if on_failure is OnFailure.HOLD or started.written_before:
        return None
    try:
        observed = world.observe()
        if told_to_open:
            observed = replace(observed, gate=Gate.OPEN)  # a late answer may still open it, so it is closed again
        return _way_back(world, observed, started, tried)
    except (GraaspLocalError, OSError):  # the engine is unreachable: report the first error
        return None


def _tells_to_open(tried: tuple[Step, ...]) -> bool:
    return any(isinstance(step, OpenGate) for step in tried)


def _has_stand_in(tried: tuple[Step, ...]) -> bool:
    """Whether a second core may serve, with the gate open."""
    is_started = any(isinstance(step, StartHandover) for step in tried)
    return is_started and not any(isinstance(step, CloseGate) for step in tried)


def _way_back(world: World, observed: ObservedState, started: OperationStarted, tried: tuple[Step, ...]) -> Plan | None:
    plan, previous = started.plan, Version.parse_or_none(started.previous_version)
    if plan.upgrade is not None:
        goes_there = plan.upgrade.way is Direction.THERE
        return upgrade_recovery(world, observed, plan.upgrade, started.came_from) if goes_there else None
    migrated = started.migrated_before or any(isinstance(step, Migrate) for step in tried)
    written = started.may_be_written or not WRITING_NAMES.isdisjoint(step.name for step in tried)
    snapshot = started.snapshot if migrated else None
    if previous is None and plan.version is not None and plan.restore is None and not plan.goes_back:
        end = state_named(started.came_from) or InfraState.STOPPED
        return plan_back_to_nothing(observed, plan.version, snapshot, end, written=written)
    if previous is None:
        return None
    end = state_named(started.came_from) or InfraState.RESTRICTED
    if plan.restore is not None:
        if plan.restore.way is Direction.BACK:
            return None
        begun = started.migrated_before or any(isinstance(step, PutInPlace) for step in tried)
        images = started.previous_images
        return plan_unrestore(observed, plan.restore, previous, end, was_begun=begun, images=images)
    if plan.goes_back:
        return None
    images = started.previous_images
    if plan.version is not None and (plan.keeps_open or _has_stand_in(tried)):
        return rolling_recovery(world, observed, tried, previous, images)
    return plan_rollback(observed, previous, snapshot, end, written=written, images=images)
