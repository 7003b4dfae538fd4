"""The kinds of step that only an upgrade of the database server has.

They are part of the union in steps.py. plan_upgrade.py decides when one is needed, operations/steps/upgrading.py
carries it out. Sizes are in bytes; None if the server was off when the plan was made.

`bytes_per_second` goes by the databases' size on disk. 652 MB on two cores were dumped at 93 MB/s, and restored at
34 MB/s by two jobs; the figures here are lower, to allow for one job and other disks. The one for comparing is a guess:
not measured yet. Pure.
"""

from __future__ import annotations

from typing import ClassVar

from graasp_local.planning.planned import PlannedStep
from graasp_local.planning.server import DatabaseServer, Upgrade


class CheckUpgrade(PlannedStep, frozen=True):
    """Check everything that can be checked before a second server is started."""

    upgrade: Upgrade
    cause: str
    name: ClassVar[str] = "check-upgrade"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Check that Postgres {self.upgrade.target_major} can replace Postgres {self.upgrade.source_major}"


class PullServer(PlannedStep, frozen=True):
    """Have the image of the newer server on this machine, and check that it is of the right major."""

    upgrade: Upgrade
    cause: str
    name: ClassVar[str] = "pull-server"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Pull the image {self.upgrade.target.image}"


class StartNewServer(PlannedStep, frozen=True):
    """Start the newer server on its new, empty volume next to the old one; it must have every extension in use."""

    upgrade: Upgrade
    cause: str
    name: ClassVar[str] = "start-new-server"
    reference_seconds: ClassVar[float] = 3.0

    @property
    def title(self) -> str:
        target = self.upgrade.target
        return f"Start Postgres {self.upgrade.target_major} next to the old one, on the new volume {target.volume}"


class DumpServer(PlannedStep, frozen=True):
    """Dump all databases and roles of the old server into files in the site, with the newer server's tools."""

    upgrade: Upgrade
    size_bytes: int | None
    cause: str
    name: ClassVar[str] = "dump-server"
    bytes_per_second: ClassVar[float] = 60e6
    reference_seconds: ClassVar[float] = 1.0

    @property
    def title(self) -> str:
        return f"Dump all databases and roles with the tools of Postgres {self.upgrade.target_major}"


class RestoreServer(PlannedStep, frozen=True):
    """Restore them into the newer server, and rebuild its statistics."""

    upgrade: Upgrade
    size_bytes: int | None
    cause: str
    name: ClassVar[str] = "restore-server"
    bytes_per_second: ClassVar[float] = 20e6
    reference_seconds: ClassVar[float] = 2.0

    @property
    def title(self) -> str:
        return f"Load all databases and roles into Postgres {self.upgrade.target_major}"


class ProveCopy(PlannedStep, frozen=True):
    """Read both servers completely and compare roles, databases, tables, rows, sequences, owners, privileges."""

    upgrade: Upgrade
    size_bytes: int | None
    cause: str
    name: ClassVar[str] = "prove-copy"
    bytes_per_second: ClassVar[float] = 40e6

    @property
    def title(self) -> str:
        return "Verify that both servers hold the same data"


class StopNewServer(PlannedStep, frozen=True):
    """Stop the container that filled the new volume: two servers must never share a volume."""

    upgrade: Upgrade
    cause: str
    name: ClassVar[str] = "stop-new-server"
    reference_seconds: ClassVar[float] = 1.0

    @property
    def title(self) -> str:
        return f"Stop Postgres {self.upgrade.target_major} and keep its volume"


class SelectServer(PlannedStep, frozen=True):
    """Make this image and this volume the ones that the database is started from; one atomic write."""

    server: DatabaseServer
    major: int
    cause: str
    name: ClassVar[str] = "select-server"
    reference_seconds: ClassVar[float] = 0.0

    @property
    def title(self) -> str:
        return f"Select Postgres {self.major} on {self.server.volume} as the database server"


class DiscardNewServer(PlannedStep, frozen=True):
    """Remove the container, the volume and the dump of an attempt; never the selected volume."""

    upgrade: Upgrade
    cause: str
    name: ClassVar[str] = "discard-new-server"

    @property
    def title(self) -> str:
        return f"Remove Postgres {self.upgrade.target_major} and its volume {self.upgrade.target.volume}"


class RecordUpgrade(PlannedStep, frozen=True):
    """Record that the site is on the newer server, and what is kept of the old one."""

    upgrade: Upgrade
    cause: str
    name: ClassVar[str] = "record-upgrade"

    @property
    def title(self) -> str:
        return f"Record the upgrade to Postgres {self.upgrade.target_major}"


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
