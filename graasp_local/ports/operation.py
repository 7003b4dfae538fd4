"""What an operation needs from the world, as small protocols: the engine, the edge as a visitor sees it, the database.

Each has one real implementation (in engine/ and postgres/database.py) and an in-memory fake in tests/unit/fakes.py.
Nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from graasp_local.images.pins import Pin
    from graasp_local.journal.visits import ProbeReport
    from graasp_local.planning.migrations import AppliedMigration, ImageMigration
    from graasp_local.planning.states import Gate
    from graasp_local.ports.observation import ObservedServices
    from graasp_local.version import Version


class ImageFact(Struct, frozen=True):
    """Whether an image can be had: `local` it is on the machine; `platforms` it is published for ("linux/amd64").

    `problem` says why it cannot be had, as the end of a sentence; empty if it can.
    """

    service: str
    image: str
    local: bool
    platforms: tuple[str, ...]
    problem: str = ""
    lacks: tuple[str, ...] = ()
    """Programs that the service calls and an image on this machine does not have."""


IS_NOWHERE = "neither on this machine nor in the registry"
"""How a problem ends where an image would have to be built."""

OLDEST_ENGINE = (25, 0)
"""Docker Engine 25 is the first with start_interval in health checks."""

OLDEST_COMPOSE = (2, 24)


class EngineFacts(Struct, frozen=True):
    """What the engine says of itself; `free_bytes` is None where its disk is not this machine's."""

    version: str
    compose_version: str
    platform: str
    free_bytes: int | None
    memory_bytes: int | None = None
    """Of its machine; None where it does not say."""


class Engine(Protocol):
    """The site's containers. Every method raises EngineUnreachable when the engine does not answer."""

    def facts(self) -> EngineFacts: ...
    def observe(self) -> ObservedServices: ...
    def expect(self, version: Version) -> None:
        """Learn that a deployment of this version will be looked at: what takes long to read is begun."""
        ...

    def start(self, services: Sequence[str]) -> None: ...
    def stop(self, services: Sequence[str]) -> None: ...
    def make(self, services: Sequence[str], version: Version) -> None:
        """Make the services' containers for a version, without starting them; those that there are must be stopped."""
        ...

    def start_made(self, services: Sequence[str]) -> None:
        """Start what `make` has made. Raises NeedsYou if the engine refuses."""
        ...

    def make_migration(self, version: Version) -> None:
        """Make the migrate container that `start_migration` will start."""
        ...

    def remove_made_migrations(self) -> None:
        """Take away what `make_migration` has made and nobody has started."""
        ...

    def edge_refusal(self) -> str | None:
        """What nginx says against the configuration that it would be started with, as one line; None if nothing.

        It is asked in a container that is made for that and taken away again. Raises NeedsYou.
        """
        ...

    def stack_refusal(self, services: Sequence[str], version: Version | None) -> str | None:
        """Why the engine would not start these services of the version, None for the selected one, as a sentence.

        They are tried beside the site, without what runs in them, and taken away again; None if it would start them.
        Raises NeedsYou if it cannot be tried.
        """
        ...

    def set_gate_flag(self, gate: Gate) -> None: ...
    def shut_gate(self) -> None:
        """Let nobody pass, the bypass included, until the flag is set again."""
        ...

    def requests_in_flight(self) -> int | None:
        """Websockets are none. None where it cannot be told just now."""
        ...

    def upload_bytes_to_come(self) -> int | None:
        """Of uploads that are under way, but for small ones. None where it cannot be told."""
        ...

    def forget_addresses(self) -> bool:
        """Have Redis forget the addresses of files that core keeps there for an hour; False where Redis is off."""
        ...

    def recent_log(self, service: str, lines: int, since: float | None = None) -> tuple[str, ...]: ...
    def last_health_check(self, service: str) -> str:
        """The last thing that the service's health check said, on one line; empty where it said nothing."""
        ...

    def recovery_progress(self, service: str) -> str:
        """How far a database server is that recovers what it had not written when it was cut off; else empty."""
        ...

    def restarts(self, service: str) -> int: ...
    def image_facts(self, version: Version) -> tuple[ImageFact, ...]: ...
    def has_image(self, reference: str) -> bool: ...
    def registry_has(self, reference: str) -> bool:
        """Whether a registry has this image, which is named by its digest; False where it does not answer."""
        ...

    def absent_images(self, services: Sequence[str]) -> Mapping[str, str]:
        """By service the images that `start` would need for these, as the site is now, and that are not here.

        One that has only lost its name is here: `start` gives it back.
        """
        ...

    def give_names_back(self) -> None:
        """Give images that were found to have lost their names those names again."""
        ...

    def keep_images(self, version: Version) -> None:
        """Keep the images of a version, of Graasp and of everything beside it, under tags of the site's own."""
        ...

    def keep_pins(self, pins: Sequence[Pin]) -> None:
        """The same for exactly these; those that are not here are passed over."""
        ...

    def let_images_go(self, version: Version, but: Sequence[Pin]) -> tuple[str, ...]:
        """Remove the site's own tags of what neither the version nor these pins need; returns the tags."""
        ...

    def pull_image(self, reference: str) -> Iterator[str]:
        """Yields how far it is. Raises Refused if the registry does not give it."""
        ...

    def pins(self, version: Version) -> tuple[Pin, ...]:
        """The exact images of the services that make up a version; they have to be on this machine."""
        ...

    def pin_of(self, service: str, image: str) -> Pin | None:
        """The exact image that has this name on this machine; None if none has."""
        ...

    def use_pins(self, version: Version, pins: Sequence[Pin]) -> None:
        """From here on these images stand for the version, whatever its tags lead to."""
        ...

    def image_migrations(self, version: Version) -> tuple[ImageMigration, ...]: ...
    def start_migration(self, version: Version) -> MigrationRun: ...
    def running_migrations(self) -> Sequence[MigrationRun]: ...
    def remove_ended_migrations(self) -> tuple[str, ...]:
        """Remove migrate containers that nobody came to remove after they had ended; returns their names."""
        ...

    def wait_for_leftovers(self) -> None:
        """Wait until no command runs any more that a killed graasp-local had started on this site."""
        ...

    def require_compose(self) -> None:
        """Raises EngineUnreachable where Compose is missing or too old."""
        ...

    def other_directory(self) -> str | None:
        """The directory that containers of this project were made from, if it is not this site's."""
        ...

    def lowest_port(self) -> int:
        """The lowest port that the engine may publish; 0 for any. A rootless one has a lowest."""
        ...

    def network_problem(self) -> str | None:
        """Why the engine would not make a network that the site lacks, as a sentence; None if it would, or lacks none.

        Asked where containers are missing only: those that are there have their networks.
        """
        ...

    def search_data(self, image: str) -> tuple[str, str] | None:
        """Which version of Meilisearch has written its data, and the name of their volume.

        None where there are none, or this image is the one that they were opened with last.
        """
        ...

    def port_holder(self, address: str, port: int) -> str | None: ...
    def database_address(self) -> tuple[str, int]: ...


class MigrationRun(Protocol):
    """A migrate container that was started; it outlives this process if it has to."""

    @property
    def name(self) -> str: ...
    def output(self) -> Iterator[str]:
        """Lines written since the last call; never waits."""
        ...

    def exit_code(self) -> int | None:
        """None while it runs."""
        ...

    def kill(self) -> None: ...
    def remove(self) -> None: ...


class CoreAnswer(Struct, frozen=True):
    """What core said: its version without `v`, and whether its database has the tables it needs."""

    version: str
    database_is_usable: bool


class Edge(Protocol):
    """The site as it is reached through nginx."""

    def gate(self) -> Gate: ...
    def gate_failures(self, gate: Gate) -> tuple[str, ...]:
        """Why the gate is not as wanted, a sentence each: asked as a browser, as a program and with the bypass."""
        ...

    def core(self) -> CoreAnswer | None:
        """Asked with the bypass; None if core does not answer."""
        ...


class CollationChange(Struct, frozen=True):
    """A database whose text was sorted by another version of the operating system's collations than there is now."""

    database: str
    was: str
    is_now: str


class Database(Protocol):
    """Graasp's database. Every method raises NeedsYou when it does not answer."""

    def applied_migrations(self) -> tuple[AppliedMigration, ...]: ...
    def size_bytes(self) -> int: ...
    def collation_changes(self) -> tuple[CollationChange, ...]:
        """Databases of the server whose indexes over text may be out of order; none where Postgres keeps no version."""
        ...

    def end_other_sessions(self) -> int:
        """End what is still connected to Graasp's database; returns how many there were. umami's is left alone."""
        ...

    def take_snapshot(self, name: str) -> None:
        """Copy Graasp's database under this name; a copy of that name from before is replaced."""
        ...

    def swap_back(self, snapshot: str, *, until_removed: bool = False) -> str:
        """Put the snapshot in the database's place; returns the name under which the other one is kept.

        That is until a deployment went through, or `until_removed` by a person. Does nothing if it has happened
        already.
        """
        ...

    def kept_until_removed(self) -> tuple[str, ...]:
        """Databases that only a person removes."""
        ...

    def remove_kept(self, name: str) -> None: ...

    def has_snapshot(self, name: str) -> bool: ...
    def make_database(self, name: str, password: str) -> bool:
        """See to it that there is a database of this name, with an owner of its own of the same name and this password.

        Says whether it was missing. Touches no other database, and nothing of one that is there.
        """
        ...

    def rows_added_since(self, snapshot: str) -> int | None:
        """How many more rows Graasp's tables have than in the snapshot; None where counting takes too long."""
        ...

    def drop_snapshots_but(self, name: str) -> tuple[str, ...]:
        """Remove snapshots and failed databases of other operations than the named one; returns what was removed.

        Leaves what is kept until a person removes it.
        """
        ...

    def migration_lock(self) -> AbstractContextManager[None]:
        """Held during a migration. Raises NeedsYou if somebody else, on any host, holds it for this server."""
        ...


class Prober(Protocol):
    """Asks the site as visitors do while an operation is under way."""

    def start(self) -> None: ...
    def stop(self, gate: Gate) -> ProbeReport:
        """End it; where the gate is open, once a visitor was served, for a bounded time."""
        ...
