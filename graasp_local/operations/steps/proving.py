"""Checks repeatedly, for a limited time, until nothing is wrong; and says what can be wrong with core."""

from __future__ import annotations

from collections.abc import Callable

from graasp_local.errors import Interrupted, NeedsYou
from graasp_local.planning.rolling_steps import Side
from graasp_local.planning.states import Gate
from graasp_local.ports.gate import CoreAnswer
from graasp_local.ports.world import World
from graasp_local.version import Version

PROOF_SECONDS = 10.0
SWARM_SECONDS = 60.0
"""The machines of a Swarm tell each other at once where a container is, or else within half a minute."""
POLL_SECONDS = 0.05
_WRONG = "Core failed its check"


def prove(
    world: World, failures: Callable[[], tuple[str, ...]], what: str, limit_seconds: float = PROOF_SECONDS
) -> None:
    """Ask until there are no failures, for a limited time. Raises NeedsYou, beginning with `what`, or Interrupted."""
    clock = world.clock
    deadline = clock.monotonic() + limit_seconds
    while found := failures():
        if clock.monotonic() >= deadline:
            raise NeedsYou(f"{what}: {' '.join(found)}")
        if world.interruption.requested:
            raise Interrupted(f"Interrupted while waiting: {' '.join(found)}")
        clock.sleep(POLL_SECONDS)


def verify_core(world: World, expected: Version | None, *, first_only: bool = False) -> None:
    """Ask core through nginx or, while the gate is sealed even for graasp-local, from inside the site.

    Then each of its containers, unless only the first has been started.

    Raises NeedsYou or Interrupted, as `prove` does.
    """
    sealed = world.edge.gate() is Gate.SEALED
    where = "inside the site" if sealed else "through nginx"

    def failures() -> tuple[str, ...]:
        answer = world.handovers.core(Side.SERVICES) if sealed else world.edge.core()
        found = core_failures(answer, expected, where)
        # While a second core stands in for the replicas, they are of the old version, or were just asked one by one.
        return (
            found if found or first_only or world.containers.observe().handovers else replica_failures(world, expected)
        )

    prove(world, failures, _WRONG, _patience(world))


def verify_replicas(world: World, expected: Version | None) -> None:
    """Ask each container of core alone. Raises NeedsYou or Interrupted, as `prove` does."""
    prove(world, lambda: replica_failures(world, expected), _WRONG, _patience(world))


def _patience(world: World) -> float:
    return PROOF_SECONDS if world.site.settings.swarm is None else SWARM_SECONDS


def replica_failures(world: World, expected: Version | None) -> tuple[str, ...]:
    """What is wrong with any replica of core, a sentence each: any of them may answer a visitor."""
    return tuple(
        failure
        for name, answer in world.handovers.replicas_of_core().items()
        for failure in core_failures(answer, expected, "when asked directly", name)
    )


def core_failures(
    answer: CoreAnswer | None, expected: Version | None, where: str, name: str = "Core"
) -> tuple[str, ...]:
    """What is wrong with core's answer, a sentence each; `where` says how it was asked ("through nginx")."""
    if answer is None:
        return (f"{name} does not answer {where}.",)
    failures = []
    if expected is not None and answer.version != str(expected):
        failures.append(f"{name} says that it is version {answer.version or '(nothing)'}, not {expected}.")
    if not answer.database_is_usable:
        failures.append(f"{name} does not find its tables in the database: was a version ever deployed here?")
    return tuple(failures)
