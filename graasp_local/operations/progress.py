"""What the steps of an operation leave for later ones: a value that the loop hands from each step to the next. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.version import Version


class Progress(Struct, frozen=True):
    """What holds after the steps so far. A step that fails leaves what held before it."""

    pending: tuple[str, ...] | None = None
    """Migrations that were found to be pending; None until they have been read."""
    made: frozenset[str] = frozenset()
    """Services whose containers were created in this operation, and not started yet."""
    made_for: Version | None = None
    """The version that those containers are of."""
    starting: frozenset[str] = frozenset()
    """Services that a later step is to start, and that are starting already."""
    sealed_to_drain: bool = False
    """The gate is sealed only until what is being drained has stopped."""

    def with_made(self, services: Iterable[str], version: Version | None) -> Progress:
        return replace(self, made=frozenset(services), made_for=version)

    def with_started(self, services: Iterable[str]) -> Progress:
        return replace(self, made=self.made - {*services})

    def without_made(self) -> Progress:
        """Images, settings or networks are others now, so what was created does not fit any more."""
        return replace(self, made=frozenset(), made_for=None, starting=frozenset())
