"""The four states of a site, what each needs, and which of them an observed site is in.

Also says how a site differs from a state. A state is never remembered, only read off the containers and the gate.
Knows service groups, never the names of services. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace


class InfraState(StrEnum):
    """Graasp's own four infrastructure states."""

    RUNNING = "running"
    RESTRICTED = "restricted"
    DB_ONLY = "db-only"
    STOPPED = "stopped"


class ServiceGroup(StrEnum):
    """Services that a state switches on or off together; the label `org.graasp.group` names a service's group."""

    DATABASE = "database"
    ADMINISTRATION = "administration"
    GRAASP = "graasp"
    EDGE = "edge"
    MIGRATION = "migration"


class Gate(StrEnum):
    """Whether nginx lets visitors through; unknown when nginx does not answer.

    A sealed gate is closed to the bypass too: while core stops, and until what was deployed is verified.
    """

    OPEN = "open"
    CLOSED = "closed"
    SEALED = "sealed"
    UNKNOWN = "unknown"

    @property
    def in_words(self) -> str:
        return self.name.lower()


class StateRow(Struct, frozen=True):
    """One row of the table: where the gate is, and which groups are on."""

    gate: Gate
    groups_on: frozenset[ServiceGroup]


TABLE: Mapping[InfraState, StateRow] = MappingProxyType(
    {
        InfraState.RUNNING: StateRow(
            Gate.OPEN,
            frozenset({ServiceGroup.DATABASE, ServiceGroup.ADMINISTRATION, ServiceGroup.GRAASP, ServiceGroup.EDGE}),
        ),
        InfraState.RESTRICTED: StateRow(
            Gate.CLOSED,
            frozenset({ServiceGroup.DATABASE, ServiceGroup.ADMINISTRATION, ServiceGroup.GRAASP, ServiceGroup.EDGE}),
        ),
        InfraState.DB_ONLY: StateRow(
            Gate.CLOSED,
            frozenset({ServiceGroup.DATABASE, ServiceGroup.ADMINISTRATION, ServiceGroup.EDGE}),
        ),
        InfraState.STOPPED: StateRow(Gate.CLOSED, frozenset()),
    }
)

STOPPED_WITH_PAGE = StateRow(Gate.CLOSED, frozenset({ServiceGroup.EDGE}))
"""The row of `stopped` on a site where nginx stays on to show the maintenance page (STOPPED_PAGE=on)."""


def row_of(state: InfraState, *, page_when_stopped: bool) -> StateRow:
    """What a state needs on a site with or without the maintenance page in `stopped`."""
    return STOPPED_WITH_PAGE if state is InfraState.STOPPED and page_when_stopped else TABLE[state]


def state_named(text: str) -> InfraState | None:
    """The state that a journal or a person names; None if the text is not the name of a state."""
    return next((state for state in InfraState if state.value == text), None)


START_ORDER = (ServiceGroup.DATABASE, ServiceGroup.ADMINISTRATION, ServiceGroup.GRAASP)
"""The database starts first. The edge is not part of this order: it starts before, behind a closed gate."""

STOP_ORDER = tuple(reversed(START_ORDER))
"""The database stops last, except for the edge if that stops too: until then it shows the maintenance page."""


class Status(StrEnum):
    """A container's status as the engine reports it, or `absent` if there is no container."""

    RUNNING = "running"
    CREATED = "created"
    EXITED = "exited"
    RESTARTING = "restarting"
    PAUSED = "paused"
    REMOVING = "removing"
    DEAD = "dead"
    ABSENT = "absent"


class Health(StrEnum):
    """What the container's health check reports; `none` if it has none."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    STARTING = "starting"
    NONE = "none"


class Replica(Struct, frozen=True):
    """One of several containers of a service; `number` is the one Compose gives it, starting at 1."""

    number: int
    status: Status
    health: Health = Health.NONE
    version: str = ""
    node: str = ""
    """The machine that it is on, if there are several."""

    @property
    def is_on(self) -> bool:
        return _is_on(self.status, self.health)

    @property
    def is_off(self) -> bool:
        return self.status in _OFF

    @property
    def is_stuck(self) -> bool:
        return _is_stuck(self.status, self.health)

    def described(self) -> str:
        return _described(self.status, self.health)

    @property
    def where(self) -> str:
        """Completes its name, such as core-2."""
        return f"{self.number} on {self.node}" if self.node else f"{self.number}"


class ObservedService(Struct, frozen=True):
    """One service as observed. `version` is Graasp's version for services that carry one, otherwise empty.

    If it has several containers, or several are wanted, status and health are those of the worst one.
    """

    name: str
    group: ServiceGroup
    status: Status
    health: Health = Health.NONE
    image: str = ""
    version: str = ""
    outdated: bool = False
    """Its container was created with settings that differ from the site's current ones."""
    made_elsewhere: bool = False
    """It uses files in the directory the site was moved from: once it has stopped, it cannot be started again."""
    optional: bool = False
    """Graasp works without it: if it does not come up, that is reported, but is not a failure."""
    writes: bool = False
    """It writes to Graasp's database on its own, so it is started only once core is verified."""
    is_defined: bool = True
    """The site's files define it; if they no longer do, all that is left is a container, which may be stopped."""
    wanted: int = 1
    """How many containers of it the site's settings ask for."""
    replicas: tuple[Replica, ...] = ()
    """Its containers, by number; empty if there is just the one that is wanted, or if all wanted ones are alike."""
    node: str = ""
    """The machine that its only container is on, if there are several."""

    @property
    def is_on(self) -> bool:
        """Running, and healthy if it has a health check; with replicas, all of them, and exactly as many as wanted."""
        if self.replicas:
            return len(self.replicas) == self.wanted and all(replica.is_on for replica in self.replicas)
        return _is_on(self.status, self.health)

    @property
    def serves(self) -> bool:
        """At least one of its containers is on."""
        return self.healthy > 0

    @property
    def has_too_many(self) -> bool:
        """It has more containers than are wanted."""
        return len(self.replicas) > self.wanted

    @property
    def is_off(self) -> bool:
        """Not running, and not about to."""
        if self.replicas:
            return all(replica.is_off for replica in self.replicas)
        return self.status in _OFF

    @property
    def is_stuck(self) -> bool:
        """Up, but starting it again would not help: it has to be stopped first.

        If another replica serves, only the stuck one has to stop, and starting the service does that.
        """
        if self.replicas:
            return not self.serves and any(replica.is_stuck for replica in self.replicas)
        return _is_stuck(self.status, self.health)

    @property
    def healthy(self) -> int:
        """How many of its containers are on."""
        if self.replicas:
            return sum(replica.is_on for replica in self.replicas)
        return self.wanted if self.is_on else 0

    @property
    def first(self) -> ObservedService:
        """The same service, judged by the one of its containers that serves or, if none does, by its first."""
        if not self.replicas:
            return self
        one = next((each for each in self.replicas if each.is_on), self.replicas[0])
        return replace(self, status=one.status, health=one.health, wanted=1, replicas=())

    @property
    def unwell(self) -> tuple[str, ...]:
        """What is wrong with which replica, such as "core-2 is stopped"; empty if `replicas` is."""
        found = [f"{self.name}-{each.where} is {each.described()}" for each in self.replicas if not each.is_on]
        missing = self.wanted - len(self.replicas) if self.replicas else 0
        if missing > 0:
            found.append(f"{missing} missing")
        return tuple(found)

    def described(self) -> str:
        """Completes a sentence that begins with the service's name and "is", such as "unhealthy"."""
        if self.is_off or not self.replicas:
            return _described(self.status, self.health)
        if self.has_too_many:
            return f"present in {len(self.replicas)} containers instead of {self.wanted}"
        return f"running {self.healthy} of {self.wanted} replicas ({', '.join(self.unwell)})"


_OFF = (Status.ABSENT, Status.CREATED, Status.EXITED, Status.DEAD)


def _is_on(status: Status, health: Health) -> bool:
    return status is Status.RUNNING and health in (Health.HEALTHY, Health.NONE)


def _is_stuck(status: Status, health: Health) -> bool:
    return status is Status.PAUSED or (status is Status.RUNNING and health is Health.UNHEALTHY)


def _described(status: Status, health: Health) -> str:
    if status is Status.RUNNING and health is Health.UNHEALTHY:
        return "unhealthy"
    if status is Status.RUNNING and health is Health.STARTING:
        return "still starting"
    return {Status.EXITED: "stopped", Status.CREATED: "created but not started"}.get(status, status.value)


class ObservedState(Struct, frozen=True):
    """A site as observed at one moment: every service that its files define, the gate, running migrations."""

    services: tuple[ObservedService, ...]
    gate: Gate
    migrations: tuple[str, ...] = ()
    handovers: tuple[ObservedService, ...] = ()
    """Second containers that stand in for services being replaced: they belong to an operation, not to a state."""
    page_when_stopped: bool = False
    """The site is set to keep nginx on in `stopped`, showing the maintenance page."""
    other_networks: bool = False
    """Its networks are those of one machine, and it is set to use several, or the other way round."""

    def row(self, state: InfraState) -> StateRow:
        return row_of(state, page_when_stopped=self.page_when_stopped)

    def in_group(self, group: ServiceGroup) -> tuple[ObservedService, ...]:
        return tuple(service for service in self.services if service.group is group)

    def group_is_on(self, group: ServiceGroup) -> bool:
        return all(service.is_on for service in self.in_group(group) if service.is_defined)

    def group_is_off(self, group: ServiceGroup) -> bool:
        return all(service.is_off for service in self.in_group(group))

    @property
    def edge_answers(self) -> bool:
        """nginx is up, so that it shows what the gate's flag says."""
        edge = self.in_group(ServiceGroup.EDGE)
        return bool(edge) and all(service.is_on for service in edge)

    @property
    def edge_has_old_settings(self) -> bool:
        """nginx runs, but `.env` or the stack was changed since: it may not listen at the new address."""
        return any(service.is_on and service.outdated for service in self.in_group(ServiceGroup.EDGE))

    @property
    def graasp_versions(self) -> frozenset[str]:
        """The versions that the graasp group's containers run; more than one means a half-done deployment."""
        graasp = self.in_group(ServiceGroup.GRAASP)
        of_replicas = {replica.version for service in graasp for replica in service.replicas}
        return frozenset(version for version in {service.version for service in graasp} | of_replicas if version)

    def with_services(self, names: tuple[str, ...], status: Status, health: Health, version: str = "") -> ObservedState:
        """The same site with the named services changed, as a step would leave it."""
        return replace(
            self,
            services=tuple(
                replace(
                    service,
                    status=status,
                    health=health,
                    version=version or service.version,
                    outdated=False,
                    made_elsewhere=False,
                    replicas=(),
                )
                if service.name in names
                else service
                for service in self.services
            ),
        )


class InState(Struct, frozen=True):
    """The site is in this state: the gate and every service that Graasp needs match its row.

    `lacking` has a sentence for each optional service that should be on and is not; the site works without them.
    """

    state: InfraState
    lacking: tuple[str, ...] = ()

    @property
    def fixing_command(self) -> str:
        return f"graasp-local apply {self.state}"


class Absent(Struct, frozen=True):
    """The site has no containers at all."""


class Drifted(Struct, frozen=True):
    """The site matches no row; `differences` from the state it should be in, or the nearest one, a sentence each."""

    nearest: InfraState
    differences: tuple[str, ...]

    @property
    def fixing_command(self) -> str:
        return f"graasp-local apply {self.nearest}"


Classification = InState | Absent | Drifted


def differences(observed: ObservedState, state: InfraState) -> tuple[str, ...]:
    """How the site differs from a state, a sentence each; empty when it is in that state."""
    row = observed.row(state)
    found = []
    for service in observed.services:
        if service.group is ServiceGroup.MIGRATION:
            continue
        if service.group in row.groups_on and not service.is_on:
            if service.has_too_many:
                found.append(f"{service.name} is {service.described()}.")
            elif not service.optional and service.is_defined:
                # "core is running 1 of 2 replicas" already says what is wrong.
                wanted = "" if service.replicas and not service.is_off else f", but should be on in the state {state}"
                found.append(f"{service.name} is {service.described()}{wanted}.")
        elif service.group in row.groups_on and service.made_elsewhere:
            found.append(f"{service.name} uses files of the directory that the site was moved from.")
        elif service.group in row.groups_on and service.outdated:
            found.append(f"{service.name} still runs with old settings: .env or the stack has changed since.")
        if service.group not in row.groups_on and not service.is_off:
            found.append(f"{service.name} is {service.described()}, but should be off in the state {state}.")
    # With nothing behind the gate, a gate that is closed to the bypass too makes no difference.
    sealed_off = observed.gate is Gate.SEALED and ServiceGroup.GRAASP not in row.groups_on
    # With nginx off there is no gate to ask, and no one can get in.
    if ServiceGroup.EDGE in row.groups_on and observed.gate is not row.gate and not sealed_off:
        if observed.gate is Gate.UNKNOWN:
            where = " at the address that .env names now" if observed.edge_has_old_settings else ""
            found.append(f"nginx does not answer{where}, but the gate should be {row.gate} in the state {state}.")
        else:
            found.append(f"The gate is {observed.gate.in_words}, but should be {row.gate} in the state {state}.")
    if observed.other_networks and row.groups_on:
        found.append("The site still has the networks from before SWARM was changed.")
    found += [
        f"A second {second.name} of {second.version} is {second.described()}, left over from replacing it."
        for second in observed.handovers
    ]
    if observed.migrations and state is not InfraState.DB_ONLY:
        found.append(f"A migration is running ({', '.join(observed.migrations)}), which should happen only in db-only.")
    return tuple(found)


def lacking(observed: ObservedState, state: InfraState) -> tuple[str, ...]:
    """Optional services that should be on in the state but are not, a sentence each."""
    return tuple(
        f"{service.name} is {service.described()}; Graasp works without it."
        for service in observed.services
        if service.optional
        and service.is_defined
        and not service.is_on
        and service.group in observed.row(state).groups_on
    )


def classify(observed: ObservedState, left_in: InfraState | None = None) -> Classification:
    """Which of the four states the site is in, or how it differs from the one that it should be in.

    That is the state in which the last operation left it or, if that is not known, the nearest one.
    """
    if all(service.status is Status.ABSENT for service in observed.services) and not observed.handovers:
        return Absent()
    by_state = {state: differences(observed, state) for state in InfraState}
    # Everything may be off because the machine was: only how the site was left tells whether that was intended.
    fell = left_in not in (None, InfraState.STOPPED) and all(service.is_off for service in observed.services)
    for state, found in by_state.items():
        if not found and not fell:
            return InState(state, lacking(observed, state))
    if left_in is not None:
        return Drifted(left_in, by_state[left_in])
    # On a tie the first in the table wins: the state that serves visitors is the most likely to be wanted.
    nearest = min(by_state, key=lambda state: len(by_state[state]))
    return Drifted(nearest, by_state[nearest])


def is_in(observed: ObservedState, state: InfraState) -> bool:
    """Whether the site matches the state's row; one without containers matches `stopped`, where everything is off."""
    return not differences(observed, state)


def came_from(observed: ObservedState, left_in: InfraState | None = None) -> str:
    """The state to return to if an operation that starts here is undone; `absent` if there was nothing."""
    match classify(observed, left_in):
        case InState(state):
            return state.value
        case Drifted(nearest=nearest):
            return InfraState.RUNNING.value if observed.gate is Gate.OPEN else nearest.value
        case Absent() as absent:
            return state_name(absent)


def state_name(classification: Classification) -> str:
    """One of the four states, `drifted` or `absent`: what `status --json` says."""
    match classification:
        case InState(state=state):
            return state.value
        case Absent():
            return "absent"
        case Drifted():
            return "drifted"
