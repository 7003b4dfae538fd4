"""What can be found out of an engine before anything is touched: what it is, and what it would refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from graasp_local.version import Version


class EngineFacts(Struct, frozen=True):
    """What the engine says of itself; `free_bytes` is None where its disk is not this machine's."""

    version: str
    compose_version: str
    platform: str
    free_bytes: int | None
    memory_bytes: int | None = None
    """Of its machine; None where it does not say."""


class Checks(Protocol):
    """Every method raises EngineUnreachable when the engine does not answer."""

    def facts(self) -> EngineFacts: ...
    def require_compose(self) -> None:
        """Raises EngineUnreachable where Compose is missing or too old."""
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

    def network_problem(self) -> str | None:
        """Why the engine would not make a network that the site lacks, as a sentence; None if it would, or lacks none.

        Asked where containers are missing only: those that are there have their networks.
        """
        ...

    def port_holder(self, address: str, port: int) -> str | None: ...
    def lowest_port(self) -> int:
        """The lowest port that the engine may publish; 0 for any. A rootless one has a lowest."""
        ...

    def other_directory(self) -> str | None:
        """The directory that containers of this project were made from, if it is not this site's."""
        ...

    def search_data(self, image: str) -> tuple[str, str] | None:
        """Which version of Meilisearch has written its data, and the name of their volume.

        None where there are none, or this image is the one that they were opened with last.
        """
        ...
