"""The kinds of step that a plan is made of.

Each has a short `name` that stays the same across versions, because scripts, journals and estimates key on it; a
`title`, what it does, in the imperative; and a `cause`, why it is in this plan. The plan_*.py decide when a step is
needed, operations/steps/ carries it out. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from msgspec.structs import replace

from graasp_local.planning.migrations import Forecast
from graasp_local.planning.planned import Ahead, PlannedStep
from graasp_local.planning.restore_steps import RestoreStep
from graasp_local.planning.rolling_steps import RollingStep
from graasp_local.planning.states import Gate, Health, ServiceGroup, Status
from graasp_local.planning.upgrade_steps import UpgradeStep
from graasp_local.version import Images, Version
from graasp_local.wording import listed

_START_SECONDS: Mapping[ServiceGroup, float] = MappingProxyType(
    {
        ServiceGroup.EDGE: 1.0,
        ServiceGroup.DATABASE: 3.0,
        ServiceGroup.ADMINISTRATION: 4.0,
        ServiceGroup.GRAASP: 10.0,
    }
)


class Preflight(PlannedStep, frozen=True):
    """Check everything that can be checked while visitors are served. `found` is the result, if already checked."""

    version: Version
    cause: str
    found: tuple[str, ...] = ()
    name: ClassVar[str] = "preflight"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Check that {self.version} can be deployed here"


class PullImages(PlannedStep, frozen=True):
    """Have every image of the version on this machine, and pin the version to them."""

    version: Version
    cause: str
    name: ClassVar[str] = "pull"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Pull the images of {self.version}"


class UseEarlierSettings(PlannedStep, frozen=True):
    """Use the settings and the override with which the site was last known to work.

    `changed` is what a person has changed since: keys of `.env`, and the name of the override.
    """

    changed: tuple[str, ...]
    cause: str
    name: ClassVar[str] = "take-up-settings"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Use the settings from before {listed(self.changed)} changed"

    def __post_init__(self) -> None:
        if not self.changed:
            raise ValueError("no settings have changed")


class RestoreImages(PlannedStep, frozen=True):
    """Have exactly the images that the version was deployed with on this machine, wherever its tags point now.

    `images` names them, by variable; empty: those that are selected, or those of its last deployment.
    """

    version: Version
    cause: str
    images: Images = ()
    name: ClassVar[str] = "restore-images"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Restore the images that {self.version} was deployed with"


class ShareImages(PlannedStep, frozen=True):
    """Have core's and the workers' images on every machine of the Swarm that may run them, and run each there once."""

    version: Version
    cause: str
    name: ClassVar[str] = "share-images"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Check that every machine of the Swarm can run the images of {self.version}"


class ReadMigrations(PlannedStep, frozen=True):
    """Compare the version's migrations with the database's; refuse if they cannot work or differ from the forecast."""

    version: Version
    forecast: Forecast
    cause: str
    name: ClassVar[str] = "read-migrations"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Read which migrations {self.version} needs"


class BackUpDatabase(PlannedStep, frozen=True):
    """Have a verified backup of Graasp's database that is at most an hour old."""

    version: Version
    cause: str
    name: ClassVar[str] = "backup"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return "Make sure there is a backup less than an hour old"


class CheckEdge(PlannedStep, frozen=True):
    """Have nginx, from this site's image, check the configuration that it will be started with."""

    cause: str
    name: ClassVar[str] = "check-edge"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return "Check the configuration of nginx"


class CheckStack(PlannedStep, frozen=True):
    """Have this engine start, next to the site, what it might refuse to start, and remove it again."""

    services: tuple[str, ...]
    version: Version | None
    cause: str
    name: ClassVar[str] = "check-stack"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Check that the engine can start {listed(self.services)}"

    def __post_init__(self) -> None:
        _refuse_empty(self.services)


class CloseGate(PlannedStep, frozen=True):
    """Remove the flag that lets visitors through; does not need nginx to be running.

    `sealed`: closed to the bypass too. Otherwise an existing seal is removed.
    """

    cause: str
    sealed: bool = False
    name: ClassVar[str] = "close-gate"
    reference_seconds: ClassVar[float] = 0.1

    @property
    def title(self) -> str:
        return "Close the gate and seal it against the bypass" if self.sealed else "Close the gate"

    def leads_to(self, site: Ahead) -> Ahead:
        after = replace(site, sealed=self.sealed)
        return after.with_gate(after.closed_gate if site.observed.edge_answers else Gate.UNKNOWN)


class SealGate(PlannedStep, frozen=True):
    """Close the closed gate to the bypass too, until it is unsealed or opened."""

    cause: str
    name: ClassVar[str] = "seal-gate"
    reference_seconds: ClassVar[float] = 0.1

    @property
    def title(self) -> str:
        return "Seal the gate against the bypass"

    def leads_to(self, site: Ahead) -> Ahead:
        return replace(site, sealed=True).with_gate(Gate.SEALED)


class UnsealGate(PlannedStep, frozen=True):
    """Let people with the bypass through the closed gate again."""

    cause: str
    name: ClassVar[str] = "unseal-gate"

    @property
    def title(self) -> str:
        return "Unseal the gate for the bypass"

    def leads_to(self, site: Ahead) -> Ahead:
        return replace(site, sealed=False).with_gate(Gate.CLOSED)


class ProveGate(PlannedStep, frozen=True):
    """Ask nginx, as a visitor and with the bypass, to verify that the gate is as it should be."""

    gate: Gate
    cause: str
    reference_seconds: ClassVar[float] = 0.1

    @property
    def name(self) -> str:
        return f"prove-{self.gate.in_words}"

    @property
    def title(self) -> str:
        return f"Verify that the gate is {self.gate.in_words}"


class Drain(PlannedStep, frozen=True):
    """Let requests that were in flight when the gate closed finish; websockets are not waited for."""

    limit_seconds: float
    cause: str
    name: ClassVar[str] = "drain"
    reference_seconds: ClassVar[float] = 0.2

    @property
    def title(self) -> str:
        return f"Wait for requests in flight to finish (limit {self.limit_seconds:g} s)"


class EndConnections(PlannedStep, frozen=True):
    """End connections opened before the gate closed: requests may finish, websockets and pads are ended at once."""

    limit_seconds: float
    cause: str
    name: ClassVar[str] = "end-connections"
    reference_seconds: ClassVar[float] = 0.3

    @property
    def title(self) -> str:
        return f"End connections opened before the gate closed (requests get {self.limit_seconds:g} s)"


class RemakeNetworks(PlannedStep, frozen=True):
    """Remove the site's containers and the networks that SWARM changes; both are created again. Volumes stay."""

    cause: str
    name: ClassVar[str] = "remake-networks"

    @property
    def title(self) -> str:
        return "Remove the containers and networks from before SWARM was changed"

    def leads_to(self, site: Ahead) -> Ahead:
        names = tuple(service.name for service in site.observed.services)
        after = site.with_services(names, Status.ABSENT, Health.NONE)
        return replace(after, observed=replace(after.observed, other_networks=False))


class StopServices(PlannedStep, frozen=True):
    """Stop services of one group together."""

    group: ServiceGroup
    services: tuple[str, ...]
    cause: str

    @property
    def name(self) -> str:
        return f"stop-{self.group}"

    @property
    def title(self) -> str:
        return f"Stop {listed(self.services)}"

    def __post_init__(self) -> None:
        _refuse_empty(self.services)

    @property
    def typical_seconds(self) -> float:
        return 1.0 if self.group is ServiceGroup.DATABASE else 0.6

    def leads_to(self, site: Ahead) -> Ahead:
        after = site.with_services(self.services, Status.EXITED, Health.NONE)
        if self.group is ServiceGroup.EDGE and not after.observed.edge_answers:
            after = after.with_gate(Gate.UNKNOWN)
        return after


class StartServices(PlannedStep, frozen=True):
    """Start services of one group together and wait until they are healthy.

    `writers`: they write to Graasp's database on their own; those that Graasp works without are not waited for.
    `made_too` are services whose containers are created at the same time, for a later step to start. `ahead` are
    services of a later step that start early: at the same time, or once the database is on if this step starts it. Of
    the services in `first_of` only one container is started: visitors do not have to wait for the others, which a
    StartReplicas starts later.
    """

    group: ServiceGroup
    services: tuple[str, ...]
    cause: str
    writers: bool = False
    made_too: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()
    first_of: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "start-writers" if self.writers else f"start-{self.group}"

    @property
    def title(self) -> str:
        told = (f"{name} (one container)" if name in self.first_of else name for name in self.services)
        return f"Start {listed(tuple(told))} and wait until healthy"

    def __post_init__(self) -> None:
        _refuse_empty(self.services)

    @property
    def typical_seconds(self) -> float:
        return 1.0 if self.writers else _START_SECONDS[self.group]

    def leads_to(self, site: Ahead) -> Ahead:
        versioned = tuple(s.name for s in site.observed.in_group(self.group) if s.version and s.name in self.services)
        after = site.with_services(self.services, Status.RUNNING, Health.HEALTHY)
        after = after.with_services(versioned, Status.RUNNING, Health.HEALTHY, site.selected)
        return after.with_gate(after.closed_gate) if self.group is ServiceGroup.EDGE else after


class StartReplicas(PlannedStep, frozen=True):
    """Start the other containers of services of which only one was started, and wait until they are healthy."""

    services: tuple[str, ...]
    cause: str
    name: ClassVar[str] = "start-replicas"

    @property
    def title(self) -> str:
        return f"Start the other containers of {listed(self.services)} and wait until healthy"

    def __post_init__(self) -> None:
        _refuse_empty(self.services)


class MakeServices(PlannedStep, frozen=True):
    """Create services' containers for the version, replacing those of another version, without starting them.

    `migration`: also create the container that runs its migrations.
    """

    services: tuple[str, ...]
    version: Version
    cause: str
    migration: bool = False
    name: ClassVar[str] = "make-services"

    @property
    def title(self) -> str:
        return f"Create {listed(self.services)} of {self.version} without starting them"

    def __post_init__(self) -> None:
        _refuse_empty(self.services)

    def leads_to(self, site: Ahead) -> Ahead:
        return site.with_services(self.services, Status.CREATED, Health.NONE, str(self.version))


class AwaitMigration(PlannedStep, frozen=True):
    """Wait for a migrate container that an earlier operation left running."""

    limit_seconds: float
    cause: str
    name: ClassVar[str] = "await-migration"

    @property
    def title(self) -> str:
        return f"Wait for the running migration to end (limit {self.limit_seconds:g} s)"

    def leads_to(self, site: Ahead) -> Ahead:
        return replace(site, observed=replace(site.observed, migrations=()))


class EndSessions(PlannedStep, frozen=True):
    """End migrate containers and everything else that is still connected to Graasp's database."""

    cause: str
    name: ClassVar[str] = "end-sessions"
    reference_seconds: ClassVar[float] = 0.3

    @property
    def title(self) -> str:
        return "End everything still connected to the database"

    def leads_to(self, site: Ahead) -> Ahead:
        return replace(site, observed=replace(site.observed, migrations=()))


class MakeDatabases(PlannedStep, frozen=True):
    """Have these databases on an external server, each with an owner of the same name."""

    databases: tuple[str, ...]
    cause: str
    name: ClassVar[str] = "make-databases"

    @property
    def title(self) -> str:
        return f"Create the databases {listed(self.databases)} on the external server"

    def __post_init__(self) -> None:
        if not self.databases:
            raise ValueError("there is nothing to make")


class Snapshot(PlannedStep, frozen=True):
    """Copy Graasp's database inside its server, under the operation's name."""

    cause: str
    name: ClassVar[str] = "snapshot"
    bytes_per_second: ClassVar[float] = 200e6
    reference_seconds: ClassVar[float] = 0.3

    @property
    def title(self) -> str:
        return "Take a snapshot of the database"


class WriteSnapshot(PlannedStep, frozen=True):
    """Dump Graasp's database to a file, under the operation's name, if the server has no room for a snapshot."""

    cause: str
    name: ClassVar[str] = "write-snapshot"

    @property
    def title(self) -> str:
        return "Dump the database to a file and read it back"


class SwapBack(PlannedStep, frozen=True):
    """Replace the database with the named snapshot; the replaced database is kept under another name.

    If something may have been `written` to it, that is counted, and it is kept until a person removes it.
    """

    snapshot: str
    cause: str
    written: bool = False
    name: ClassVar[str] = "swap-back"

    @property
    def title(self) -> str:
        return f"Replace the database with the snapshot {self.snapshot}"


class MakeMigration(PlannedStep, frozen=True):
    """Create the version's migrate container, without starting it."""

    version: Version
    cause: str
    name: ClassVar[str] = "make-migration"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Create the migration container of {self.version}"


class Migrate(PlannedStep, frozen=True):
    """Run the version's migrate container, once, under a time limit; its exit code must be 0.

    While it runs, the containers of the services in `creates` are created for the version, without being started.
    """

    version: Version
    limit_seconds: float
    cause: str
    creates: tuple[str, ...] = ()
    name: ClassVar[str] = "migrate"
    reference_seconds: ClassVar[float] = 4.0

    @property
    def title(self) -> str:
        also = " and create containers" if self.creates else ""
        return f"Run migrations of {self.version} (limit {self.limit_seconds:g} s){also}"


class ProveMigrations(PlannedStep, frozen=True):
    """Read the applied migrations from the database: they must be exactly the version's."""

    version: Version
    cause: str
    name: ClassVar[str] = "prove-migrations"
    reference_seconds: ClassVar[float] = 0.1

    @property
    def title(self) -> str:
        return f"Verify that the database has the migrations of {self.version}"


class SelectVersion(PlannedStep, frozen=True):
    """Make this the version that the site's services are started with from now on."""

    version: Version
    cause: str
    name: ClassVar[str] = "select-version"
    reference_seconds: ClassVar[float] = 0.0

    @property
    def title(self) -> str:
        return f"Select {self.version} for every service started from now on"

    def leads_to(self, site: Ahead) -> Ahead:
        return replace(site, selected=str(self.version))


class DeselectVersion(PlannedStep, frozen=True):
    """Have no version selected again, as before the first deployment or restore of a site."""

    cause: str
    name: ClassVar[str] = "deselect-version"

    @property
    def title(self) -> str:
        return "Select no version"


class SelectImages(PlannedStep, frozen=True):
    """From now on start services of the selected version with other images of it, because they were rebuilt.

    Both are by variable: the new `images`, and the ones that they replace (`instead_of`).
    """

    services: tuple[str, ...]
    images: Images
    instead_of: Images
    cause: str
    name: ClassVar[str] = "select-images"
    reference_seconds: ClassVar[float] = 0.0

    @property
    def title(self) -> str:
        return f"Select another build of {listed(self.services)}"

    def undone(self, cause: str) -> SelectImages:
        """The step that goes back to the previous images."""
        return SelectImages(self.services, self.instead_of, self.images, cause)


class VerifyCore(PlannedStep, frozen=True):
    """Ask core for its version and its database; None accepts any version.

    Asks through nginx, with the bypass; while the gate is sealed, from inside nginx's container. Every container of
    core is also asked alone, unless `first_only` says that only one has been started yet.
    """

    version: Version | None
    cause: str
    first_only: bool = False
    name: ClassVar[str] = "verify-core"
    reference_seconds: ClassVar[float] = 0.3

    @property
    def title(self) -> str:
        if self.version is None:
            return "Verify that core and its database answer"
        return f"Verify that core answers as {self.version}"


class VerifyReplicas(PlannedStep, frozen=True):
    """Ask every container of core, each alone, for its version and its database; None accepts any version."""

    version: Version | None
    cause: str
    name: ClassVar[str] = "verify-replicas"

    @property
    def title(self) -> str:
        return f"Verify that each container of core answers{f' as {self.version}' if self.version else ''}"


class OpenGate(PlannedStep, frozen=True):
    """Set the flag that lets visitors through."""

    cause: str
    name: ClassVar[str] = "open-gate"
    reference_seconds: ClassVar[float] = 0.1

    @property
    def title(self) -> str:
        return "Open the gate"

    def leads_to(self, site: Ahead) -> Ahead:
        return replace(site, sealed=False).with_gate(Gate.OPEN)


class RecordDeployment(PlannedStep, frozen=True):
    """Record that the version is deployed, with its digests."""

    version: Version
    cause: str
    name: ClassVar[str] = "record"

    @property
    def title(self) -> str:
        return f"Record {self.version} as deployed"

    def leads_to(self, site: Ahead) -> Ahead:
        names = tuple(s.name for s in site.observed.in_group(ServiceGroup.GRAASP) if s.version)
        return site.with_services(names, Status.RUNNING, Health.HEALTHY, str(self.version))


Step = (
    Preflight
    | PullImages
    | UseEarlierSettings
    | RestoreImages
    | ShareImages
    | ReadMigrations
    | BackUpDatabase
    | CheckEdge
    | CheckStack
    | CloseGate
    | SealGate
    | UnsealGate
    | ProveGate
    | Drain
    | EndConnections
    | RemakeNetworks
    | StopServices
    | StartServices
    | StartReplicas
    | MakeServices
    | AwaitMigration
    | EndSessions
    | MakeDatabases
    | Snapshot
    | WriteSnapshot
    | SwapBack
    | MakeMigration
    | Migrate
    | ProveMigrations
    | SelectVersion
    | DeselectVersion
    | SelectImages
    | VerifyCore
    | VerifyReplicas
    | OpenGate
    | RecordDeployment
    | UpgradeStep
    | RestoreStep
    | RollingStep
)


def _refuse_empty(services: tuple[str, ...]) -> None:
    # Compose can take an empty list of services to mean all of them.
    if not services:
        raise ValueError("a step needs at least one service")
