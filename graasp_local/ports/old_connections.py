"""What ending the connections from before a closed gate needs from the world, as a protocol.

Implemented by engine/old_connections.py, and in memory by tests/unit/fakes.py. Nothing here does anything.
"""

from __future__ import annotations

from typing import Protocol


class OldConnections(Protocol):
    """What nginx passes on behind the gate. Every method raises EngineUnreachable."""

    def open(self) -> int:
        """How many requests, websockets and pads are open just now, whoever's they are."""
        ...

    def set_apart(self) -> bool:
        """Have nginx take everything that comes from now on by new workers; False if it did not.

        The old workers accept nothing more, and keep what they have.
        """
        ...

    def requests(self) -> int:
        """How many of those that were open at that moment are requests that are still being answered."""
        ...

    def end(self) -> int:
        """End the old workers, with whatever they still have; returns how many of those connections were left."""
        ...
