"""What an upgrade of the database server needs, as small protocols: containers and volumes of servers, and the contents
of one.

Implemented by engine/data/servers.py and postgres/server.py; the fakes are in tests/unit/fake_servers.py.
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
    """A running dump or restore; it ends when this process does."""

    def exit_code(self) -> int | None:
        """None while it is running."""
        ...

    def bytes_done(self) -> int: ...
    def complaint(self) -> str:
        """The part of its stderr that says what went wrong."""
        ...

    def kill(self) -> None: ...


class ServerContainers(Protocol):
    """The site's database server and a newer one next to it. Raises EngineUnreachable."""

    def data_major(self) -> int | None:
        """The major of the files in the selected volume; None if there are none yet."""
        ...

    def image_major(self, image: str) -> int | None:
        """The major of Postgres in an image: what the image itself says, if it is here, otherwise its tag."""
        ...

    def running_image(self) -> str | None:
        """The image that the database's container was created from; None if there is no container."""
        ...

    def image_fact(self, image: str) -> ImageFact: ...
    def layout_problems(self, target: DatabaseServer) -> tuple[str, ...]:
        """Why the site's compose files would not replace the old server with this one, a sentence each."""
        ...

    def volumes(self) -> Mapping[str, int | None]:
        """Every volume of database servers that this project has, with the major of its files."""
        ...

    def remove_volume(self, volume: str) -> None: ...
    def start_new(self, server: DatabaseServer) -> None:
        """Start it on its volume, emptied first; returns before it is healthy. Removes what an earlier attempt left."""
        ...

    def new_health(self) -> Health | None:
        """None if its container has ended or does not exist."""
        ...

    def new_log(self) -> tuple[str, ...]: ...
    def stop_new(self) -> None:
        """Stop it cleanly and remove its container; its volume stays."""
        ...

    def discard_new(self, server: DatabaseServer) -> None:
        """Remove container and volume. Raises ValueError for the selected volume."""
        ...

    def dump(self, database: str | None, file: Path) -> ToolRun:
        """Dump one database of the old server, or the roles if None, to a file, with the new server's tools."""
        ...

    def contents(self, file: Path) -> tuple[str, ...]:
        """What a dump holds, a line for each entry, as pg_restore lists it."""
        ...

    def restore_roles(self, file: Path) -> ToolRun: ...
    def restore(self, database: str, file: Path, entries: Sequence[str], loader: Loader | None) -> ToolRun:
        """Load these entries of a dump as the loader's owner; without a loader, as the superuser."""
        ...

    def learn_statistics(self) -> ToolRun:
        """ANALYZE every database of the new server: statistics are not in a dump."""
        ...


class ServerContents(Protocol):
    """A whole database server, read as its superuser. Every method raises NeedsYou if it does not answer."""

    def sizes(self) -> Mapping[str, int]:
        """Every database that an upgrade copies, with its size in bytes."""
        ...

    def left_behind(self) -> tuple[str, ...]:
        """What an upgrade does not copy, as phrases: snapshots, settings of the server itself."""
        ...

    def problems(self) -> tuple[str, ...]:
        """Why this server's content would not work on a newer one, a sentence each."""
        ...

    def extensions_in_use(self) -> Mapping[str, Sequence[str]]:
        """Every installed extension, with the databases that it is installed in."""
        ...

    def extensions_available(self) -> frozenset[str]: ...
    def make_empty(self) -> None:
        """Remove every database and role that the initialization created, except the superuser's own."""
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
