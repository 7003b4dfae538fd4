"""How core is replaced while visitors are served: the second container, nginx's routing, the requests in flight."""

from __future__ import annotations

from collections.abc import Iterator

from graasp_local.errors import Interrupted, NeedsYou
from graasp_local.operations.steps.proving import POLL_SECONDS, core_failures, prove, replica_failures
from graasp_local.operations.steps.starting import START_LIMIT_SECONDS
from graasp_local.planning.rolling_steps import (
    DrainSide,
    LeadVisitors,
    ProveSide,
    RemoveHandover,
    ReplaceInTurn,
    RollingStep,
    Side,
    StartHandover,
)
from graasp_local.planning.states import Health, ObservedService, Status
from graasp_local.ports.world import World
from graasp_local.wording import listed, size_in_words

REMEMBERED_SECONDS = 3.0
"""nginx caches a name's address for one second, on a clock of whole seconds, so for less than two."""

QUIET_SECONDS = 0.5
"""A request that nginx had routed before visitors were moved, but not passed on yet, has arrived by then."""

_LOG_LINES = 12
_GONE = (Status.EXITED, Status.DEAD, Status.RESTARTING, Status.ABSENT)


def perform_rolling(world: World, step: RollingStep) -> Iterator[str]:
    """Yields lines for people; raises GraaspLocalError if it could not be done."""
    match step:
        case StartHandover():
            world.handovers.start(step.version, step.services)
            yield from _wait_until_on(world, step.services)
        case ProveSide(side=side, version=version):
            prove(
                world,
                lambda: (
                    core_failures(world.handovers.core(side), version, "when asked directly")
                    or (replica_failures(world, version) if side is Side.SERVICES else ())
                ),
                "Core failed its check",
            )
        case LeadVisitors(to=to):
            yield "waiting for nginx to stop using the old address"
            _pass_time(world, REMEMBERED_SECONDS)
            world.handovers.route_visitors(to)
        case DrainSide(side=side, limit_seconds=limit):
            yield from _drain(world, side, limit)
        case ReplaceInTurn(version=version, services=services):
            world.handovers.replace_in_turn(version, services)
            yield from _wait_until_replaced(world, services)
        case RemoveHandover(stopped=stopped):
            world.handovers.remove(stopped)


def _wait_until_on(world: World, services: tuple[str, ...]) -> Iterator[str]:
    began = world.clock.monotonic()
    while True:
        there = {second.name: second for second in world.containers.observe().handovers}
        waiting = [name for name in services if name not in there or not there[name].is_on]
        if not waiting:
            return
        seconds = world.clock.monotonic() - began
        for name in waiting:
            problem = _hopeless(name, there.get(name), seconds)
            if problem is not None:
                yield f"the end of the log of the second {name}:"
                yield from (f"  {line}" for line in world.handovers.recent_log(name, _LOG_LINES))
                raise NeedsYou(problem)
        if world.interruption.requested:
            raise Interrupted(f"Interrupted while the second {waiting[0]} was starting.")
        world.clock.sleep(POLL_SECONDS)


def _hopeless(name: str, second: ObservedService | None, seconds: float) -> str | None:
    if second is None:
        return f"The second {name} is gone."
    if second.health is Health.UNHEALTHY:
        return f"The second {name} runs but does not become healthy."
    if second.status in _GONE:
        return f"The second {name} has exited instead of serving."
    if seconds >= START_LIMIT_SECONDS:
        return f"The second {name} is {second.described()} after {seconds:.0f} s."
    return None


def _wait_until_replaced(world: World, services: tuple[str, ...]) -> Iterator[str]:
    clock = world.clock
    left, since = 0, clock.monotonic()
    while now_left := world.handovers.not_replaced(services):
        if now_left != left:
            yield f"{now_left} container(s) to go"
            left, since = now_left, clock.monotonic()
        if clock.monotonic() - since >= START_LIMIT_SECONDS:
            raise NeedsYou(f"No container of {listed(services)} was replaced for {START_LIMIT_SECONDS:.0f} s.")
        if world.interruption.requested:
            raise Interrupted(f"Interrupted while {listed(services)} were being replaced.")
        clock.sleep(POLL_SECONDS)


def _drain(world: World, side: Side, limit: float) -> Iterator[str]:
    """Wait for requests in flight; those still running at the limit are cut when their core stops: that is reported."""
    clock = world.clock
    deadline = clock.monotonic() + limit
    quiet_since: float | None = None
    while True:
        in_flight, now = world.handovers.requests_in_flight(side), clock.monotonic()
        if in_flight != 0:
            quiet_since = None
        elif quiet_since is None:
            quiet_since = now
        elif now - quiet_since >= QUIET_SECONDS:
            return
        if in_flight != 0 and now >= deadline:
            yield still_running(in_flight, limit, world.gate_control.upload_bytes_to_come())
            return
        if world.interruption.requested:
            raise Interrupted("Interrupted while requests in flight were finishing.")
        clock.sleep(POLL_SECONDS)


def still_running(in_flight: int | None, limit: float, to_come: int | None) -> str:
    """What to say about requests that are no longer waited for; `in_flight` is None if their number is unknown.

    `to_come` are bytes of uploads, None if unknown.
    """
    if in_flight is None:
        return f"after {limit:g} s nginx's connections still cannot be read: running requests will be cut off"
    uploads = f", with about {size_in_words(to_come)} of uploads still to come" if to_come else ""
    return f"{in_flight} request(s) still running after {limit:g} s{uploads}: they will be cut off"


def _pass_time(world: World, seconds: float) -> None:
    deadline = world.clock.monotonic() + seconds
    while world.clock.monotonic() < deadline:
        if world.interruption.requested:
            raise Interrupted("Interrupted before visitors were moved to the other core.")
        world.clock.sleep(POLL_SECONDS)
