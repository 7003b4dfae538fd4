"""The migrate container: creating, starting, watching and removing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from graasp_local.version import Version


class Migrations(Protocol):
    """Every method raises EngineUnreachable when the engine does not answer."""

    def make_migration(self, version: Version) -> None:
        """Create the migrate container that `start_migration` will start."""
        ...

    def start_migration(self, version: Version) -> MigrationRun: ...
    def running_migrations(self) -> Sequence[MigrationRun]: ...
    def remove_ended_migrations(self) -> tuple[str, ...]:
        """Remove migrate containers that ended but were never removed; returns their names."""
        ...

    def remove_made_migrations(self) -> None:
        """Remove containers that `make_migration` created and that were never started."""
        ...


class MigrationRun(Protocol):
    """A migrate container that was started; it can outlive this process."""

    @property
    def name(self) -> str: ...
    def output(self) -> Iterator[str]:
        """Lines written since the last call; never waits."""
        ...

    def exit_code(self) -> int | None:
        """None while it is running."""
        ...

    def kill(self) -> None: ...
    def remove(self) -> None: ...
