"""How connections from before the gate closed are ended: requests are waited for, everything else is cut."""

from __future__ import annotations

from collections.abc import Iterator

from graasp_local.errors import Interrupted, NeedsYou
from graasp_local.operations.steps.proving import POLL_SECONDS
from graasp_local.operations.steps.rolling import still_running
from graasp_local.ports.world import World

_QUIET_OBSERVATIONS = 2
"""A request that nginx has just let through has no connection to a service yet; the next observation finds it."""


def end_connections(world: World, limit_seconds: float) -> Iterator[str]:
    """Yields lines for people. Raises NeedsYou if nginx does not start new workers, and Interrupted.

    If nothing is open, nginx is left alone.
    """
    clock, connections = world.clock, world.old_connections
    if _all_quiet(world):
        return
    if not connections.set_apart():
        raise NeedsYou(
            "nginx did not start new workers, so connections from before the gate closed are still open.",
            "No new visitor is let in, but a websocket or an upload from before may still write.",
            "`graasp-local logs nginx` says why; `graasp-local apply db-only` ends them by stopping core.",
        )
    deadline = clock.monotonic() + limit_seconds
    while (in_flight := connections.requests()) and clock.monotonic() < deadline:
        if world.interruption.requested:
            connections.end()
            raise Interrupted("Interrupted while requests in flight were finishing; they were cut off.")
        clock.sleep(POLL_SECONDS)
    if in_flight:
        yield still_running(in_flight, limit_seconds, world.gate_control.upload_bytes_to_come())
    ended = connections.end()
    if ended:
        yield f"ended {ended} connection(s) from before the gate closed, such as websockets"


def _all_quiet(world: World) -> bool:
    for number in range(_QUIET_OBSERVATIONS):
        if number:
            world.clock.sleep(POLL_SECONDS)
        if world.old_connections.open():
            return False
    return True
