"""What can be found out from an engine before anything is changed: what it is, and what it would refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from graasp_local.version import Version


class EngineFacts(Struct, frozen=True):
    """What the engine says about itself; `free_bytes` is None if its disk is not this machine's."""

    version: str
    compose_version: str
    platform: str
    free_bytes: int | None
    memory_bytes: int | None = None
    """Of its machine; None if it does not say."""


class Checks(Protocol):
    """Every method raises EngineUnreachable when the engine does not answer."""

    def facts(self) -> EngineFacts: ...
    def require_compose(self) -> None:
        """Raises EngineUnreachable if Compose is missing or too old."""
        ...

    def edge_refusal(self) -> str | None:
        """Why nginx rejects the configuration that it would be started with, as one line; None if it does not.

        It is asked in a temporary container. Raises NeedsYou.
        """
        ...

    def stack_refusal(self, services: Sequence[str], version: Version | None) -> str | None:
        """Why the engine would not start these services, as a sentence; None if it would.

        `version` None means the selected one. They are tried next to the site in temporary containers, without what
        usually runs in them. Raises NeedsYou if that cannot be tried.
        """
        ...

    def network_problem(self) -> str | None:
        """Why the engine would not create a network that the site lacks, as a sentence; None if it would, or if none
        is missing.

        Only asked if containers are missing: existing ones have their networks.
        """
        ...

    def swarm_problem(self) -> str | None:
        """Why the engine's Swarm cannot be used, as a sentence; None if it can, or if the site is on one machine."""
        ...

    def port_problem(self, address: str, port: int) -> str | None:
        """What is wrong with a port that nginx needs, such as `is in use by apache2`; None if it is free."""
        ...

    def lowest_port(self) -> int:
        """The lowest port that the engine may publish; 0 for any. Only a rootless engine has a limit."""
        ...

    def other_directory(self) -> str | None:
        """The directory that this project's containers were created from, if it is not this site's."""
        ...

    def search_data(self, image: str) -> tuple[str, str] | None:
        """Which version of Meilisearch wrote its data, and the name of the data's volume.

        None if there is no data, or if this image is the one that last opened it.
        """
        ...
