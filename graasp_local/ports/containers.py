"""The containers of a site's services: observing, starting and stopping them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from graasp_local.ports.observation import ObservedServices
    from graasp_local.version import Version


class Containers(Protocol):
    """Every method raises EngineUnreachable when the engine does not answer."""

    def observe(self) -> ObservedServices: ...
    def start(self, services: Sequence[str], first_of: Sequence[str] = ()) -> None:
        """Start only one container of each service in `first_of`, or none if one of its containers already serves."""
        ...

    def stop(self, services: Sequence[str]) -> None: ...
    def remake_networks(self) -> None:
        """Remove the site's stopped containers and tasks, and the networks whose kind does not match its settings.

        What is started later creates them again. Raises NeedsYou.
        """
        ...

    def make(self, services: Sequence[str], version: Version) -> None:
        """Create the services' containers for a version, without starting them; existing ones must be stopped."""
        ...

    def start_made(self, services: Sequence[str], first_of: Sequence[str] = ()) -> None:
        """Start what `make` has created; only one container of each service in `first_of`.

        Raises NeedsYou if the engine refuses.
        """
        ...

    def recent_log(self, service: str, lines: int, since: float | None = None) -> tuple[str, ...]: ...
    def last_health_check(self, service: str) -> str:
        """The last output of the service's health check, on one line; empty if there is none."""
        ...

    def restarts(self, service: str) -> int: ...
    def created_at(self, service: str) -> float:
        """When the oldest of the service's containers was created, in seconds since 1970; 0 if it has none."""
        ...

    def files_used_since(self, service: str) -> float:
        """The same, in the time of this machine's files; 0 also if the engine cannot mount these."""
        ...

    def made_from(self, service: str, directory: Path) -> bool:
        """Whether a container of the service was created with a `.env` in this directory."""
        ...

    def recovery_progress(self, service: str) -> str:
        """How far a database server's crash recovery has got; empty if it is not recovering."""
        ...

    def wait_for_leftovers(self, since: float) -> None:
        """Wait until the commands and stops that a killed graasp-local began on this site have ended.

        Its last step began at `since`, in seconds since the epoch.
        """
        ...

    def database_address(self) -> tuple[str, int]: ...
