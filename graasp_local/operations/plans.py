"""From a request to its plan, and what a person is told about it beforehand: the forecast, the visitors' requests.

deployments.py, restores.py, upgrades.py, resume.py and rollback.py make the plans.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.errors import GraaspLocalError, NeedsYou, Refused
from graasp_local.journal.events import Outcome
from graasp_local.journal.read import read_operations
from graasp_local.journal.records import OperationRecord, runs_by_step
from graasp_local.operations.deployments import apply_plan, deploy_request, deployment_plan, scale_plan, transition_plan
from graasp_local.operations.restores import restore_plan
from graasp_local.operations.resume import resume_plan
from graasp_local.operations.rollback import rollback_plan
from graasp_local.operations.upgrades import upgrade_plan
from graasp_local.planning.estimate import Estimate, estimate_downtime
from graasp_local.planning.plan import Plan
from graasp_local.planning.requests import (
    ChangeState,
    Deploy,
    Request,
    Restore,
    Resume,
    Rollback,
    Rotate,
    Scale,
    UpgradeDatabase,
)
from graasp_local.planning.server import GRAASP_DATABASE
from graasp_local.planning.states import Gate, InfraState, ObservedState, ServiceGroup, came_from
from graasp_local.planning.steps import Drain, EndConnections, Snapshot, UseEarlierSettings
from graasp_local.ports.world import World
from graasp_local.site import proven
from graasp_local.site.affected import outdated, services_to_recreate
from graasp_local.wording import size_in_words

Planner = Callable[[ObservedState], Plan]


_OPERATIONS_FOR_ESTIMATES = 10
"""How many of the newest operations are used to estimate how long steps take."""


class Shown(Struct, frozen=True):
    """A plan that a person was asked about, and the site that it was made for."""

    plan: Plan
    before: ObservedState
    files: str
    """A digest of the contents of the site's files."""
    at: float


def planner_of(world: World, request: Request) -> Planner:
    """The function that turns a request into a plan, given the observed site."""
    match request:
        case ChangeState(state=state, drain_limit=limit):
            return lambda observed: apply_plan(world, observed, state, limit)
        case Deploy():
            return lambda observed: deployment_plan(world, observed, deploy_request(world, request))
        case Resume():
            return lambda observed: using_earlier_settings(world, resume_plan(world, observed))
        case Rollback(discard_written_since=discard):
            return lambda observed: using_earlier_settings(world, rollback_plan(world, observed, discard=discard))
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
    left_in = world.site.history.state_left
    return transition_plan(world, outdated(observed, services), InfraState(came_from(observed, left_in)))


def shown_plan(world: World, request: Request) -> Shown:
    """The plan to show, whether or not a question follows. Raises Refused."""
    files, world = digest_of_files(world), settings_for(world, request)
    before = world.observe()
    plan = make_plan(planner_of(world, request), before)
    return Shown(plan, before, files, world.clock.now())


def settings_for(world: World, request: Request) -> World:
    """The world that a request works with: a rollback uses the settings with which the site was last known to work.

    Except after a rollback failed and a person then changed the site's own files: from then on those count again.
    """
    newest = world.site.history.newest
    left = world.site.history.unfinished
    goes_back = isinstance(request, Rollback) or (isinstance(request, Resume) and left is not None and left.is_rollback)
    failed = newest is not None and newest.outcome == Outcome.FAILED
    if not goes_back or (newest is not None and failed and _changed_since(world, newest)):
        return world
    return as_it_ran(world) or world


def _changed_since(world: World, record: OperationRecord) -> bool:
    ended = datetime.fromisoformat(record.at).timestamp() + (record.seconds or 0.0)
    return proven.changed_at(world.site) > ended


def as_it_ran(world: World) -> World | None:
    """The world with the settings with which the site was last known to work; None if the current ones are to stay."""
    if world.site.kept is not None:
        return None
    kept = proven.as_proven(world.site)
    return world.with_site(kept) if kept is not None else None


def using_earlier_settings(world: World, plan: Plan) -> Plan:
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


def digest_of_files(world: World) -> str:
    """A digest of the site's own files: settings, what is selected, and which operation was the last."""
    site = world.site
    files = (site.env_file, site.override_file, site.version_file)
    # What reads them as text reports if they are not.
    contents = [file.read_bytes() if file.exists() else b"" for file in files]
    journals = sorted(file.name.encode() for file in site.journal_directory.glob("*.jsonl"))
    return hashlib.sha256(b"\0".join([*contents, *journals[-1:]])).hexdigest()


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
    awaited = any(isinstance(step, Drain | EndConnections) for step in plan.steps)
    uploads = world.gate_control.upload_bytes_to_come() if awaited else 0
    return estimate_downtime(plan, runs, _bytes_to_copy(world, plan, observed), uploads or 0)


def _bytes_to_copy(world: World, plan: Plan, observed: ObservedState) -> int | None:
    """The size of Graasp's database, if the plan takes a snapshot of it and the database can be asked."""
    if not any(isinstance(step, Snapshot) for step in plan.steps):
        return None
    if observed.group_is_on(ServiceGroup.DATABASE):
        with suppress(GraaspLocalError):
            return world.databases.sizes().get(GRAASP_DATABASE)
    return None
