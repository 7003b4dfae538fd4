"""Waiting until services that were started are on, and saying early when they never will be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graasp_local.errors import Interrupted, NeedsYou
from graasp_local.states import Health, ObservedService, Status
from graasp_local.world import World

START_LIMIT_SECONDS = 300.0
"""Longer than any health check's start period in compose.yaml."""

_POLL_SECONDS = 0.1
_CRASHES_THAT_TELL = 3
_LOG_LINES = 12


def wait_until_on(world: World, services: Sequence[str]) -> Iterator[str]:
    """Yields nothing while all goes well. Raises NeedsYou, after showing the log, for a service that will not start."""
    deadline = world.clock.monotonic() + START_LIMIT_SECONDS
    # The engine counts over the container's life: what it went through before is no sign of what it will do now.
    restarts_before = {name: world.engine.restarts(name) for name in services}
    while True:
        waiting = [service for service in world.engine.see().services if service.name in services and not service.is_on]
        if not waiting:
            return
        for service in waiting:
            problem = _hopeless(world, service, restarts_before[service.name])
            if problem is None and world.clock.monotonic() >= deadline:
                problem = f"{service.name} is {service.described()} after {START_LIMIT_SECONDS:g} s"
            if problem is not None:
                yield f"the end of the log of {service.name}:"
                yield from (f"  {line}" for line in world.engine.recent_log(service.name, _LOG_LINES))
                raise NeedsYou(f"{problem}.")
        if world.interruption.requested:
            raise Interrupted(f"Interrupted while {waiting[0].name} was starting.")
        world.clock.sleep(_POLL_SECONDS)


def _hopeless(world: World, service: ObservedService, restarts_before: int) -> str | None:
    if service.health is Health.UNHEALTHY:
        return f"{service.name} runs but does not get healthy"
    if service.status in (Status.EXITED, Status.DEAD):
        return f"{service.name} has ended instead of serving"
    if service.status is Status.RESTARTING:
        crashes = world.engine.restarts(service.name) - restarts_before
        if crashes >= _CRASHES_THAT_TELL:
            return f"{service.name} has crashed {crashes} times in a row"
    return None
