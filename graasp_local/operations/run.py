"""A walk from beginning to end: forecast, plan, lock, journal, execution, rollback. What every interface calls.

Knows the order of these and nothing of how each is done. Refuses a start that would put old code onto a database of
which it is not certain that it is old. What can be done after a deployment is recovery.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.errors import GraaspLocalError, NeedsYou, Refused
from graasp_local.journal.events import Event, Probed, WalkEnded, WalkStarted
from graasp_local.journal.read import read_walks, trusted_walks
from graasp_local.journal.records import (
    WRITING_NAMES,
    WalkRecord,
    last_change,
    left_connections_open,
    may_be_written,
    seconds_by_step,
    state_left,
    uncertain_migration,
    unfinished_walk,
    visitors_were_let_in,
)
from graasp_local.journal.write import Journal
from graasp_local.lock import Patience, held_lock
from graasp_local.operations.closed_time import timed, with_closing
from graasp_local.operations.execute import Circumstances, execute
from graasp_local.operations.rollouts import by_strategy, rolling_recovery
from graasp_local.operations.steps import Performer
from graasp_local.operations.steps.having_images import other_images, way_back
from graasp_local.operations.steps.migrating import read_pending
from graasp_local.operations.steps.preflight import check_preflight, check_transition
from graasp_local.operations.steps.written_snapshot import has_snapshot
from graasp_local.operations.trying import tried_first
from graasp_local.operations.upgrades import upgrade_recovery
from graasp_local.planning.data_steps import PutInPlace
from graasp_local.planning.estimate import Estimate, estimate_downtime
from graasp_local.planning.migrations import Forecast, NotKnownYet
from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_deploy import DeployRequest, plan_deploy, plan_rollback
from graasp_local.planning.plan_restore import plan_unrestore
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.server import Way
from graasp_local.planning.states import TABLE, Gate, InfraState, ObservedState, ServiceGroup, came_from, state_named
from graasp_local.planning.steps import Migrate, OpenGate, RecordDeployment, RestoreImages, Step, SwapBack
from graasp_local.ports.walk import ImageFact, Prober
from graasp_local.ports.world import World
from graasp_local.postgres.database import snapshot_name
from graasp_local.site import prepare
from graasp_local.version import Version
from graasp_local.wording import listed

Planner = Callable[[ObservedState], Plan]

_WALKS_FOR_ESTIMATES = 10
"""So many walks say how long the steps of the next one take."""


class OnFailure(StrEnum):
    """What is done when a deployment fails after it touched the site."""

    ROLLBACK = "rollback"
    HOLD = "hold"


class Walk(Struct, frozen=True):
    """What is to be walked: how it is planned, what was typed, what its journal file is called after."""

    planner: Planner
    command: str
    name: str
    shown: Plan | None = None
    """The plan that a person agreed to: if it is no longer the one that would be carried out, nothing is."""
    on_failure: OnFailure = OnFailure.HOLD
    lock_wait: float = 0.0
    """Seconds to wait for a walk that is under way."""
    prober: Prober | None = None
    """Says what visitors met meanwhile."""


def make_plan(planner: Planner, observed: ObservedState) -> Plan:
    """Plan; whatever fails while nothing was changed yet is a refusal."""
    try:
        return planner(observed)
    except NeedsYou as error:
        raise Refused(error.what, "Nothing was changed.", error.next_step) from error
    except OSError as error:  # a full disk, permissions: Compose is given files that are written for it
        if error.errno is None:
            raise Refused(f"{type(error).__name__}: {error}.", "Nothing was changed.") from error
        raise Refused(
            f"{error.filename or 'A file of the site'} cannot be used: {error.strerror or error}.",
            "Nothing was changed.",
            "Make room, or mend its permissions, then try again.",
        ) from error


def transition_plan(world: World, observed: ObservedState, target: InfraState) -> Plan:
    """The plan for `apply`. Raises Refused where things must not be changed as they are."""
    if observed.migrations:
        raise Refused(
            f"A migration is running ({listed(observed.migrations)}).",
            "Nothing was changed: what it needs must stay as it is.",
            "`graasp-local resume` waits for it and goes on, `graasp-local rollback` ends it and goes back.",
        )
    if target is not InfraState.STOPPED:
        refuse_unfinished_upgrade(world)
    if ServiceGroup.GRAASP in TABLE[target].groups_on:
        _refuse_uncertain_code(world, target)
    newest = read_walks(world.site.journal_directory, newest=1)
    left_open = bool(newest) and left_connections_open(newest[0])
    plan = plan_transition(observed, target, world.site.selected_version, left_open=left_open)
    if plan.steps:
        check_transition(world, plan.services_started)
    return tried_first(world, plan)


def deployment_plan(world: World, observed: ObservedState, request: DeployRequest) -> Plan:
    """The plan for `deploy`, after the checks that need nothing to be changed. Raises Refused."""
    refuse_unfinished_upgrade(world)
    found = check_preflight(world, request.version)
    request = replace(request, other_images=other_images(world, request.version))
    if request.needs_way_back:
        _refuse_without_way_back(world, request.version)
    pending = forecast(world, observed, request.version, found.images)
    if not plan_deploy(observed, request, pending, found.copy).steps and _is_unrecorded(world, request.version):
        record = RecordDeployment(request.version, "it was cut off before it was recorded")
        return Plan(request.end, (record,), request.version)
    walk = plan_deploy(observed, request, pending, found.copy)
    return tried_first(world, by_strategy(world, observed, request, pending, walk))


def _is_unrecorded(world: World, version: Version) -> bool:
    left = unfinished_walk(trusted_walks(world.site.journal_directory))
    return left is not None and left.restore is None and left.version == str(version) and not left.is_way_back


def _refuse_without_way_back(world: World, version: Version) -> None:
    """Raises Refused where the version that is served could not be brought back if this one fails.

    Nothing is asked of a site that was left in the midst of a deployment: it needs a way on.
    """
    served = world.site.selected_version
    if served is None or unfinished_walk(trusted_walks(world.site.journal_directory)) is not None:
        return
    lost = way_back(world, served).lost
    if lost:
        raise Refused(
            f"If {version} fails, {'what runs now' if served == version else served} cannot be restored: the image of "
            f"{listed(lost)} is neither on this machine nor in the registry any more.",
            "Nothing was changed.",
            f"Build or load the images of {served} again, or pass `--on-failure hold` to deploy without a way back.",
        )


def forecast(world: World, observed: ObservedState, version: Version, images: Sequence[ImageFact]) -> Forecast:
    """What is pending, if the database is on and the migrate image is on this machine already. Raises Refused."""
    if observed.migrations or not observed.group_is_on(ServiceGroup.DATABASE):
        return NotKnownYet()
    if not any(image.service == "migrate" and image.local for image in images):
        return NotKnownYet()
    return read_pending(world, version)


def downtime_estimate(world: World, plan: Plan) -> Estimate | None:
    """How long the plan will keep the site closed, from its own history where it has one; None if it is not open."""
    if world.edge.gate() is not Gate.OPEN:
        return None
    return estimate_downtime(
        plan, seconds_by_step(read_walks(world.site.journal_directory, newest=_WALKS_FOR_ESTIMATES))
    )


def run(world: World, walk: Walk) -> Iterator[Event]:
    """Plan and carry out under the site's lock, writing the journal. Raises Locked if another walk is under way."""
    prepare.refuse_if_not_ours(world.site)
    prepare.prepare(world.site)
    patience = Patience(walk.lock_wait, world.clock, world.interruption)
    with held_lock(world.site.lock_file, walk.command, patience):
        if _last_walk_was_killed(world):
            world.engine.wait_for_leftovers()
        before = world.observe()
        plan = make_plan(walk.planner, before)
        if walk.shown is not None and plan != walk.shown:
            raise Refused(
                "The site has changed since the plan was shown.", "Nothing was changed.", "Start the command again."
            )
        earlier = trusted_walks(world.site.journal_directory)
        _refuse_over_a_restore(plan, unfinished_walk(earlier))
        journal = _new_journal(world, walk.name)
        started = replace(_started(world, journal.walk, walk.command, plan, before, earlier), gate=before.gate)
        performer = Performer(world, started, last_change(earlier))

        def perform(step: Step) -> Iterator[str]:
            journal.raise_trouble()
            yield from performer.perform(step)

        def recover(tried: tuple[Step, ...]) -> Plan | None:
            # Before anything is done to it: it says whether visitors were let in.
            gate = world.edge.gate() if _tells_to_open(tried) else Gate.UNKNOWN
            with suppress(GraaspLocalError):  # the engine is away; whatever comes next sees that the gate is shut
                performer.end_shutting()
            return _recovery(world, walk.on_failure, started, tried, gate)

        circumstances = Circumstances(
            perform, world.observe, recover, world.clock, world.interruption, performer.is_needed
        )
        try:
            events = probed(execute(started, before, circumstances), walk.prober)
            for event, at in with_closing(timed(events, world.clock), earlier):
                if isinstance(event, WalkEnded) and plan.version is not None and plan.restore is None:
                    event = replace(event, changed=performer.has_changed)
                journal.write(event, at)
                yield event
        finally:
            journal.close()


def _last_walk_was_killed(world: World) -> bool:
    newest = read_walks(world.site.journal_directory, newest=1)
    return bool(newest) and newest[0].outcome is None


def probed(events: Iterator[Event], prober: Prober | None) -> Iterator[Event]:
    """The same events, with what visitors met before the last one."""
    if prober is None:
        yield from events
        return
    prober.start()
    for event in events:
        if isinstance(event, WalkEnded):
            yield Probed(prober.stop(Gate.OPEN if event.state == InfraState.RUNNING else Gate.CLOSED))
        yield event


def _refuse_over_a_restore(plan: Plan, earlier: WalkRecord | None) -> None:
    if plan.version is None or plan.restore is not None or earlier is None or earlier.restore is None:
        return
    if earlier.database_is_changed:
        raise Refused(
            f"The restore {earlier.walk} was left unfinished, with the data of the backup partly or all in place.",
            "A deployment would not know which data it works on; nothing was changed.",
            "`graasp-local resume` goes on with the restore, `graasp-local rollback` goes back.",
        )


def _new_journal(world: World, name: str) -> Journal:
    """A journal that can be written to its end. Raises Refused."""
    try:
        return Journal(world.site.journal_directory, name, world.clock.now())
    except OSError as error:
        raise Refused(
            f"The journal in {world.site.journal_directory} cannot be written: {error.strerror}.",
            "Nothing was changed: a walk without a journal could not be gone on with after a crash.",
            "Make room, or mend the directory's permissions, then try again.",
        ) from error


def _started(
    world: World, walk: str, command: str, plan: Plan, before: ObservedState, walks: Sequence[WalkRecord]
) -> WalkStarted:
    """Where the walk comes from; a deployment that goes on from an unfinished one comes from where that one came."""
    earlier, snapshot = unfinished_walk(walks), snapshot_name(walk)
    written = earlier is not None and earlier.database_is_changed and visitors_were_let_in(walks, earlier, before.gate)
    if plan.restore is not None and earlier is not None and earlier.database_is_changed:
        # Only the very same restore knows what it has put aside: any other has nothing certain to go back to.
        goes_on = earlier.restore is not None and earlier.restore.number == plan.restore.number
        return WalkStarted(
            walk,
            command,
            plan,
            earlier.came_from,
            earlier.previous_version if goes_on else "",
            earlier.previous_images if goes_on else (),
            snapshot,
            goes_on,
            goes_on and written,
        )
    back = next((step.snapshot for step in plan.steps if isinstance(step, SwapBack)), None)
    if earlier is not None and earlier.is_way_back and back is None and earlier.database_is_changed:
        earlier = None  # somebody changed their mind: the database that was to be discarded is kept after all
    if earlier is not None and written and back is None and earlier.version != str(plan.version):
        earlier = None  # what visitors wrote with its version is what this one must not lose
    if earlier is not None and plan.can_be_resumed:
        inherited = earlier.database_is_changed and _has_snapshot(world, before, earlier.snapshot)
        if inherited:
            snapshot = earlier.snapshot
        return WalkStarted(
            walk,
            command,
            plan,
            earlier.came_from,
            earlier.previous_version,
            earlier.previous_images,
            snapshot,
            inherited,
            inherited and written,
            inherited and may_be_written(walks, earlier),
        )
    selected = world.site.selection
    origin = came_from(before, state_left(walks))
    if back is not None:
        written = any(isinstance(step, SwapBack) and step.written for step in plan.steps)
        images = next((step.images for step in plan.steps if isinstance(step, RestoreImages)), ())
        return WalkStarted(
            walk, command, plan, origin, str(plan.version), images, back, migrated_before=True, may_be_written=written
        )
    return WalkStarted(walk, command, plan, origin, str(selected.version or ""), selected.images, snapshot)


def _has_snapshot(world: World, before: ObservedState, name: str) -> bool:
    """Taken to be there while the database is off and cannot be asked."""
    return not before.group_is_on(ServiceGroup.DATABASE) or has_snapshot(world, name)


def _recovery(
    world: World, on_failure: OnFailure, started: WalkStarted, tried: tuple[Step, ...], gate: Gate
) -> Plan | None:
    """The way back from a walk that failed after these steps; None where there is none, or none is wanted.

    The last of them may have had its effect and only its answer be lost: the database counts as changed by it, and
    visitors as let in, unless nginx answers (`gate`) that they are not.
    """
    told_to_open = _tells_to_open(tried)
    if _tells_to_open(tried[:-1]) or (told_to_open and gate not in (Gate.CLOSED, Gate.SHUT)):
        return None
    if on_failure is OnFailure.HOLD or started.written_before:
        return None
    try:
        observed = world.observe()
        if told_to_open:
            observed = replace(observed, gate=Gate.OPEN)  # an answer that came late may open it yet: it is closed again
        return _way_back(world, observed, started, tried)
    except (GraaspLocalError, OSError):  # the engine is away: the first error is the one to tell
        return None


def _tells_to_open(tried: tuple[Step, ...]) -> bool:
    return any(isinstance(step, OpenGate) for step in tried)


def _way_back(world: World, observed: ObservedState, started: WalkStarted, tried: tuple[Step, ...]) -> Plan | None:
    plan, previous = started.plan, Version.parse_or_none(started.previous_version)
    if plan.upgrade is not None:
        goes_there = plan.upgrade.way is Way.THERE
        return upgrade_recovery(world, observed, plan.upgrade, started.came_from) if goes_there else None
    if previous is None:
        return None
    end = state_named(started.came_from) or InfraState.RESTRICTED
    if plan.restore is not None:
        if plan.restore.way is Way.BACK:
            return None
        begun = started.migrated_before or any(isinstance(step, PutInPlace) for step in tried)
        images = started.previous_images
        return plan_unrestore(observed, plan.restore, previous, end, was_begun=begun, images=images)
    if plan.goes_back:
        return None
    images = started.previous_images
    if plan.keeps_open and plan.version is not None:
        return rolling_recovery(world, observed, tried, previous, images)
    migrated = started.migrated_before or any(isinstance(step, Migrate) for step in tried)
    names = {step.name for step in tried}
    written = started.may_be_written or not names.isdisjoint(WRITING_NAMES)
    snapshot = started.snapshot if migrated else None
    return plan_rollback(observed, previous, snapshot, end, written=written, images=images)


def refuse_unfinished_upgrade(world: World) -> None:
    """Raises Refused while it is open which of two database servers is the site's."""
    left = unfinished_walk(trusted_walks(world.site.journal_directory))
    if left is not None and left.upgrade is not None:
        raise Refused(
            f"The walk {left.walk} was left between Postgres {left.upgrade.source_major} and "
            f"{left.upgrade.target_major}.",
            "What would be written now could be lost by going on, or by going back; nothing was changed.",
            "`graasp-local resume` goes on, `graasp-local rollback` goes back.",
        )


def _refuse_uncertain_code(world: World, target: InfraState) -> None:
    selected = world.site.selected_version
    if selected is None:
        raise Refused(
            f"No version was deployed to this site yet, so there is nothing that {target} could start.",
            "Nothing was changed.",
            "Deploy one: `graasp-local deploy --version X`.",
        )
    uncertain = uncertain_migration(trusted_walks(world.site.journal_directory))
    if uncertain is not None:
        raise Refused(
            f"The walk {uncertain.walk} ended during a migration to {uncertain.version}.",
            f"Starting {selected} now could put old code onto a migrated database; nothing was changed.",
            "`graasp-local resume` goes on, `graasp-local rollback` goes back.",
        )
