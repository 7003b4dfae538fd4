"""Which steps undo a deployment or a restore, from wherever it stopped.

The data from before is put back under its name, and what it replaces is kept under another. Pure.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.planning.parts import without_graasp
from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_restore import administration_again, quiet_for
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.restore_steps import Restore, TakeOut
from graasp_local.planning.server import Direction
from graasp_local.planning.simulate import simulate
from graasp_local.planning.stages import check, close, fetch_again, quiet, serve
from graasp_local.planning.states import TABLE, InfraState, ObservedState, ServiceGroup
from graasp_local.planning.steps import DeselectVersion, EndSessions, ProveMigrations, SelectVersion, Step, SwapBack
from graasp_local.version import Images, Version


class RollbackRequest(Struct, frozen=True):
    """What to go back to: a version and a state, or Graasp off again where nothing was deployed before."""

    version: Version | None
    end: InfraState
    images: Images = ()
    """Those that the version had then."""
    snapshot: str | None = None
    """The database from before the migration, to put back; None if no migration has begun."""
    written: bool = False
    """Something may have been written since the migration began."""
    restore: Restore | None = None
    """What is undone is this restore, not a deployment."""
    is_in_place: bool = False
    """The restored data may be in place already."""


def plan_rollback(observed: ObservedState, request: RollbackRequest) -> Plan:
    """Back to the version and the state from before, behind a closed gate."""
    version, end = request.version, request.end
    if version is None:
        end = without_graasp(end)
    needed = TABLE[end].groups_on
    steps = fetch_again(version, request.images) if version is not None else []
    change = _change(observed, request)
    # A database that is unchanged and is to be off need not be started first: it may be what failed.
    if change or (version is not None and ServiceGroup.DATABASE in needed):
        steps += close(observed, "visitors must not reach a site that is being rolled back")
        steps += _quiet(observed, request)
        steps += change
        if version is not None and (request.restore is None or ServiceGroup.GRAASP in needed):
            steps.append(ProveMigrations(version, f"{version} works only with exactly its own migrations"))
    if version is None:
        steps.append(DeselectVersion("no version was deployed before"))
        steps += plan_transition(simulate(observed, steps), end).steps
    else:
        steps.append(SelectVersion(version, "the database belongs to this version again"))
        if request.restore is not None and ServiceGroup.GRAASP in needed:
            steps += administration_again(observed, steps)
        steps += serve(observed, steps, version, end, f"{version} serves again", _verified(request))
    undone = replace(request.restore, way=Direction.BACK) if request.restore is not None else None
    return Plan(end, tuple(steps), version, restore=undone, goes_back=True)


def plan_undo(observed: ObservedState, version: Version, request: RollbackRequest) -> Plan:
    """Roll back a deployment that succeeded: what was written since is set aside with its database.

    Like the rollback of a failed one, but visitors are being served, so everything is checked before it begins.
    """
    back = plan_rollback(observed, request)
    return replace(back, steps=(*check(version, "problems are found while visitors are still served"), *back.steps))


def _quiet(observed: ObservedState, request: RollbackRequest) -> list[Step]:
    if request.restore is not None:
        return quiet_for(observed, request.restore)
    if request.version is None:
        return quiet(observed, groups=(ServiceGroup.DATABASE,))
    return quiet(observed)


def _change(observed: ObservedState, request: RollbackRequest) -> list[Step]:
    end_sessions = EndSessions("a database in use cannot be renamed")
    if request.restore is not None:
        if not request.is_in_place:
            return []
        out = TakeOut(request.restore, "everything from before is kept under another name")
        return [end_sessions, out] if request.restore.snapshot else [out]
    if request.snapshot is not None:
        before = "it is the database as it was before the migration"
        return [end_sessions, SwapBack(request.snapshot, before, request.written)]
    return [end_sessions] if observed.migrations else []


def _verified(request: RollbackRequest) -> str:
    return "the old version is verified" if request.restore is None else "the site as it was before is verified"
