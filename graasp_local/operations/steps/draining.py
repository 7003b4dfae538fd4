"""Requests in flight behind a closed gate: they are waited for, while the bypass sends no new ones."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress

from graasp_local.errors import GraaspLocalError, Interrupted
from graasp_local.operations.progress import Progress
from graasp_local.operations.steps.proving import POLL_SECONDS
from graasp_local.operations.steps.rolling import still_running
from graasp_local.planning.states import Gate
from graasp_local.ports.world import World

_QUIET_OBSERVATIONS = 2
"""A request that nginx has just let through has no connection to core yet; the next observation finds it."""


def drain(world: World, limit: float) -> Generator[str, None, bool]:
    """Wait for requests in flight; those still running at the limit are cut when core stops, and that is reported.

    People with the bypass would go on sending requests, so the gate is sealed until core has stopped. Returns whether
    it was sealed for that: otherwise it was sealed before, and is to stay so.
    """
    if world.edge.gate() is Gate.SEALED:
        yield from _wait_until_quiet(world, limit)
        return False
    world.gate_control.seal_gate()
    try:
        yield from _wait_until_quiet(world, limit)
    except GraaspLocalError:
        with suppress(GraaspLocalError):  # the first error says more
            world.gate_control.set_gate_flag(Gate.CLOSED)
        raise
    return True


def give_up_draining(world: World, progress: Progress) -> None:
    """Let the bypass through again, if draining sealed the gate: core has stopped, or will not be stopped."""
    if progress.sealed_to_drain:
        world.gate_control.set_gate_flag(Gate.CLOSED)


def _wait_until_quiet(world: World, limit: float) -> Iterator[str]:
    deadline = world.clock.monotonic() + limit
    quiet_observations = 0
    while True:
        in_flight = world.gate_control.requests_in_flight()
        quiet_observations = quiet_observations + 1 if in_flight == 0 else 0
        if quiet_observations == _QUIET_OBSERVATIONS:
            held_open = world.old_connections.open()
            if held_open:
                yield f"{held_open} connection(s) still open, such as websockets: they end when core stops"
            return
        if in_flight != 0 and world.clock.monotonic() >= deadline:
            yield still_running(in_flight, limit, world.gate_control.upload_bytes_to_come())
            return
        if in_flight != 0 and world.interruption.requested:
            raise Interrupted("Interrupted while requests in flight were finishing.")
        world.clock.sleep(POLL_SECONDS)
