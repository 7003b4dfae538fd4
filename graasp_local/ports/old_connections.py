"""What is needed to end connections that were opened before the gate closed, as a protocol.

Implemented by engine/nginx/old_connections.py, and in memory by tests/unit/fakes.py.
"""

from __future__ import annotations

from typing import Protocol


class OldConnections(Protocol):
    """Connections that nginx passes on behind the gate. Every method raises EngineUnreachable."""

    def open(self) -> int:
        """How many requests, websockets and pads are open now, regardless of who opened them."""
        ...

    def set_apart(self) -> bool:
        """Have new nginx workers accept everything from now on; False if that did not work.

        The old workers accept nothing more, and keep the connections they have.
        """
        ...

    def requests(self) -> int:
        """How many of the connections open at that moment are requests that are still being answered."""
        ...

    def end(self) -> int:
        """End the old workers and the connections they still have; returns how many those were."""
        ...
