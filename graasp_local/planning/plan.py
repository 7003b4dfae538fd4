"""Which steps lead from the site as it was seen to the site as it should be.

`plan_transition` for a change of state, `plan_deploy` for a deployment, `plan_rollback` and `plan_undo` for the ways
back from one, `render` for a person. What is printed is the value that is executed. Refuses nothing and asks nobody:
no clock, no I/O, no prompts. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from graasp_local.planning.migrations import Forecast, Pending
from graasp_local.planning.parts import (
    closing,
    edge_is_ready,
    emptying,
    handing_back,
    opening,
    starts_for,
    stops_for,
    without_handover,
)
from graasp_local.planning.restoring import Restore
from graasp_local.planning.rolling_steps import LeadVisitors
from graasp_local.planning.safety_copy import SafetyCopy
from graasp_local.planning.server import Upgrade
from graasp_local.planning.simulate import simulate
from graasp_local.planning.states import (
    START_ORDER,
    TABLE,
    Gate,
    InfraState,
    ObservedState,
    ServiceGroup,
)
from graasp_local.planning.steps import (
    READ_ONLY,
    AwaitMigration,
    BackUpDatabase,
    CloseGate,
    Drain,
    EndSessions,
    MakeMigration,
    Migrate,
    OpenGate,
    Preflight,
    ProveMigrations,
    PullImages,
    ReadMigrations,
    RecordDeployment,
    RestoreImages,
    SelectVersion,
    Snapshot,
    StartServices,
    Step,
    StopServices,
    SwapBack,
    VerifyCore,
    WriteSnapshot,
)
from graasp_local.version import Version
from graasp_local.wording import listed

DRAIN_SECONDS = 10.0
"""How long requests in flight may take to finish, unless somebody says otherwise."""


MOVED_TAGS = "a tag may have been moved or pushed again since"


class Plan(Struct, frozen=True):
    """Steps in order, and the state they end in. Empty: the site is there already."""

    target: InfraState
    steps: tuple[Step, ...]
    version: Version | None = None
    upgrade: Upgrade | None = None
    restore: Restore | None = None
    """The restore that the plan carries out or undoes."""
    hint: str = ""
    """A sentence about another way to the same end; empty where there is none to tell of."""
    alternative: Strategy | None = None
    """The strategy of that other way, where it can be chosen instead."""

    @property
    def can_be_resumed(self) -> bool:
        """A deployment or an upgrade of Postgres: cut off, it waits for `resume` or `rollback`."""
        return self.version is not None or self.upgrade is not None

    @property
    def subject(self) -> str:
        """What the plan is about, for a sentence: a version, or a major of Postgres; empty for a change of state."""
        if self.upgrade is not None:
            return f"Postgres {self.upgrade.goal_major}"
        return str(self.version or "")

    @property
    def keeps_open(self) -> bool:
        """Whether it replaces what serves visitors while they are served."""
        return not self.closed_span and any(isinstance(step, LeadVisitors) for step in self.steps)

    @property
    def services_started(self) -> tuple[str, ...]:
        """What its steps start, in their order."""
        return tuple(name for step in self.steps if isinstance(step, StartServices) for name in step.services)

    @property
    def first_touching(self) -> int:
        """The index of the first step that changes the site; the number of steps if none does."""
        indexes = (index for index, step in enumerate(self.steps) if not isinstance(step, READ_ONLY))
        return next(indexes, len(self.steps))

    @property
    def closed_span(self) -> range:
        """Indexes of the steps during which the gate is closed by this plan; empty if it does not close it."""
        closing = [index for index, step in enumerate(self.steps) if isinstance(step, CloseGate)]
        if not closing:
            return range(0)
        opening = [index for index, step in enumerate(self.steps) if isinstance(step, OpenGate)]
        return range(closing[0], opening[-1] + 1 if opening else len(self.steps))


class ImagesFrom(StrEnum):
    """Which images a version is deployed with: those its tags lead to now, or those of its last deployment."""

    TAGS = "tags"
    LAST_DEPLOYMENT = "last-deployment"


class Backup(StrEnum):
    """Whether a deployment sees to a backup of the database before it changes it."""

    TAKEN = "taken"
    LEFT_OUT = "left-out"


class Strategy(StrEnum):
    """How a version takes over: behind a closed gate, or under visitors, which needs that nothing is migrated."""

    WALK = "walk"
    ROLLING = "rolling"
    ROLLING_IF_POSSIBLE = "rolling-if-possible"


class DeployRequest(Struct, frozen=True):
    """What a person asked for; limits in seconds. `end` is `restricted` to stop behind the gate for a test."""

    version: Version
    end: InfraState = InfraState.RUNNING
    drain_limit: float = DRAIN_SECONDS
    migration_limit: float = 1800.0
    images: ImagesFrom = ImagesFrom.TAGS
    backup: Backup = Backup.TAKEN
    strategy: Strategy = Strategy.WALK


def plan_transition(
    observed: ObservedState, target: InfraState, version: Version | None = None, drain_limit: float = DRAIN_SECONDS
) -> Plan:
    """The steps from what was observed to one of the four states.

    `version` is what core has to say it is before the gate opens; None accepts any. `drain_limit` is in seconds.
    """
    row = TABLE[target]
    stops = stops_for(observed, target)
    starts = [step for group in START_ORDER if group in row.groups_on for step in starts_for(observed, group, target)]
    steps: list[Step] = []
    if _gate_must_close(observed, target, stops):
        steps += closing(observed, f"{target} keeps visitors out" if row.gate is Gate.CLOSED else "not all is up yet")
    gate_is_closed = observed.gate is Gate.CLOSED or bool(steps)
    if gate_is_closed and (observed.handovers or any(step.group is ServiceGroup.GRAASP for step in stops)):
        steps.append(Drain(drain_limit, "core cuts its requests when it stops"))
        steps += without_handover(observed)
    steps += stops
    steps += starts
    if row.gate is Gate.OPEN:
        gate_closes = any(isinstance(step, CloseGate) for step in steps)
        if observed.handovers and not gate_is_closed:
            steps += handing_back(version, drain_limit)
        elif steps or observed.gate is not Gate.OPEN:
            steps.append(VerifyCore(version, "the gate opens only onto a core that answers"))
        if gate_closes or observed.gate is not Gate.OPEN:
            steps += opening(f"{target} lets visitors in")
    return Plan(target, tuple(steps))


def plan_deploy(
    observed: ObservedState, request: DeployRequest, forecast: Forecast, copy: SafetyCopy = SafetyCopy.SNAPSHOT
) -> Plan:
    """The walk: running → restricted → db-only → migrate → restricted with the new version → running.

    Starts from any state, a new site included; leaves out what is proven not to be needed. `copy` is what the disk has
    room for.
    """
    version = request.version
    if _is_deployed(observed, request, forecast):
        return Plan(request.end, (), version)
    # What a migration that is still running will have done cannot be known before it has ended.
    database_is_on = observed.group_is_on(ServiceGroup.DATABASE) and not observed.migrations
    graasp = tuple(service.name for service in observed.in_group(ServiceGroup.GRAASP))
    read_migrations = ReadMigrations(version, forecast, "a migration that cannot work is refused before it starts")
    steps: list[Step] = [
        Preflight(version, "whatever can be found wrong is found while visitors are served"),
        PullImages(version, "nothing is downloaded while the site is closed")
        if request.images is ImagesFrom.TAGS
        else RestoreImages(version, MOVED_TAGS),
    ]
    looking: list[Step] = [read_migrations]
    if request.backup is Backup.TAKEN:
        looking.append(BackUpDatabase(version, "a snapshot lies on the same disk as the database"))
    if database_is_on:
        steps += looking
        if forecast != Pending(()):
            steps.append(MakeMigration(version, "what can be made before is not made while the site is closed"))
    if observed.gate is not Gate.CLOSED or not edge_is_ready(observed):
        steps += closing(observed, "visitors must not write while the database changes")
    steps += emptying(observed, request.drain_limit)
    steps += stops_for(observed, InfraState.DB_ONLY)
    steps += [
        step
        for group in (ServiceGroup.DATABASE, ServiceGroup.ADMINISTRATION)
        for step in starts_for(observed, group, InfraState.DB_ONLY)
    ]
    if observed.migrations:
        steps.append(AwaitMigration(request.migration_limit, f"{listed(observed.migrations)} outlived its walk"))
    if not database_is_on:
        steps += looking
    steps.append(EndSessions("a statement left over from a migration that was killed may hold locks"))
    if forecast != Pending(()):
        pending = (
            f"pending: {listed(forecast.tags)}" if isinstance(forecast, Pending) else "what is pending is not known"
        )
        steps.append(
            Snapshot("a migration that goes wrong is taken back in a second")
            if copy is SafetyCopy.SNAPSHOT
            else WriteSnapshot("the disk has no room for a snapshot; a migration that goes wrong is undone by it")
        )
        meanwhile = f"; meanwhile the containers of {listed(graasp)} are made" if graasp else ""
        steps.append(Migrate(version, request.migration_limit, f"{pending}{meanwhile}", graasp))
    steps.append(ProveMigrations(version, "neither the exit code nor the output of a migration is proof"))
    steps.append(SelectVersion(version, "from here on the database belongs to this version"))
    if graasp:
        steps.append(StartServices(ServiceGroup.GRAASP, graasp, f"{version} takes over"))
    steps.append(VerifyCore(version, "visitors must not be the first to meet it"))
    if request.end is InfraState.RUNNING:
        steps += opening("the new version is verified")
    steps.append(RecordDeployment(version, "the next deployment starts from here"))
    return Plan(request.end, tuple(steps), version)


def plan_undo(observed: ObservedState, version: Version, snapshot: str, end: InfraState) -> Plan:
    """Back from a deployment that went through: what was written since is put away with its database.

    The same way as from a failed one, but visitors are served, so everything is checked before it begins.
    """
    check = Preflight(version, "whatever can be found wrong is found while visitors are served")
    return Plan(end, (check, *plan_rollback(observed, version, snapshot, end).steps), version)


def plan_rollback(observed: ObservedState, version: Version, snapshot: str | None, end: InfraState) -> Plan:
    """Back to `version` and to the state `end`, from wherever a deployment stopped.

    `snapshot` is the one to put back; None where no migration has begun, so that the database is as it was.
    """
    steps: list[Step] = [RestoreImages(version, MOVED_TAGS)]
    if observed.gate is not Gate.CLOSED or not edge_is_ready(observed):
        steps += closing(observed, "visitors must not meet a site that is being put back")
    steps += emptying(observed, DRAIN_SECONDS)
    steps += stops_for(observed, InfraState.DB_ONLY)
    steps += [
        step
        for group in (ServiceGroup.DATABASE, ServiceGroup.ADMINISTRATION)
        for step in starts_for(observed, group, InfraState.DB_ONLY)
    ]
    if snapshot is not None or observed.migrations:
        steps.append(EndSessions("nothing may go on with the database, and one in use cannot be renamed"))
    if snapshot is not None:
        steps.append(SwapBack(snapshot, "it is the database from before the migration"))
    steps.append(ProveMigrations(version, f"{version} runs only on the database that it knows"))
    steps.append(SelectVersion(version, "from here on the database belongs to this version again"))
    after = simulate(observed, steps)
    graasp = tuple(service.name for service in observed.in_group(ServiceGroup.GRAASP))
    if ServiceGroup.GRAASP in TABLE[end].groups_on and graasp:
        steps.append(StartServices(ServiceGroup.GRAASP, graasp, f"{version} serves again"))
        steps.append(VerifyCore(version, "visitors must not be the first to meet it"))
    else:
        steps += plan_transition(after, end).steps
    if TABLE[end].gate is Gate.OPEN:
        steps += opening("the old version is verified")
    return Plan(end, tuple(steps), version)


def render(plan: Plan) -> str:
    """The plan as text, a line a step: where the gate is, what is done, and why."""
    if not plan.steps:
        what = f"{plan.version} is deployed and the site is {plan.target}" if plan.version else f"already {plan.target}"
        return f"Nothing to do: {what}."
    width = max(len(step.title) for step in plan.steps)
    lines = []
    for number, step in enumerate(plan.steps, start=1):
        mark = "closed" if number - 1 in plan.closed_span else ""
        lines.append(f"{number:>2}  {mark:<6}  {step.title:<{width}}  because {step.cause}")
    if plan.hint:
        lines.append(plan.hint)
    return "\n".join(lines)


def _is_deployed(observed: ObservedState, request: DeployRequest, forecast: Forecast) -> bool:
    return (
        forecast == Pending(())
        and not plan_transition(observed, request.end).steps
        and observed.graasp_versions == {str(request.version)}
    )


def _gate_must_close(observed: ObservedState, target: InfraState, stops: Sequence[StopServices]) -> bool:
    """For `running`, a gate that is open stays open while a service is mended, unless the database or nginx is down."""
    if not edge_is_ready(observed) or observed.gate in (Gate.SHUT, Gate.UNKNOWN):
        return True
    if observed.gate is Gate.CLOSED:
        return False
    database_comes_up = not observed.group_is_on(ServiceGroup.DATABASE)
    return (
        TABLE[target].gate is Gate.CLOSED or database_comes_up or any(s.group is ServiceGroup.DATABASE for s in stops)
    )
