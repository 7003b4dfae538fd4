"""An operation from beginning to end: lock, plan, journal, execution, rollback. What every interface calls.

Only knows the order: plans.py turns the request into a plan, execute.py carries it out, automatic_rollback.py says what
to go back to.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.errors import ConfigurationError, GraaspLocalError, Refused
from graasp_local.journal.events import Event, OperationEnded, OperationStarted, Outcome, Probed
from graasp_local.journal.records import OperationRecord, last_change, unfinished_operation
from graasp_local.journal.write import Journal
from graasp_local.lock import Patience, held_lock
from graasp_local.operations.automatic_rollback import plan_back, plan_to_state_before, tells_to_open
from graasp_local.operations.closed_time import timed, with_closing
from graasp_local.operations.execute import Recovery, Runtime, execute
from graasp_local.operations.plans import (
    Planner,
    Shown,
    as_it_ran,
    digest_of_files,
    downtime_estimate,
    make_plan,
    planner_of,
    settings_for,
    using_earlier_settings,
)
from graasp_local.operations.progress import Progress
from graasp_local.operations.starting_point import starting_point
from graasp_local.operations.steps import Performer, give_up_draining
from graasp_local.planning.estimate import refuse_longer
from graasp_local.planning.plan import Plan
from graasp_local.planning.requests import ChangeState, Deploy, Request, Restore, Resume, UpgradeDatabase, on_failure_of
from graasp_local.planning.states import Gate, InfraState, ObservedState, classify, state_name
from graasp_local.planning.steps import Step
from graasp_local.ports.gate import Prober
from graasp_local.ports.world import World
from graasp_local.site import prepare, proven

_SHOWN_SECONDS = 600.0
"""How long a shown plan counts as checked, if the site has not changed."""


class RunOptions(Struct, frozen=True):
    """How any operation is run, as opposed to what it does to the site."""

    shown: Shown | None = None
    """The plan that was agreed to: if a different one would be carried out now, nothing is done."""
    lock_wait: float = 0.0
    """Seconds to wait for an operation that is already running."""
    max_downtime: float | None = None
    """The operation is refused if the site might be closed for more seconds than this."""


_USUAL = RunOptions()


def run(
    world: World, request: Request, options: RunOptions = _USUAL, planner: Planner | None = None
) -> Iterator[Event]:
    """Plan and carry out under the site's lock, writing the journal. Raises Locked while another operation has it.

    A `planner` takes the place of the request's own.
    """
    prepare.refuse_if_not_ours(world.site)
    prepare.prepare(world.site)
    patience = Patience(options.lock_wait, world.clock, world.interruption)
    with held_lock(world.site.lock_file, request.command, patience):
        killed_in = _last_step_of_killed(world)
        if killed_in is not None:
            world.containers.wait_for_leftovers(killed_in)
        files, own_files = digest_of_files(world), proven.own_files(world.site)
        if planner is None:
            world = settings_for(world, request)
            planner = planner_of(world, request)
        before = world.observe()
        _keep_if_proven(world, own_files, state_name(classify(before)))
        plan = _agreed_plan(world, planner, before, files, options.shown)
        earlier = world.site.history.operations
        left = unfinished_operation(earlier)
        _refuse_over_a_restore(plan, left)
        estimate = downtime_estimate(world, plan, before)
        refuse_longer(plan, estimate, options.max_downtime)
        asked = _all_that_was_asked(request, left)
        journal = _new_journal(world, request.name)
        begun = starting_point(world, journal.operation, request, asked, plan, before, earlier)
        attempt = _Attempt(world, replace(begun, forecast=estimate), asked, earlier, journal)
        try:
            for event, at in with_closing(timed(attempt.events(before), world.clock), earlier):
                if isinstance(event, OperationEnded) and event.outcome in (Outcome.DONE, Outcome.HELD):
                    _keep_if_proven(world, own_files, event.state)
                journal.write(event, at)
                yield event
        finally:
            journal.close()


class _Attempt(Struct, frozen=True):
    """An operation that was decided on: what does its steps, and what puts the site back if one fails."""

    world: World
    started: OperationStarted
    asked: Request
    earlier: Sequence[OperationRecord]
    journal: Journal

    def events(self, before: ObservedState) -> Iterator[Event]:
        prober = self.world.prober() if isinstance(self.asked, Deploy) and self.asked.probe else None
        return probed(execute(self.started, before, self._runtime(self.world)), prober)

    def _runtime(self, used: World) -> Runtime:
        performer = Performer(used, self.started, last_change(self.earlier))

        def perform(step: Step, progress: Progress) -> Generator[str, None, Progress]:
            self.journal.raise_trouble()
            return (yield from performer.perform(step, progress))

        return Runtime(
            perform,
            used.observe,
            self._recovery,
            self.world.clock,
            self.world.interruption,
            performer.is_needed,
            performer.has_changed,
        )

    def _recovery(self, tried: tuple[Step, ...], progress: Progress) -> Recovery | None:
        # Asked before anything is done to the gate: it tells whether visitors were let in.
        gate = self.world.edge.gate() if tells_to_open(tried) else Gate.UNKNOWN
        with suppress(GraaspLocalError):  # the engine is unreachable; the next command sees that the gate is sealed
            give_up_draining(self.world, progress)
        used = as_it_ran(self.world) or self.world
        if isinstance(self.asked, ChangeState):
            back = plan_to_state_before(used, self.started)
        else:
            back = plan_back(used, on_failure_of(self.asked), self.started, tried, gate)
        return Recovery(using_earlier_settings(used, back), self._runtime(used)) if back is not None else None


def _keep_if_proven(world: World, files: proven.OwnFiles, state: str) -> None:
    """Keep a copy of the site's files if its services work with them and they were not changed since.

    If that is not possible, the operation does not fail.
    """
    serves = state in (InfraState.RUNNING, InfraState.RESTRICTED)
    with suppress(OSError, UnicodeDecodeError, ConfigurationError):
        if serves and world.site.kept is None and proven.own_files(world.site) == files and not _is_untried(world):
            proven.keep(world.site, files, world.containers.files_used_since)


def _is_untried(world: World) -> bool:
    """Whether a service still runs as it did before the site's files changed, though it does not count as outdated.

    What the files say about it is then not known to work.
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


def _agreed_plan(world: World, planner: Planner, before: ObservedState, files: str, shown: Shown | None) -> Plan:
    """The plan that was shown, or a new one if there was none. Raises Refused if it would be a different one now.

    If nothing has changed since, the checks of the plan that was shown are not repeated.
    """
    if shown is None:
        return make_plan(planner, before)
    is_recent = world.clock.now() - shown.at <= _SHOWN_SECONDS
    if is_recent and (shown.before, shown.files) == (before, files):
        return shown.plan
    if make_plan(planner, before) != shown.plan:
        raise Refused(
            "The site has changed since the plan was shown.", "Nothing was changed.", "Start the command again."
        )
    return shown.plan


def _all_that_was_asked(request: Request, left: OperationRecord | None) -> Request:
    """For a `resume`, the request of the operation it continues, apart from what the `resume` itself says."""
    if not isinstance(request, Resume) or left is None:
        return request
    asked = left.asked
    if request.on_failure is not None and isinstance(asked, Deploy | Restore | UpgradeDatabase):
        return replace(asked, on_failure=request.on_failure)
    return asked or request


def _last_step_of_killed(world: World) -> float | None:
    """When an operation that was killed last wrote to its journal; None if the newest one was not killed."""
    newest = world.site.history.newest
    if newest is None or newest.outcome is not None:
        return None
    return (world.site.journal_directory / f"{newest.operation}.jsonl").stat().st_mtime


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
            "It is not certain which data a deployment would change; nothing was changed.",
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
