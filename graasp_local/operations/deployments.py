"""The plans for a change of state and for a deployment, after the checks that change nothing.

Asks the world; which steps are needed is decided in planning/. Refuses to start old code on a database that may already
be migrated, and refuses a deployment that could not be rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from graasp_local.errors import ConfigurationError, NeedsYou, Refused
from graasp_local.journal.records import (
    left_connections_open,
    uncertain_migration,
)
from graasp_local.operations.rollouts import by_strategy, why_not_here, with_stand_in
from graasp_local.operations.starting_point import previous_of
from graasp_local.operations.steps.having_images import other_images, rollback_images, select_rebuilt
from graasp_local.operations.steps.migrating import read_pending
from graasp_local.operations.steps.preflight import (
    PreflightResult,
    Problem,
    check_preflight,
    check_transition,
    look,
    refuse_subscriptions,
    refuse_too_many,
    refuse_unusable_database,
)
from graasp_local.operations.trying import tried_first
from graasp_local.planning.migrations import Forecast, NotKnownYet
from graasp_local.planning.plan import DRAIN_SECONDS, Plan, Strategy
from graasp_local.planning.plan_deploy import Backup, DeployRequest, plan_deploy, plan_finish
from graasp_local.planning.plan_scale import apart_from, loses_visited, plan_fewer, with_replicas
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.requests import Deploy, OnFailure, ends_in
from graasp_local.planning.server import GRAASP_DATABASE
from graasp_local.planning.states import (
    TABLE,
    Absent,
    Drifted,
    InfraState,
    InState,
    ObservedState,
    ServiceGroup,
    classify,
)
from graasp_local.planning.steps import Snapshot, WriteSnapshot
from graasp_local.ports.images import ImageFact
from graasp_local.ports.world import World
from graasp_local.site import proven
from graasp_local.site.affected import outdated
from graasp_local.site.prepare import refuse_if_not_ours
from graasp_local.version import Version
from graasp_local.wording import counted, listed


def deploy_request(world: World, asked: Deploy) -> DeployRequest:
    """The request in the planner's terms; without a strategy, the one in the site's settings is used."""
    return DeployRequest(
        Version.parse(asked.version),
        ends_in(asked),
        asked.drain_limit,
        asked.migration_limit,
        backup=Backup.LEFT_OUT if asked.no_backup else Backup.TAKEN,
        strategy=asked.strategy or Strategy(world.site.settings.deploy_strategy),
        needs_rollback=asked.on_failure is OnFailure.ROLLBACK,
    )


def refusals(world: World, version: Version) -> tuple[Problem, ...]:
    """What would prevent a version from being deployed now, by the same checks as `deploy`; empty: it would begin.

    Raises EngineUnreachable.
    """
    database = _refused("postgres", lambda: refuse_unusable_database(world))
    try:
        asked = deploy_request(world, Deploy(str(version)))
        found = look(world, version)
    except ConfigurationError as error:
        return (Problem("configuration", error.what, error.next_step),)
    except Refused as error:
        found = (Problem("search", error.what, error.next_step),)
    except NeedsYou as error:
        # The database server cannot be asked, which `deploy` calls a refusal.
        found = database or (Problem("postgres", error.what, error.next_step),)
    return tuple(
        dict.fromkeys(
            (
                *_refused("configuration", lambda: refuse_if_not_ours(world.site)),
                *database,
                *_refused("rollback", lambda: _refuse_without_rollback(world, version)),
                *(() if isinstance(found, PreflightResult) else found),
            )
        )
    ) or _refused("deployment", lambda: deployment_plan(world, world.observe(), asked))


def _refused(check: str, ask: Callable[[], object]) -> tuple[Problem, ...]:
    try:
        ask()
    except (ConfigurationError, Refused, NeedsYou) as error:
        return (Problem(check, error.what, error.next_step or "Fix this, then start the deployment again."),)
    return ()


def apply_plan(world: World, observed: ObservedState, target: InfraState, drain_limit: float = DRAIN_SECONDS) -> Plan:
    """The plan for `apply`: to the state, and to images that were rebuilt. Its limit is in seconds. Raises Refused."""
    rebuilt = select_rebuilt(world, observed) if ServiceGroup.GRAASP in TABLE[target].groups_on else None
    if rebuilt is None:
        return transition_plan(world, observed, target, drain_limit)
    plan = transition_plan(world, outdated(observed, rebuilt.services), target, drain_limit)
    return replace(plan, steps=(rebuilt, *plan.steps))


def transition_plan(
    world: World, observed: ObservedState, target: InfraState, drain_limit: float = DRAIN_SECONDS
) -> Plan:
    """The plan for a state, with a limit in seconds. Raises Refused if the site must not be changed as it is."""
    if observed.migrations:
        raise Refused(
            f"A migration is running ({listed(observed.migrations)}).",
            "Nothing was changed, so that the migration can finish.",
            "`graasp-local resume` waits for it and continues, `graasp-local rollback` ends it and rolls back.",
        )
    if target is not InfraState.STOPPED:
        refuse_unfinished_upgrade(world)
    if ServiceGroup.GRAASP in TABLE[target].groups_on:
        _refuse_uncertain_code(world, target)
        refuse_moved_database(world)
    newest = world.site.history.newest
    left_open = newest is not None and left_connections_open(newest)
    plan = plan_transition(observed, target, world.site.selected_version, drain_limit, left_open=left_open)
    if plan.steps:
        check_transition(world, plan.services_started)
    is_external = world.site.settings.external_database is not None
    if is_external and plan.services_started and ServiceGroup.GRAASP in TABLE[target].groups_on:
        _refuse_lost_database(world, world.database.missing_databases())
    return tried_first(world, plan)


def scale_plan(world: World, observed: ObservedState, wanted: Mapping[str, int]) -> Plan:
    """The plan for this many containers of services, in the state that the site is in. Raises Refused."""
    refuse_too_many(world, wanted)
    now = {service.name: service.healthy for service in observed.services}
    observed = with_replicas(observed, wanted)
    left_in = world.site.history.state_left
    match classify(apart_from(observed, wanted), left_in):
        case Absent():
            return Plan(InfraState.STOPPED, ())
        case InState(state=state):
            plan = transition_plan(world, observed, state)
        case Drifted() as drifted:
            raise Refused(
                f"The site has drifted: {drifted.differences[0]}",
                "Nothing was changed.",
                f"Fix that first: `{drifted.fixing_command}`.",
            )
    visited, version = world.handovers.visited(), world.site.selected_version
    if version is not None and loses_visited(observed, visited):
        reason = why_not_here(world)
        if reason:
            raise Refused(
                f"While containers of core are removed, a second core has to serve. {reason}",
                "Visitors are not affected.",
                "Close the site with `graasp-local apply restricted`, then try again.",
            )
        plan = plan_fewer(observed, version, visited)
    sizes = (
        f"{name}: {counted(number, 'container')} instead of {now[name]}."
        for name, number in wanted.items()
        if now.get(name)
    )
    return replace(plan, hint=" ".join(sizes) if plan.steps else "")


def deployment_plan(world: World, observed: ObservedState, request: DeployRequest) -> Plan:
    """The plan for `deploy`, after the checks that change nothing. Raises Refused."""
    refuse_unfinished_upgrade(world)
    refuse_moved_database(world)
    refuse_other_networks(observed)
    found = check_preflight(world, request.version)
    request = replace(request, other_images=other_images(world, observed, request.version))
    if world.site.settings.external_database is not None:
        missing = world.database.missing_databases()
        _refuse_lost_database(world, missing)
        _refuse_new_address(world)
        request = replace(request, is_external=True, missing_databases=missing)
    if request.needs_rollback:
        _refuse_without_rollback(world, request.version)
    pending = forecast(world, observed, request.version, found.images)
    finish = plan_finish(observed, request, pending)
    if finish is not None and _is_unrecorded(world, request.version):
        return finish
    operation = plan_deploy(observed, with_stand_in(world, observed, request), pending, found.copy)
    plan = tried_first(world, by_strategy(world, observed, request, pending, operation))
    left = world.site.history.unfinished
    if (
        any(isinstance(step, Snapshot | WriteSnapshot) for step in plan.steps)
        and observed.group_is_on(ServiceGroup.DATABASE)
        and not (left is not None and left.database_is_changed)  # then the copy is made already
        and not (request.is_external and GRAASP_DATABASE in request.missing_databases)
    ):
        refuse_subscriptions(world)
    hints = (plan.hint, _rollback_without(world, observed, request, plan)) if plan.steps else (plan.hint,)
    return replace(found.told_in(plan, world.site.settings.values), hint=" ".join(filter(None, hints)))


def _rollback_without(world: World, observed: ObservedState, request: DeployRequest, plan: Plan) -> str:
    """What a person has changed and a rollback would ignore, as a sentence."""
    kept = proven.as_proven(world.site) if world.site.kept is None and request.needs_rollback else None
    if kept is None:
        return ""
    # A deployment that is continued may have selected its version already: it goes back to the one before that.
    previous, is_recorded = previous_of(world, plan, observed, world.site.history.operations)
    if previous is None:
        return ""
    same = "what ran before it" if is_recorded else "what runs now"
    changed = listed(proven.changed_since(world.site, kept))
    return (
        f"Changed since the site was last known to work: {changed}. If {request.version} does not start, "
        f"{same if previous == request.version else previous} is started again with the previous settings."
    )


def _is_unrecorded(world: World, version: Version) -> bool:
    left = world.site.history.unfinished
    return left is not None and left.restore is None and left.version == str(version) and not left.is_rollback


def _refuse_without_rollback(world: World, version: Version) -> None:
    """Raises Refused if the version that is served could not be restored should this one fail.

    Not checked on a site that was left in the middle of a deployment: it must be able to go on.
    """
    served = world.site.selected_version
    if served is None or world.site.history.unfinished is not None:
        return
    lost = rollback_images(world, served).lost
    if lost:
        raise Refused(
            f"If {version} fails, {'what runs now' if served == version else served} cannot be restored: the image of "
            f"{listed(lost)} is neither on the engine nor in the registry any more.",
            "Nothing was changed.",
            f"Build or load the images of {served} again, or pass `--on-failure hold` to deploy without a rollback.",
        )


def forecast(world: World, observed: ObservedState, version: Version, images: Sequence[ImageFact]) -> Forecast:
    """What is pending, if the database is on and the migrate image is already on this machine. Raises Refused."""
    if observed.migrations or not observed.group_is_on(ServiceGroup.DATABASE):
        return NotKnownYet()
    if not any(image.service == "migrate" and image.local for image in images):
        return NotKnownYet()
    return read_pending(world, version)


def refuse_unfinished_upgrade(world: World) -> None:
    """Raises Refused while it is undecided which of two database servers is the site's."""
    left = world.site.history.unfinished
    if left is not None and left.upgrade is not None:
        raise Refused(
            f"The operation {left.operation} stopped halfway between Postgres {left.upgrade.source_major} and "
            f"{left.upgrade.target_major}.",
            "Anything written now could be lost by resuming or by rolling back; nothing was changed.",
            "`graasp-local resume` continues it, `graasp-local rollback` undoes it.",
        )


def refuse_moved_database(world: World) -> None:
    """Raises Refused if `.env` names another kind of database than the one that the site was last deployed to.

    The data is on the other one: the site would come up empty, or with data from long ago.
    """
    selection, kind = world.site.selection, world.site.database_kind
    if selection.version is None or selection.database == kind:
        return
    was, now = ("an external database", "stack") if selection.database else ("the stack's own database", "external")
    raise Refused(
        f"The site's data is in {was}, but DATABASE in .env is {now} now.",
        "Nothing was changed: the site would start without its data.",
        "To move it: set DATABASE back, run `graasp-local apply db-only` and `graasp-local backup`, set "
        f"DATABASE={now}, then run `graasp-local restore BACKUP`.",
    )


def refuse_other_networks(observed: ObservedState) -> None:
    """Raises Refused if SWARM was changed and the site does not run that way yet: that has to be done first."""
    if observed.other_networks:
        raise Refused(
            "SWARM in .env was changed, but the site does not run that way yet.",
            "Nothing was changed.",
            "`graasp-local apply running` makes the change; the site is closed until everything has started again.",
        )


def _refuse_new_address(world: World) -> None:
    """Raises Refused if the database's address has changed since the site was last known to work.

    A rollback uses the settings from before, and would look for the copy of the database on the other server.
    """
    kept, now = proven.as_proven(world.site), world.site.settings.external_database
    before = kept.settings.external_database if kept is not None else None
    if now is not None and before is not None and before.where != now.where:
        raise Refused(
            f"The database was at {before.where} when the site was last known to work, but .env says {now.where} now.",
            "Nothing was changed: if the deployment failed, the database could not be restored.",
            "Run `graasp-local apply running`, which switches to the new address; then deploy.",
        )


def _refuse_lost_database(world: World, missing: Sequence[str]) -> None:
    """Raises Refused if a site that was deployed would be given an empty database."""
    if GRAASP_DATABASE in missing and world.site.selected_version is not None:
        server = world.site.settings.external_database
        raise Refused(
            f"There is no database {GRAASP_DATABASE} at {server.where if server else 'the server'}, although this site "
            "was deployed before.",
            "Nothing was changed: the site would start without its data.",
            "Check DATABASE_HOST; or put the data there: `graasp-local restore BACKUP`.",
        )


def _refuse_uncertain_code(world: World, target: InfraState) -> None:
    selected = world.site.selected_version
    if selected is None:
        raise Refused(
            f"The state {target} needs a version to run, but none has been deployed to this site yet.",
            "Nothing was changed.",
            "Deploy one: `graasp-local deploy --version X`.",
        )
    uncertain = uncertain_migration(world.site.history.operations)
    if uncertain is not None:
        raise Refused(
            f"The operation {uncertain.operation} ended during a migration to {uncertain.version}.",
            f"Starting {selected} now could run old code on a migrated database; nothing was changed.",
            "`graasp-local resume` continues it, `graasp-local rollback` undoes it.",
        )
