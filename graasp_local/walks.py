"""A walk from beginning to end: forecast, plan, lock, journal, execution. What the command line and every screen call.

Knows the order of these and nothing of how each is done. Refuses a start that would put old code onto a database of
which it is not certain that it is old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graasp_local.errors import Refused
from graasp_local.estimate import Estimate, estimate_downtime
from graasp_local.events import Event
from graasp_local.execute import execute
from graasp_local.journal import Journal, read_walks, seconds_by_step, uncertain_migration
from graasp_local.lock import held_lock
from graasp_local.migrations import Forecast, NotKnownYet
from graasp_local.perform import Performer
from graasp_local.perform.migrating import read_pending
from graasp_local.perform.preflight import check_preflight
from graasp_local.plan import DeployRequest, Plan, plan_deploy, plan_transition
from graasp_local.states import TABLE, InfraState, ObservedState, ServiceGroup
from graasp_local.version import Version
from graasp_local.world import World

Planner = Callable[[ObservedState], Plan]


def transition_plan(world: World, observed: ObservedState, target: InfraState) -> Plan:
    """The plan for `apply`. Raises Refused where the graasp group must not be started as things are."""
    if ServiceGroup.GRAASP in TABLE[target].groups_on:
        _refuse_uncertain_code(world, target)
    return plan_transition(observed, target)


def deployment_plan(world: World, observed: ObservedState, request: DeployRequest) -> Plan:
    """The plan for `deploy`, after the checks that need nothing to be changed. Raises Refused."""
    for _ in check_preflight(world, request.version):
        pass
    return plan_deploy(observed, request, forecast(world, observed, request.version))


def forecast(world: World, observed: ObservedState, version: Version) -> Forecast:
    """What is pending, if the database is on and the migrate image is on this machine already. Raises Refused."""
    if not observed.group_is_on(ServiceGroup.DATABASE):
        return NotKnownYet()
    here = {fact.service for fact in world.engine.image_facts(version) if fact.local}
    return read_pending(world, version) if "migrate" in here else NotKnownYet()


def downtime_estimate(world: World, plan: Plan) -> Estimate | None:
    """How long the plan will keep the site closed, from this site's own history where it has one."""
    return estimate_downtime(plan, seconds_by_step(read_walks(world.site.journal_directory)))


def run(world: World, planner: Planner, shown: Plan | None, command: str, name: str) -> Iterator[Event]:
    """Plan and carry out under the site's lock, writing the journal. Raises Locked if another walk is under way.

    `shown` is the plan that a person agreed to; Refused is raised if it is no longer the one that would be carried out.
    """
    world.site.prepare()
    with held_lock(world.site.lock_file, command):
        before = world.observe()
        plan = planner(before)
        if shown is not None and plan != shown:
            raise Refused(
                "The site has changed since the plan was shown.", "Nothing was touched.", "Start the command again."
            )
        journal = Journal(world.site.journal_directory, name, world.clock.now())
        performer = Performer(world)
        try:
            for event in execute(
                journal.walk,
                command,
                plan,
                before,
                performer.perform,
                world.observe,
                world.clock,
                world.interruption,
            ):
                journal.write(event, world.clock.now())
                yield event
        finally:
            journal.close()


def _refuse_uncertain_code(world: World, target: InfraState) -> None:
    selected = world.site.selected_version
    if selected is None:
        raise Refused(
            f"No version was deployed to this site yet, so there is nothing that {target} could start.",
            "Nothing was touched.",
            "Deploy one: `graasp-local deploy --version X`.",
        )
    uncertain = uncertain_migration(read_walks(world.site.journal_directory))
    if uncertain is not None:
        raise Refused(
            f"The walk {uncertain.walk} ended during a migration to {uncertain.version}.",
            f"Starting {selected} now could put old code onto a migrated database; nothing was touched.",
            f"`graasp-local deploy --version {uncertain.version}` goes on; {selected} goes back, if that is possible.",
        )
