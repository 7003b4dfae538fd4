"""What replacing core under visitors needs from the world, as a protocol: the second container, and nginx's choice.

Implemented by engine/handover.py, and in memory by tests/unit/fakes.py. Nothing here does anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graasp_local.planning.rolling_steps import Side
    from graasp_local.ports.gate import CoreAnswer
    from graasp_local.version import Version


class Memory(Struct, frozen=True):
    """Bytes: what the services use that a second container is wanted of, and what the engine's machine has left.

    `free` is None where the engine is on another machine.
    """

    in_use: int
    free: int | None


class Handovers(Protocol):
    """Second containers that stand in for services. Every method raises EngineUnreachable."""

    def visited(self) -> tuple[str, ...]:
        """The site's services that nginx leads visitors to and that change with the version."""
        ...

    def edge_can_lead(self) -> bool:
        """Whether the nginx that runs knows of a second container; one started by an older graasp-local does not."""
        ...

    def memory(self) -> Memory: ...
    def start(self, version: Version, services: Sequence[str]) -> None:
        """Start a second container of each; one of this version that runs is kept. Raises NeedsYou."""
        ...

    def core(self, side: Side) -> CoreAnswer | None:
        """What core itself says on this side, whoever nginx leads visitors to; None if it does not answer."""
        ...

    def replicas_of_core(self) -> Mapping[str, CoreAnswer | None]:
        """What each core of the service says of itself, by its name ("core-2"); empty where only one is wanted."""
        ...

    def lead_visitors(self, to: Side) -> None: ...
    def requests_in_flight(self, side: Side) -> int | None:
        """Websockets are none. None where it cannot be told just now."""
        ...

    def recent_log(self, service: str, lines: int) -> tuple[str, ...]:
        """The end of the log of a service's second container."""
        ...

    def remove(self) -> None:
        """Stop and remove every second container; nginx leads nobody there any more."""
        ...
