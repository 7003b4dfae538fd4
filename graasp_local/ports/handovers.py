"""What it takes to replace core while visitors are served, as a protocol: the second container, nginx's routing.

Implemented by engine/site/handover.py, and in memory by tests/unit/fakes.py.
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
    """Bytes: what the services that need a second container use, and what the engine's machine has left.

    `free` is None if the engine is on another machine.
    """

    in_use: int
    free: int | None


class Handovers(Protocol):
    """Second containers that stand in for services. Every method raises EngineUnreachable."""

    def visited(self) -> tuple[str, ...]:
        """The site's services that nginx routes visitors to and that change with the version."""
        ...

    def replaced_in_turn(self) -> tuple[str, ...]:
        """Those of them whose containers a Swarm can replace one after the other."""
        ...

    def edge_can_route(self) -> bool:
        """Whether the running nginx can route to a second container; one started by an older graasp-local cannot."""
        ...

    def memory(self) -> Memory: ...
    def start(self, version: Version, services: Sequence[str]) -> None:
        """Start a second container of each; one of this version that is running is kept. Raises NeedsYou."""
        ...

    def core(self, side: Side) -> CoreAnswer | None:
        """What core on this side answers, wherever nginx routes visitors; None if it does not answer."""
        ...

    def replicas_of_core(self) -> Mapping[str, CoreAnswer | None]:
        """What each replica of core answers, by its name ("core-2"); empty if only one is wanted."""
        ...

    def route_visitors(self, to: Side) -> None: ...
    def requests_in_flight(self, side: Side) -> int | None:
        """Websockets do not count. None if this is unknown at the moment."""
        ...

    def replace_in_turn(self, version: Version, services: Sequence[str]) -> None:
        """Have the Swarm begin to replace them. Raises NeedsYou."""
        ...

    def not_replaced(self, services: Sequence[str]) -> int:
        """How many containers are still to be replaced. Raises NeedsYou once the Swarm has put the old ones back."""
        ...

    def recent_log(self, service: str, lines: int) -> tuple[str, ...]:
        """The end of the log of a service's second container."""
        ...

    def remove(self, and_stop: Sequence[str] = ()) -> None:
        """Stop and remove every second container, where nginx no longer routes visitors, and stop these services."""
        ...
