"""What an upgrade of the database server needs from the world, as small protocols: containers and volumes of servers,
and the contents of one.

Their real implementations are engine/servers.py and postgres/server.py, the fakes are in tests/unit/fake_servers.py.
Nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from graasp_local.planning.fingerprint import ServerFingerprint
from graasp_local.planning.server import DatabaseServer
from graasp_local.planning.states import Health
from graasp_local.ports.data import Databases, Loader
from graasp_local.ports.images import ImageFact


class ToolRun(Protocol):
    """A dump or a restore that is under way; it ends when this process does."""

    def exit_code(self) -> int | None:
        """None while it goes on."""
        ...

    def bytes_done(self) -> int: ...
    def complaint(self) -> str:
        """What it said on stderr, as far as it tells what went wrong."""
        ...

    def kill(self) -> None: ...


class ServerContainers(Protocol):
    """The site's database server and a newer one beside it. Raises EngineUnreachable when the engine is away."""

    def data_major(self) -> int | None:
        """The major that the selected volume's files are of; None where there are none yet."""
        ...

    def image_major(self, image: str) -> int | None:
        """The major of Postgres in an image: what the image itself says, if it is here, else its tag."""
        ...

    def running_image(self) -> str | None:
        """The image that the database's container was made from; None where there is no container."""
        ...

    def image_fact(self, image: str) -> ImageFact: ...
    def layout_problems(self, target: DatabaseServer) -> tuple[str, ...]:
        """Why the site's compose files would not put this server in the old one's place, a sentence each."""
        ...

    def volumes(self) -> Mapping[str, int | None]:
        """Every volume of database servers that this project has, with the major of its files."""
        ...

    def remove_volume(self, volume: str) -> None: ...
    def start_new(self, server: DatabaseServer) -> None:
        """Start it on its volume, emptied before; returns before it is healthy. What is left of an attempt goes."""
        ...

    def new_health(self) -> Health | None:
        """None when its container has ended, or is not there."""
        ...

    def new_log(self) -> tuple[str, ...]: ...
    def stop_new(self) -> None:
        """End it cleanly and remove its container; its volume stays."""
        ...

    def discard_new(self, server: DatabaseServer) -> None:
        """Remove container and volume. Raises ValueError for the volume that is selected."""
        ...

    def dump(self, database: str | None, file: Path) -> ToolRun:
        """One database of the old server, or None for the roles, into a file, by the tools of the new one."""
        ...

    def contents(self, file: Path) -> tuple[str, ...]:
        """What a dump holds, a line for each thing, as pg_restore lists it."""
        ...

    def restore_roles(self, file: Path) -> ToolRun: ...
    def restore(self, database: str, file: Path, entries: Sequence[str], loader: Loader | None) -> ToolRun:
        """Load these entries of a dump as the loader's owner, or as the superuser what is the superuser's own."""
        ...

    def learn_statistics(self) -> ToolRun:
        """ANALYZE of every database of the new server: statistics are in no dump."""
        ...


class ServerContents(Protocol):
    """A whole database server, read as its superuser. Every method raises NeedsYou when it does not answer."""

    def sizes(self) -> Mapping[str, int]:
        """Every database that an upgrade copies, with its size in bytes."""
        ...

    def left_behind(self) -> tuple[str, ...]:
        """What an upgrade does not copy, as phrases: snapshots, settings of the server itself."""
        ...

    def problems(self) -> tuple[str, ...]:
        """Why what is on this server would not work on a newer one, a sentence each."""
        ...

    def extensions_in_use(self) -> Mapping[str, Sequence[str]]:
        """Every extension that is installed, with the databases that it is installed in."""
        ...

    def extensions_available(self) -> frozenset[str]: ...
    def make_empty(self) -> None:
        """Remove every database and role but the superuser's own: what an initialisation has made."""
        ...

    def roles(self) -> Mapping[str, bool]:
        """Every role of this server, and whether it is a superuser."""
        ...

    def fingerprint(self) -> ServerFingerprint: ...


class Servers(Struct, frozen=True):
    """The old server and the new one: their containers, what is in each, and the new one's databases to be filled."""

    containers: ServerContainers
    old: ServerContents
    new: ServerContents
    filling: Databases
