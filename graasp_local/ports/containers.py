"""The containers of a site's services: what there is, and starting and stopping it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from graasp_local.ports.observation import ObservedServices
    from graasp_local.version import Version


class Containers(Protocol):
    """Every method raises EngineUnreachable when the engine does not answer."""

    def observe(self) -> ObservedServices: ...
    def start(self, services: Sequence[str]) -> None: ...
    def stop(self, services: Sequence[str]) -> None: ...
    def make(self, services: Sequence[str], version: Version) -> None:
        """Make the services' containers for a version, without starting them; those that there are must be stopped."""
        ...

    def start_made(self, services: Sequence[str]) -> None:
        """Start what `make` has made. Raises NeedsYou if the engine refuses."""
        ...

    def recent_log(self, service: str, lines: int, since: float | None = None) -> tuple[str, ...]: ...
    def last_health_check(self, service: str) -> str:
        """The last thing that the service's health check said, on one line; empty where it said nothing."""
        ...

    def restarts(self, service: str) -> int: ...
    def recovery_progress(self, service: str) -> str:
        """How far a database server is that recovers what it had not written when it was cut off; else empty."""
        ...

    def wait_for_leftovers(self) -> None:
        """Wait until no command runs any more that a killed graasp-local had started on this site."""
        ...

    def database_address(self) -> tuple[str, int]: ...
