"""A second core in memory: starts, answers, and goes, in the state that the other fakes share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from graasp_local.planning.rolling_steps import Side
from graasp_local.planning.states import Health, ObservedService, ServiceGroup, Status
from graasp_local.ports.gate import CoreAnswer
from graasp_local.ports.handovers import Memory
from graasp_local.version import Version

if TYPE_CHECKING:
    from tests.unit.fakes import FakeSiteState

_MIB = 1024**2


@dataclass
class FakeHandovers:
    """`health` is what a second core gets to; `says` is what it claims to be, else its version."""

    state: FakeSiteState
    health: Health = Health.HEALTHY
    says: str | None = None
    knows: bool = True
    in_turn: tuple[str, ...] = ()
    to_replace: list[int | Exception] = field(default_factory=list)
    room: Memory = field(default_factory=lambda: Memory(500 * _MIB, 4000 * _MIB))
    in_flight: list[int | None] = field(default_factory=list)
    failing: dict[str, Exception] = field(default_factory=dict)
    core_itself: Callable[[ObservedService], CoreAnswer | None] = lambda core: None
    """What core says, wherever it is asked."""
    replicas_say: dict[str, CoreAnswer | None] = field(default_factory=dict)
    """What single replicas of core say instead of that, by name."""

    def _call(self, name: str) -> None:
        self.state.calls.append(name)
        if name in self.failing:
            raise self.failing[name]

    def visited(self) -> tuple[str, ...]:
        return ("core",)

    def replaced_in_turn(self) -> tuple[str, ...]:
        return self.in_turn

    def edge_can_route(self) -> bool:
        return self.knows

    def memory(self) -> Memory:
        return self.room

    def start(self, version: Version, services: Sequence[str]) -> None:
        self._call("start-second")
        seconds = tuple(
            ObservedService(name, ServiceGroup.GRAASP, Status.RUNNING, self.health, version=str(version))
            for name in services
        )
        self.state.observed = replace(self.state.observed, handovers=seconds)

    def core(self, side: Side) -> CoreAnswer | None:
        there = self.state.observed.handovers if side is Side.HANDOVER else self.state.observed.services
        core = next(service for service in there if service.name == "core")
        if side is Side.SERVICES:
            return self.core_itself(core)
        said = self.says if self.says is not None else core.version
        return CoreAnswer(said, database_is_usable=True) if core.is_on else None

    def replicas_of_core(self) -> Mapping[str, CoreAnswer | None]:
        core = next(service for service in self.state.observed.services if service.name == "core")
        if core.wanted == 1:
            return {}
        answers: dict[str, CoreAnswer | None] = {f"core-{n}": self.core_itself(core) for n in range(1, core.wanted + 1)}
        return {**answers, **self.replicas_say}

    def route_visitors(self, to: Side) -> None:
        self._call(f"lead-to-{to}")
        self.state.leads_to = to

    def requests_in_flight(self, side: Side) -> int | None:
        return self.in_flight.pop(0) if self.in_flight else 0

    def replace_in_turn(self, version: Version, services: Sequence[str]) -> None:
        self._call("replace-in-turn")
        if not any(isinstance(each, Exception) for each in self.to_replace):
            on = (Status.RUNNING, Health.HEALTHY)
            self.state.observed = self.state.observed.with_services(tuple(services), *on, str(version))

    def not_replaced(self, services: Sequence[str]) -> int:
        left = self.to_replace.pop(0) if self.to_replace else 0
        if isinstance(left, Exception):
            raise left
        return left

    def recent_log(self, service: str, lines: int) -> tuple[str, ...]:
        return (f"last words of the second {service}",)

    def remove(self, and_stop: Sequence[str] = ()) -> None:
        self._call("remove-second")
        if and_stop:
            self.state.observed = self.state.observed.with_services(tuple(and_stop), Status.EXITED, Health.NONE)
        self.state.leads_to = Side.SERVICES
        self.state.observed = replace(self.state.observed, handovers=())
