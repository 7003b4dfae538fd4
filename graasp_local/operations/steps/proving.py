"""Asking until nothing is wrong any more, for a bounded time; and what can be wrong with core."""

from __future__ import annotations

from collections.abc import Callable

from graasp_local.errors import Interrupted, NeedsYou
from graasp_local.planning.rolling_steps import Side
from graasp_local.planning.states import Gate
from graasp_local.ports.operation import CoreAnswer
from graasp_local.ports.world import World
from graasp_local.version import Version

PROOF_SECONDS = 10.0
POLL_SECONDS = 0.05


def prove(world: World, failures: Callable[[], tuple[str, ...]], what: str) -> None:
    """Ask until there are no failures. Raises NeedsYou, saying `what` is not so, or Interrupted."""
    clock = world.clock
    deadline = clock.monotonic() + PROOF_SECONDS
    while found := failures():
        if clock.monotonic() >= deadline:
            raise NeedsYou(f"{what}: {' '.join(found)}")
        if world.interruption.requested:
            raise Interrupted(f"Interrupted while waiting: {' '.join(found)}")
        clock.sleep(POLL_SECONDS)


def verify_core(world: World, expected: Version | None) -> None:
    """Ask core itself as it can be asked now: while the gate is sealed nobody passes it, graasp-local either.

    Raises NeedsYou or Interrupted as `prove`.
    """
    sealed = world.edge.gate() is Gate.SEALED
    where = "inside the site" if sealed else "through nginx"

    def failures() -> tuple[str, ...]:
        answer = world.handovers.core(Side.SERVICES) if sealed else world.edge.core()
        return core_failures(answer, expected, where)

    prove(world, failures, "Core is not as it should be")


def core_failures(answer: CoreAnswer | None, expected: Version | None, where: str) -> tuple[str, ...]:
    """What is wrong with an answer of core, a sentence each; `where` says how it was asked ("through nginx")."""
    if answer is None:
        return (f"Core does not answer {where}.",)
    failures = []
    if expected is not None and answer.version != str(expected):
        failures.append(f"Core says that it is version {answer.version or '(nothing)'}, not {expected}.")
    if not answer.database_is_usable:
        failures.append("Core does not find its tables in the database: was a version ever deployed here?")
    return tuple(failures)
