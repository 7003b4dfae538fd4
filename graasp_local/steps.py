"""The kinds of step that a plan is made of: what each is called and what it says of itself.

Decides nothing about when a step is needed (plan.py) or how it is done (perform.py). Every step carries its cause.
Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from graasp_local.data_steps import (
    CheckBackup,
    DataStep,
    LoadDatabase,
    PutInPlace,
    TakeOut,
    UnpackFiles,
    data_step_name,
    data_step_title,
)
from graasp_local.migrations import Forecast
from graasp_local.rolling_steps import (
    DrainSide,
    LeadVisitors,
    ProveSide,
    RemoveHandover,
    RollingStep,
    StartHandover,
    rolling_step_name,
    rolling_step_title,
)
from graasp_local.states import Gate, ServiceGroup
from graasp_local.upgrade_steps import (
    CheckUpgrade,
    PullServer,
    UpgradeStep,
    upgrade_step_name,
    upgrade_title,
)
from graasp_local.version import Version


@dataclass(frozen=True, slots=True)
class Preflight:
    """Check everything that can be checked while visitors are served."""

    version: Version
    cause: str


@dataclass(frozen=True, slots=True)
class PullImages:
    """Have every image of the version on this machine, and pin the version to them."""

    version: Version
    cause: str


@dataclass(frozen=True, slots=True)
class RestoreImages:
    """Have exactly the images on this machine that the version was deployed with, wherever its tags lead now."""

    version: Version
    cause: str


@dataclass(frozen=True, slots=True)
class ReadMigrations:
    """Compare the version's migrations with the database's; refuse what cannot work, or differs from the forecast."""

    version: Version
    forecast: Forecast
    cause: str


@dataclass(frozen=True, slots=True)
class BackUpDatabase:
    """Have a verified backup of Graasp's database that is not older than an hour."""

    version: Version
    cause: str


@dataclass(frozen=True, slots=True)
class CloseGate:
    """Take the flag away that lets visitors through; needs no running nginx."""

    cause: str


@dataclass(frozen=True, slots=True)
class ProveGate:
    """Ask nginx, as a visitor and with the bypass, whether the gate is as it should be."""

    gate: Gate
    cause: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Let the requests that were in flight when the gate closed come to their end; websockets are not waited for."""

    limit_seconds: float
    cause: str


@dataclass(frozen=True, slots=True)
class StopServices:
    """Stop services of one group together."""

    group: ServiceGroup
    services: tuple[str, ...]
    cause: str

    def __post_init__(self) -> None:
        _refuse_empty(self.services)


@dataclass(frozen=True, slots=True)
class StartServices:
    """Start services of one group together and wait until they are healthy."""

    group: ServiceGroup
    services: tuple[str, ...]
    cause: str

    def __post_init__(self) -> None:
        _refuse_empty(self.services)


@dataclass(frozen=True, slots=True)
class AwaitMigration:
    """Wait for a migrate container that an earlier walk left running."""

    limit_seconds: float
    cause: str


@dataclass(frozen=True, slots=True)
class EndSessions:
    """End migrate containers and whatever else is still connected to Graasp's database."""

    cause: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Copy Graasp's database inside its server, under the walk's name."""

    cause: str


@dataclass(frozen=True, slots=True)
class WriteSnapshot:
    """Write Graasp's database to a file, under the walk's name: where the server has no room for a snapshot."""

    cause: str


@dataclass(frozen=True, slots=True)
class SwapBack:
    """Put the named snapshot in the database's place; the database as it was is kept under another name."""

    snapshot: str
    cause: str


@dataclass(frozen=True, slots=True)
class MakeMigration:
    """Make the version's migrate container, without starting it."""

    version: Version
    cause: str


@dataclass(frozen=True, slots=True)
class Migrate:
    """Run the version's migrate container, once, under a time limit; its exit code must be 0.

    Meanwhile the containers of these services are made for the version, without being started.
    """

    version: Version
    limit_seconds: float
    cause: str
    meanwhile: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProveMigrations:
    """Read the applied migrations from the database: they must be exactly the version's."""

    version: Version
    cause: str


@dataclass(frozen=True, slots=True)
class SelectVersion:
    """Make the version the one that the site's services are started with from here on."""

    version: Version
    cause: str


@dataclass(frozen=True, slots=True)
class VerifyCore:
    """Ask core through nginx, with the bypass, for its version and its database; None accepts any version."""

    version: Version | None
    cause: str


@dataclass(frozen=True, slots=True)
class OpenGate:
    """Put the flag in place that lets visitors through."""

    cause: str


@dataclass(frozen=True, slots=True)
class RecordDeployment:
    """Write down that the version is deployed, with its digests."""

    version: Version
    cause: str


Step = (
    Preflight
    | PullImages
    | RestoreImages
    | ReadMigrations
    | BackUpDatabase
    | CloseGate
    | ProveGate
    | Drain
    | StopServices
    | StartServices
    | AwaitMigration
    | EndSessions
    | Snapshot
    | WriteSnapshot
    | SwapBack
    | MakeMigration
    | Migrate
    | ProveMigrations
    | SelectVersion
    | VerifyCore
    | OpenGate
    | RecordDeployment
    | UpgradeStep
    | DataStep
    | RollingStep
)

READ_ONLY = (
    Preflight,
    PullImages,
    RestoreImages,
    ReadMigrations,
    BackUpDatabase,
    CheckBackup,
    LoadDatabase,
    UnpackFiles,
    CheckUpgrade,
    PullServer,
    MakeMigration,
)
"""Steps that leave the site as it is: a failure in one of them, before any other, is a refusal."""


def _refuse_empty(services: tuple[str, ...]) -> None:
    # To Compose an empty list of services can mean all of them.
    if not services:
        raise ValueError("a step needs at least one service")


def step_name(step: Step) -> str:
    """A short name that stays the same across versions: scripts, journals and estimates key on it."""
    match step:
        case Preflight():
            return "preflight"
        case PullImages():
            return "pull"
        case RestoreImages():
            return "restore-images"
        case ReadMigrations():
            return "read-migrations"
        case BackUpDatabase():
            return "backup"
        case CloseGate():
            return "close-gate"
        case ProveGate(gate=gate):
            return f"prove-{gate}"
        case Drain():
            return "drain"
        case StopServices(group=group):
            return f"stop-{group}"
        case StartServices(group=group):
            return f"start-{group}"
        case AwaitMigration():
            return "await-migration"
        case EndSessions():
            return "end-sessions"
        case Snapshot():
            return "snapshot"
        case WriteSnapshot():
            return "write-snapshot"
        case SwapBack():
            return "swap-back"
        case MakeMigration():
            return "make-migration"
        case Migrate():
            return "migrate"
        case ProveMigrations():
            return "prove-migrations"
        case SelectVersion():
            return "select-version"
        case VerifyCore():
            return "verify-core"
        case OpenGate():
            return "open-gate"
        case RecordDeployment():
            return "record"
        case CheckBackup() | LoadDatabase() | UnpackFiles() | PutInPlace() | TakeOut():
            return data_step_name(step)
        case StartHandover() | ProveSide() | LeadVisitors() | DrainSide() | RemoveHandover():
            return rolling_step_name(step)
        case _:  # what is left, to the type checker too
            return upgrade_step_name(step)


def title(step: Step) -> str:
    """What the step does, as a phrase in the imperative."""
    match step:
        case Preflight(version=version):
            return f"check that {version} can be deployed here"
        case PullImages(version=version):
            return f"have the images of {version} on this machine"
        case RestoreImages(version=version):
            return f"have the images on this machine that {version} was deployed with"
        case ReadMigrations(version=version):
            return f"read which migrations {version} needs"
        case BackUpDatabase():
            return "have a backup of the database, not older than an hour"
        case CloseGate():
            return "close the gate"
        case ProveGate(gate=gate):
            return f"prove that the gate is {gate}"
        case Drain(limit_seconds=limit):
            return f"let requests in flight finish (at most {limit:g} s)"
        case StopServices(services=services):
            return f"stop {listed(services)}"
        case StartServices(services=services):
            return f"start {listed(services)} and wait until healthy"
        case AwaitMigration(limit_seconds=limit):
            return f"wait for the migration that is running (at most {limit:g} s)"
        case EndSessions():
            return "end what is still connected to the database"
        case WriteSnapshot():
            return "write the database to a file, and read it back"
        case Snapshot():
            return "take a snapshot of the database"
        case SwapBack(snapshot=snapshot):
            return f"put the snapshot {snapshot} back in the database's place"
        case MakeMigration(version=version):
            return f"make the container that runs the migrations of {version}"
        case Migrate(version=version, limit_seconds=limit):
            return f"run the migrations of {version} (at most {limit:g} s)"
        case ProveMigrations(version=version):
            return f"prove that the database is migrated to {version}"
        case SelectVersion(version=version):
            return f"select {version} for everything started from here on"
        case VerifyCore(version=None):
            return "ask core for its version and its database, through the gate"
        case VerifyCore(version=version):
            return f"ask core through the gate whether it is {version}"
        case OpenGate():
            return "open the gate"
        case RecordDeployment(version=version):
            return f"record {version} as deployed"
        case CheckBackup() | LoadDatabase() | UnpackFiles() | PutInPlace() | TakeOut():
            return data_step_title(step)
        case StartHandover() | ProveSide() | LeadVisitors() | DrainSide() | RemoveHandover():
            return rolling_step_title(step)
        case _:  # what is left, to the type checker too
            return upgrade_title(step)


def listed(names: tuple[str, ...]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
