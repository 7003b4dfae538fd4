"""The gate: setting it, sending requests through it as visitors do, and what core is working on behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from graasp_local.journal.visits import ProbeReport
    from graasp_local.planning.states import Gate


class GateControl(Protocol):
    """The gate from inside. Every method raises EngineUnreachable when the engine does not answer."""

    def set_gate_flag(self, gate: Gate) -> None: ...
    def seal_gate(self) -> None:
        """Seal the gate, against the bypass too, until the flag is set again."""
        ...

    def requests_in_flight(self) -> int | None:
        """Websockets do not count. None if this is unknown at the moment."""
        ...

    def upload_bytes_to_come(self) -> int | None:
        """Bytes still to come of uploads in progress, except small ones. None if unknown."""
        ...

    def forget_addresses(self) -> bool:
        """Delete the addresses of files that core caches in Redis for an hour; False if Redis is off."""
        ...


class CoreAnswer(Struct, frozen=True):
    """What core reports: its version without `v`, and whether its database has the tables it needs."""

    version: str
    database_is_usable: bool


class Edge(Protocol):
    """The site as it is reached through nginx."""

    def gate(self) -> Gate: ...
    def gate_failures(self, gate: Gate) -> tuple[str, ...]:
        """Why the gate is not as wanted, a sentence each: checked as a browser, as a program and with the bypass."""
        ...

    def core(self) -> CoreAnswer | None:
        """Asked with the bypass; None if core does not answer."""
        ...


class Prober(Protocol):
    """Sends requests to the site, as visitors do, while an operation runs."""

    def start(self) -> None: ...
    def stop(self, gate: Gate) -> ProbeReport:
        """Stop; if the gate is open, first wait, for a limited time, until a visitor is served."""
        ...
