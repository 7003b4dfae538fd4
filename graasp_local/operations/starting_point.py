"""Where an operation starts from, and so where a rollback of it would go back to."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from graasp_local.errors import NeedsYou
from graasp_local.journal.events import OperationStarted
from graasp_local.journal.records import (
    OperationRecord,
    may_be_written,
    state_left,
    unfinished_operation,
    visitors_were_let_in,
)
from graasp_local.operations.steps.written_snapshot import has_snapshot
from graasp_local.planning.plan import Plan
from graasp_local.planning.requests import Request
from graasp_local.planning.states import ObservedState, ServiceGroup, came_from
from graasp_local.planning.steps import RestoreImages, SwapBack
from graasp_local.ports.world import World
from graasp_local.postgres.database import snapshot_name
from graasp_local.version import Version


def starting_point(
    world: World,
    operation: str,
    request: Request,
    asked: Request,
    plan: Plan,
    before: ObservedState,
    operations: Sequence[OperationRecord],
) -> OperationStarted:
    """Where the operation starts from; one that continues an unfinished deployment starts from where that started."""
    images = next((step.images for step in plan.steps if isinstance(step, RestoreImages)), ())
    begun = OperationStarted(
        operation, request.command, plan, request=request, asked=asked, images=images, gate=before.gate
    )
    earlier, snapshot = unfinished_operation(operations), snapshot_name(operation)
    written = _is_written(operations, earlier, before)
    if plan.restore is not None and earlier is not None and earlier.database_is_changed:
        goes_on = earlier.restore is not None and earlier.restore.number == plan.restore.number
        written = written and (goes_on or not earlier.began_to_undo)
        if goes_on or not written:
            return replace(
                _continuing(begun, earlier),
                snapshot=plan.restore.snapshot or snapshot,
                migrated_before=True,
                written_before=written,
            )
        earlier = None  # its rollback leads back to what visitors wrote to
    back = _put_back(plan)
    earlier = _continued(plan, earlier, back, written=written)
    if earlier is not None:
        inherited = earlier.database_is_changed and _has_snapshot(world, before, earlier.snapshot)
        return replace(
            _continuing(begun, earlier),
            snapshot=earlier.snapshot if inherited else snapshot,
            migrated_before=inherited,
            written_before=inherited and written,
            may_be_written=inherited and may_be_written(operations, earlier),
        )
    begun = replace(begun, came_from=came_from(before, state_left(operations)))
    if back is not None:
        return replace(
            begun,
            previous_version=str(plan.version),
            previous_images=images,
            snapshot=back,
            migrated_before=True,
            may_be_written=any(isinstance(step, SwapBack) and step.written for step in plan.steps),
        )
    selected = world.site.selection
    return replace(
        begun,
        previous_version=str(selected.version or ""),
        is_first=selected.version is None,
        previous_images=selected.images,
        snapshot=snapshot,
    )


def previous_of(
    world: World, plan: Plan, before: ObservedState, operations: Sequence[OperationRecord]
) -> tuple[Version | None, bool]:
    """The version that a rollback of this deployment would start, and whether an unfinished operation recorded it.

    None if nothing was deployed before.
    """
    earlier = unfinished_operation(operations)
    continued = _continued(plan, earlier, _put_back(plan), written=_is_written(operations, earlier, before))
    if continued is not None:
        return Version.parse_or_none(continued.previous_version), True
    return world.site.selected_version, False


def _put_back(plan: Plan) -> str | None:
    return next((step.snapshot for step in plan.steps if isinstance(step, SwapBack)), None)


def _is_written(operations: Sequence[OperationRecord], earlier: OperationRecord | None, before: ObservedState) -> bool:
    """Whether visitors may have written to the database that the unfinished operation changed."""
    if earlier is None or not earlier.database_is_changed:
        return False
    return visitors_were_let_in(operations, earlier, before.gate)


def _continued(
    plan: Plan, earlier: OperationRecord | None, back: str | None, *, written: bool
) -> OperationRecord | None:
    """The unfinished operation, if this plan continues it and so starts from where that started."""
    if earlier is None or not plan.can_be_resumed:
        return None
    if earlier.is_rollback and back is None and earlier.database_is_changed:
        return None  # a change of mind: the database that was to be discarded is kept after all
    if written and back is None and earlier.version != str(plan.version):
        return None  # this operation must not lose what visitors wrote with its version
    return earlier


def _continuing(begun: OperationStarted, earlier: OperationRecord) -> OperationStarted:
    return replace(
        begun,
        came_from=earlier.came_from,
        previous_version=earlier.previous_version,
        is_first=earlier.is_first,
        previous_images=earlier.previous_images,
    )


def _has_snapshot(world: World, before: ObservedState, name: str) -> bool:
    """Assumed to exist while the database is off, or has just begun to start, and cannot be asked."""
    if not before.group_is_on(ServiceGroup.DATABASE):
        return True
    try:
        return has_snapshot(world, name)
    except NeedsYou:
        return True
