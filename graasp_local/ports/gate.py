"""The gate: setting it, asking through it as visitors do, and what core works on behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from graasp_local.journal.visits import ProbeReport
    from graasp_local.planning.states import Gate


class GateControl(Protocol):
    """The gate from within. Every method raises EngineUnreachable when the engine does not answer."""

    def set_gate_flag(self, gate: Gate) -> None: ...
    def shut_gate(self) -> None:
        """Let nobody pass, the bypass included, until the flag is set again."""
        ...

    def requests_in_flight(self) -> int | None:
        """Websockets are none. None where it cannot be told just now."""
        ...

    def upload_bytes_to_come(self) -> int | None:
        """Of uploads that are under way, but for small ones. None where it cannot be told."""
        ...

    def forget_addresses(self) -> bool:
        """Have Redis forget the addresses of files that core keeps there for an hour; False where Redis is off."""
        ...


class CoreAnswer(Struct, frozen=True):
    """What core said: its version without `v`, and whether its database has the tables it needs."""

    version: str
    database_is_usable: bool


class Edge(Protocol):
    """The site as it is reached through nginx."""

    def gate(self) -> Gate: ...
    def gate_failures(self, gate: Gate) -> tuple[str, ...]:
        """Why the gate is not as wanted, a sentence each: asked as a browser, as a program and with the bypass."""
        ...

    def core(self) -> CoreAnswer | None:
        """Asked with the bypass; None if core does not answer."""
        ...


class Prober(Protocol):
    """Asks the site as visitors do while an operation is under way."""

    def start(self) -> None: ...
    def stop(self, gate: Gate) -> ProbeReport:
        """End it; where the gate is open, once a visitor was served, for a bounded time."""
        ...
