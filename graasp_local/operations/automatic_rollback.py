"""How a failed operation is rolled back automatically, if it is. The command `rollback` is in rollback.py."""

from __future__ import annotations

from contextlib import suppress

from msgspec.structs import replace

from graasp_local.errors import GraaspLocalError
from graasp_local.journal.events import OperationStarted
from graasp_local.journal.records import WRITING_NAMES
from graasp_local.operations.rollouts import rolling_recovery
from graasp_local.operations.upgrades import upgrade_recovery
from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_rollback import RollbackRequest, plan_rollback
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.requests import OnFailure
from graasp_local.planning.restore_steps import PutInPlace
from graasp_local.planning.rolling_steps import StartHandover
from graasp_local.planning.server import Direction
from graasp_local.planning.states import Gate, InfraState, ObservedState, state_named
from graasp_local.planning.steps import CloseGate, Migrate, OpenGate, SelectImages, Step
from graasp_local.ports.world import World
from graasp_local.site.affected import outdated
from graasp_local.version import Version


def plan_to_state_before(world: World, started: OperationStarted) -> Plan | None:
    """The plan that undoes a change of state, if changed settings that it put into effect may be why it failed.

    Otherwise there is nothing to put back, nor is there after an interruption. A site that served nothing before
    serves nothing afterwards either: a person may have closed it because of the earlier settings.
    """
    before, serving = state_named(started.came_from), (InfraState.RUNNING, InfraState.RESTRICTED)
    rebuilt = next((step for step in started.plan.steps if isinstance(step, SelectImages)), None)
    if before is None or started.plan.target not in serving or world.interruption.requested:
        return None
    if world.site.kept is None and rebuilt is None:
        return None
    with suppress(GraaspLocalError, OSError):  # the engine is unreachable: report the first error
        observed = world.observe()
        if rebuilt is None:
            return plan_transition(observed, before, world.site.selected_version)
        plan = plan_transition(outdated(observed, rebuilt.services), before, world.site.selected_version)
        return replace(plan, steps=(rebuilt.undone("it ran before"), *plan.steps))
    return None


def plan_back(
    world: World, on_failure: OnFailure, started: OperationStarted, tried: tuple[Step, ...], gate: Gate
) -> Plan | None:
    """The rollback of an operation that failed after these steps; None if there is none, or none is wanted.

    The last step may have taken effect with only its answer lost: the database counts as changed by it, and visitors
    as let in, unless nginx answers (`gate`) that they are not.
    """
    told_to_open = tells_to_open(tried)
    if tells_to_open(tried[:-1]) or (told_to_open and gate not in (Gate.CLOSED, Gate.SEALED)):
        return None
    if on_failure is OnFailure.HOLD or started.written_before:
        return None
    try:
        observed = world.observe()
        if told_to_open:
            observed = replace(observed, gate=Gate.OPEN)  # a late answer may still open it, so it is closed again
        return _rollback(world, observed, started, tried)
    except (GraaspLocalError, OSError):  # the engine is unreachable: report the first error
        return None


def tells_to_open(tried: tuple[Step, ...]) -> bool:
    return any(isinstance(step, OpenGate) for step in tried)


def _has_stand_in(tried: tuple[Step, ...]) -> bool:
    """Whether a second core may serve, with the gate open."""
    is_started = any(isinstance(step, StartHandover) for step in tried)
    return is_started and not any(isinstance(step, CloseGate) for step in tried)


def _rollback(world: World, observed: ObservedState, started: OperationStarted, tried: tuple[Step, ...]) -> Plan | None:
    plan, previous = started.plan, Version.parse_or_none(started.previous_version)
    if plan.upgrade is not None:
        goes_there = plan.upgrade.way is Direction.THERE
        return upgrade_recovery(world, observed, plan.upgrade, started.came_from) if goes_there else None
    if plan.goes_back or (previous is None and not started.is_first):
        return None
    deploys = plan.version is not None and plan.restore is None
    if previous is not None and deploys and (plan.keeps_open or _has_stand_in(tried)):
        return rolling_recovery(world, observed, tried, previous, started.previous_images)
    begun = started.migrated_before or any(isinstance(step, Migrate | PutInPlace) for step in tried)
    written = started.may_be_written or not WRITING_NAMES.isdisjoint(step.name for step in tried)
    end = state_named(started.came_from) or (InfraState.RESTRICTED if previous is not None else InfraState.STOPPED)
    images, snapshot = started.previous_images, started.snapshot if begun else None
    return plan_rollback(observed, RollbackRequest(previous, end, images, snapshot, written, plan.restore, begun))
