"""The kinds of step that only an upgrade of the database server has: what each is called and says of itself.

They are part of the union in steps.py. Decides nothing about when one is needed (plan_upgrade.py) or how it is done
(perform/upgrading.py). Sizes are in bytes; None where the server was off when the plan was made. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from graasp_local.server import DatabaseServer, Upgrade


@dataclass(frozen=True, slots=True)
class CheckUpgrade:
    """Check everything that can be checked before a second server is started."""

    upgrade: Upgrade
    cause: str


@dataclass(frozen=True, slots=True)
class PullServer:
    """Have the image of the newer server on this machine, and see that it is of the major it should be."""

    upgrade: Upgrade
    cause: str


@dataclass(frozen=True, slots=True)
class StartNewServer:
    """Start the newer server on its new, empty volume beside the old one; it must have every extension in use."""

    upgrade: Upgrade
    cause: str


@dataclass(frozen=True, slots=True)
class DumpServer:
    """Dump all databases and roles of the old server into files of the site, with the tools of the newer one."""

    upgrade: Upgrade
    size_bytes: int | None
    cause: str


@dataclass(frozen=True, slots=True)
class RestoreServer:
    """Restore them into the newer server, and have it learn its statistics anew."""

    upgrade: Upgrade
    size_bytes: int | None
    cause: str


@dataclass(frozen=True, slots=True)
class ProveCopy:
    """Read both servers whole and compare: roles, databases, tables, rows, sequences, owners, privileges."""

    upgrade: Upgrade
    size_bytes: int | None
    cause: str


@dataclass(frozen=True, slots=True)
class StopNewServer:
    """End the container that filled the new volume: two servers must never have one volume."""

    upgrade: Upgrade
    cause: str


@dataclass(frozen=True, slots=True)
class SelectServer:
    """Make this image and this volume what the database is started from; one atomic write."""

    server: DatabaseServer
    major: int
    cause: str


@dataclass(frozen=True, slots=True)
class DiscardNewServer:
    """Remove the container, the volume and the dump of an attempt; never a volume that is selected."""

    upgrade: Upgrade
    cause: str


@dataclass(frozen=True, slots=True)
class RecordUpgrade:
    """Write down that the site is on the newer server, and say what is kept of the old one."""

    upgrade: Upgrade
    cause: str


UpgradeStep = (
    CheckUpgrade
    | PullServer
    | StartNewServer
    | DumpServer
    | RestoreServer
    | ProveCopy
    | StopNewServer
    | SelectServer
    | DiscardNewServer
    | RecordUpgrade
)


def upgrade_step_name(step: UpgradeStep) -> str:
    """As `steps.step_name`."""
    match step:
        case CheckUpgrade():
            return "check-upgrade"
        case PullServer():
            return "pull-server"
        case StartNewServer():
            return "start-new-server"
        case DumpServer():
            return "dump-server"
        case RestoreServer():
            return "restore-server"
        case ProveCopy():
            return "prove-copy"
        case StopNewServer():
            return "stop-new-server"
        case SelectServer():
            return "select-server"
        case DiscardNewServer():
            return "discard-new-server"
        case RecordUpgrade():
            return "record-upgrade"
        case _:
            assert_never(step)


def upgrade_title(step: UpgradeStep) -> str:
    """As `steps.title`."""
    match step:
        case CheckUpgrade(upgrade=upgrade):
            return f"check that Postgres {upgrade.target_major} can take over from {upgrade.source_major} here"
        case PullServer(upgrade=upgrade):
            return f"have the image {upgrade.target.image} on this machine"
        case StartNewServer(upgrade=upgrade):
            return f"start Postgres {upgrade.target_major} beside it, on the new volume {upgrade.target.volume}"
        case DumpServer(upgrade=upgrade):
            return f"dump all databases and roles with the tools of Postgres {upgrade.target_major}"
        case RestoreServer(upgrade=upgrade):
            return f"restore them into Postgres {upgrade.target_major}"
        case ProveCopy():
            return "prove that both servers hold the same"
        case StopNewServer(upgrade=upgrade):
            return f"stop Postgres {upgrade.target_major} and keep its volume"
        case SelectServer(server=server, major=major):
            return f"select Postgres {major} on {server.volume} for everything started from here on"
        case DiscardNewServer(upgrade=upgrade):
            return f"remove Postgres {upgrade.target_major} and its volume {upgrade.target.volume}"
        case RecordUpgrade(upgrade=upgrade):
            return f"record the upgrade to Postgres {upgrade.target_major}"
        case _:
            assert_never(step)
