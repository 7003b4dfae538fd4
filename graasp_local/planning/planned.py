"""What all kinds of step have in common. Pure."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.planning.states import Gate, Health, ObservedState, Status


class Ahead(Struct, frozen=True):
    """A site as it will be after some steps of a plan, with what later ones of them depend on.

    `selected` is the version that a step has selected, empty if none has. `sealed`: the gate's flag says so, whether
    or not nginx is up.
    """

    observed: ObservedState
    selected: str = ""
    sealed: bool = False

    @property
    def closed_gate(self) -> Gate:
        """What an nginx that is up and not open shows."""
        return Gate.SEALED if self.sealed else Gate.CLOSED

    def with_gate(self, gate: Gate) -> Ahead:
        return replace(self, observed=replace(self.observed, gate=gate))

    def with_services(self, names: tuple[str, ...], status: Status, health: Health, version: str = "") -> Ahead:
        return replace(self, observed=self.observed.with_services(names, status, health, version))


class PlannedStep(Struct, frozen=True):
    """A step of a plan. Each has a `name`, by which programs and the journal identify it, a `title` and a `cause`."""

    touches_site: ClassVar[bool] = True
    """False for what only reads, fetches or creates something next to the site: the site is unchanged after it."""
    reference_seconds: ClassVar[float] = 0.5
    """What it usually takes with little data on two processors. For stopping, migrating and starting Graasp 2.13, as
    reported: stop 0.5 s, migrate 3.1 s, core and workers healthy 9.5 s; not measured here."""

    @property
    def typical_seconds(self) -> float:
        """What it takes on a site on which it has not run yet."""
        return self.reference_seconds

    def leads_to(self, site: Ahead) -> Ahead:
        """The site after it, if it does what it says. Most steps change nothing that a plan depends on."""
        return site
