"""The migrate container: made, started, watched, and taken away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from graasp_local.version import Version


class Migrations(Protocol):
    """Every method raises EngineUnreachable when the engine does not answer."""

    def make_migration(self, version: Version) -> None:
        """Make the migrate container that `start_migration` will start."""
        ...

    def start_migration(self, version: Version) -> MigrationRun: ...
    def running_migrations(self) -> Sequence[MigrationRun]: ...
    def remove_ended_migrations(self) -> tuple[str, ...]:
        """Remove migrate containers that nobody came to remove after they had ended; returns their names."""
        ...

    def remove_made_migrations(self) -> None:
        """Take away what `make_migration` has made and nobody has started."""
        ...


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
