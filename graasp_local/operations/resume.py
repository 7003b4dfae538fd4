"""What continues an operation that was cut off: the same again, from where it stopped.

Decides by the journal and by what the database holds.
"""

from __future__ import annotations

from msgspec.structs import replace

from graasp_local.errors import Refused
from graasp_local.journal.records import OperationRecord
from graasp_local.operations.deployments import deploy_request, deployment_plan
from graasp_local.operations.restores import plan_for
from graasp_local.operations.rollback import undoing
from graasp_local.operations.steps.having_images import use_recorded_images
from graasp_local.operations.upgrades import upgrade_again_plan
from graasp_local.planning.plan import Plan, Strategy
from graasp_local.planning.plan_deploy import Backup, ImagesFrom
from graasp_local.planning.plan_restore import RestoreRequest
from graasp_local.planning.plan_rollback import plan_rollback
from graasp_local.planning.requests import Deploy
from graasp_local.planning.restore_steps import Restore
from graasp_local.planning.server import Direction
from graasp_local.planning.states import InfraState, ObservedState
from graasp_local.ports.world import World
from graasp_local.version import Version


def unfinished(world: World) -> OperationRecord:
    """The operation that `resume` is about. Raises Refused if there is none."""
    record = world.site.history.unfinished
    if record is None:
        raise Refused(
            "No operation was left unfinished on this site.",
            "Nothing was changed.",
            "`graasp-local rollback` undoes the last deployment that succeeded.",
        )
    return record


def resume_plan(world: World, observed: ObservedState) -> Plan:
    """The plan for `resume`: the unfinished deployment, or the unfinished rollback, again. Raises Refused."""
    record = unfinished(world)
    if record.upgrade is not None:
        return upgrade_again_plan(world, observed, record)
    back = undoing(world.site.history.operations, record)
    if record.is_rollback and (record.is_first or (record.restore is None and record.database_is_changed)):
        return plan_rollback(observed, back)
    if record.restore is not None:
        return _resumed_restore(world, observed, record, record.restore)
    request = deploy_request(world, _asked_of(record))
    if record.database_is_changed:  # a backup now would be of a database that is already being migrated
        request = replace(request, backup=Backup.LEFT_OUT)
    # A rolling deployment may have got to a point from which it can only be finished behind the closed gate.
    if record.is_rolling or request.strategy is not Strategy.CLOSED:
        request = replace(request, strategy=Strategy.ROLLING_IF_POSSIBLE)
    if record.images:
        use_recorded_images(world, request.version, record.images)
        request = replace(request, images=ImagesFrom.LAST_DEPLOYMENT, exact=record.images)
    return deployment_plan(world, observed, request)


def _asked_of(record: OperationRecord) -> Deploy:
    """What was asked for, or its equivalent: a rollback of only the code is a deployment without a Deploy request, and
    0.1.0 did not record requests.
    """
    if isinstance(record.asked, Deploy) and record.asked.version == record.version:
        return record.asked
    strategy = Strategy.ROLLING_IF_POSSIBLE if record.is_rolling else Strategy.CLOSED
    return Deploy(record.version or "", hold=_end_of(record) is InfraState.RESTRICTED, strategy=strategy)


def _resumed_restore(world: World, observed: ObservedState, record: OperationRecord, restore: Restore) -> Plan:
    version = Version.parse(record.version or "")
    if restore.way is Direction.BACK:
        back = undoing(world.site.history.operations, record)
        return plan_rollback(observed, replace(back, version=version))
    return plan_for(world, observed, RestoreRequest(restore, version, _end_of(record)))


def _end_of(record: OperationRecord) -> InfraState:
    """The state it was to end in: a deployment and a restore end in one of these two."""
    return InfraState.RESTRICTED if record.target == InfraState.RESTRICTED else InfraState.RUNNING
