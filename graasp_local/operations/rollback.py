"""What `rollback` undoes: an operation that was cut off or failed, or the last deployment that succeeded.

Decides by the journal and by what the database holds. Refuses to discard what was written since the gate was opened,
unless that is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.errors import NeedsYou, Refused
from graasp_local.journal.events import Outcome
from graasp_local.journal.records import (
    OperationRecord,
    last_success,
    may_be_written,
    unfinished_operation,
    visitors_were_let_in,
)
from graasp_local.operations.deployments import deployment_plan
from graasp_local.operations.steps.having_images import use_recorded_images
from graasp_local.operations.steps.preflight import check_preflight
from graasp_local.operations.steps.written_snapshot import has_snapshot, is_written
from graasp_local.operations.trying import tried_first
from graasp_local.operations.upgrades import upgrade_back_plan
from graasp_local.planning.plan import Plan, Strategy
from graasp_local.planning.plan_deploy import DeployRequest, ImagesFrom
from graasp_local.planning.plan_rollback import RollbackRequest, plan_rollback, plan_undo
from graasp_local.planning.plan_rolling import plan_rolling_back
from graasp_local.planning.requests import Deploy
from graasp_local.planning.restore_steps import Restore
from graasp_local.planning.server import Direction
from graasp_local.planning.states import Gate, InfraState, ObservedState, ServiceGroup, state_named
from graasp_local.ports.world import World
from graasp_local.postgres.database import failed_name
from graasp_local.version import Version


class Loss(Struct, frozen=True):
    """What a rollback would discard: everything written `since` then, including at least `rows` new rows.

    `rows` is None if they could not be counted in a short time. `seconds` is how long ago `since` was.
    """

    version: str
    since: str
    seconds: float
    rows: int | None

    def described(self) -> str:
        found = "; no new rows were found" if self.rows == 0 else ""
        counted = f", including {self.rows} new row(s)," if self.rows else ""
        return f"Everything written since {self.since} ({_ago(self.seconds)} with {self.version}{found}){counted}"


def _refuse_over_written(
    observed: ObservedState, operations: Sequence[OperationRecord], record: OperationRecord, restore: Restore
) -> None:
    """Raises Refused if visitors may have written to the restored data."""
    let_in = record.database_is_changed and visitors_were_let_in(operations, record, observed.gate)
    if record.succeeded or let_in:
        raise Refused(
            f"The gate was opened after {restore.backup} was restored: a rollback would discard everything written "
            "since.",
            "Nothing was changed; the data from before the restore is kept on the server until the next deployment.",
            "`graasp-local resume` finishes a restore that was cut off; `graasp-local restore` restores another "
            "backup.",
        )


def undoing(operations: Sequence[OperationRecord], record: OperationRecord) -> RollbackRequest:
    """What the rollback of this operation, which was cut off or failed, goes back to."""
    begun, previous = record.database_is_changed, Version.parse_or_none(record.previous_version)
    return RollbackRequest(
        previous,
        state_named(record.came_from) or (InfraState.RESTRICTED if previous is not None else InfraState.STOPPED),
        record.previous_images,
        record.snapshot if begun else None,
        _may_be_written(operations, record),
        replace(record.restore, way=Direction.THERE) if record.restore is not None else None,
        begun,
    )


def rollback_plan(world: World, observed: ObservedState, *, discard: bool = False) -> Plan:
    """The plan for `rollback`: back to where the site was before its last deployment. Raises Refused.

    `discard`: what was written since the new version was deployed may be discarded.

    After a deployment that succeeded, only the code goes back if nothing was migrated; otherwise the database from
    before the migration is put back, if what was written since may be discarded.
    """
    operations = world.site.history.operations
    left = unfinished_operation(operations)
    if left is not None and left.upgrade is not None:
        return upgrade_back_plan(world, observed, left)
    record = left or last_success(operations)
    _refuse_after_upgrade(world, operations, record)
    if left is None:
        _refuse_after_nothing(operations, record)
    if record is None or not record.can_be_undone or (left is None and record.is_rollback):
        raise _rolled_back_already(operations) if record is None else _no_rollback(record)
    if record.restore is not None:
        _refuse_over_written(observed, operations, record, record.restore)
    else:
        _refuse_unwanted_loss(_loss(world, observed, operations, record), record, discard=discard)
    previous, images = Version.parse_or_none(record.previous_version), record.previous_images
    request = undoing(operations, record)
    if previous is None:
        return plan_rollback(observed, request)
    use_recorded_images(world, previous, images)
    if record.restore is not None:
        return plan_rollback(observed, request)
    if left is None and not record.database_is_changed:
        strategy = Strategy(world.site.settings.deploy_strategy)
        again = DeployRequest(
            previous, _as_now(observed), images=ImagesFrom.LAST_DEPLOYMENT, exact=images, strategy=strategy
        )
        return deployment_plan(world, observed, again)
    if left is not None and left.is_rolling:
        return plan_rolling_back(observed, previous, world.handovers.visited(), images)
    if left is not None:
        return plan_rollback(observed, request)
    found = check_preflight(world, previous)
    plan = plan_undo(observed, previous, RollbackRequest(previous, _as_now(observed), images, record.snapshot))
    return found.told_in(tried_first(world, plan), world.site.settings.values)


def _refuse_unwanted_loss(lost: Loss | None, record: OperationRecord, *, discard: bool) -> None:
    if lost is not None and not discard:
        raise Refused(
            f"{lost.described()} would be discarded: {record.version} has changed the database, and a rollback "
            "restores the one from before.",
            "Nothing was changed.",
            "`graasp-local rollback --discard written-since` rolls back anyway.",
        )


def _refuse_after_upgrade(world: World, operations: Sequence[OperationRecord], record: OperationRecord | None) -> None:
    """Raises Refused if the newest operation is a successful upgrade of Postgres: `rollback` would seem to undo it.

    Going back to the old server would lose everything written since, so `rollback` must not do that out of habit.
    """
    upgrade = operations[-1].upgrade if operations else None
    if upgrade is None or upgrade.way is Direction.BACK or operations[-1].outcome != "done":
        return
    volume = upgrade.source.volume
    kept = volume in world.servers.containers.volumes()
    advice = []
    if kept:
        advice.append("docs/operate.md, under Upgrade Postgres, says how to go back to it by hand.")
    if record is not None and not record.is_rollback and Version.parse_or_none(record.previous_version):
        # An upgrade does not copy the snapshots, and without one a migration cannot be undone.
        can_be_undone = not record.database_is_changed or is_written(world.site, record.snapshot)
        if can_be_undone:
            advice.append(
                f"To undo {record.version}: `graasp-local apply {operations[-1].state}`, then `graasp-local rollback`."
            )
        else:
            advice.append(
                f"The database from before {record.version} was not taken over, so {record.version} cannot be undone; "
                "`graasp-local backup list` shows what can be restored."
            )
    raise Refused(
        f"The upgrade to Postgres {upgrade.target_major} succeeded, and what was written since is only on the new "
        "server.",
        f"Nothing was changed; the volume {volume} of Postgres {upgrade.source_major} "
        f"{'is kept as it was' if kept else 'was removed since'}.",
        " ".join(advice),
    )


def _refuse_after_nothing(operations: Sequence[OperationRecord], record: OperationRecord | None) -> None:
    """Raises Refused if the newest deployment changed nothing: `rollback` would seem to undo that one.

    The one before it succeeded, and the person has not asked to undo it.
    """
    newest = operations[-1] if operations else None
    if newest is None or record is None or newest.operation == record.operation or newest.touched:
        return
    if isinstance(newest.request, Deploy) and newest.outcome in (None, "refused", "interrupted"):
        raise Refused(
            f"{newest.operation} changed nothing, so there is nothing to undo.",
            f"The site is unchanged, with {record.version}.",
            f"To undo {record.version}: `graasp-local apply {record.state}`, then `graasp-local rollback`."
            if record.can_be_undone and not record.is_rollback
            else "Deploy the version that you want: `graasp-local deploy --version X`.",
        )


def loss(world: World, observed: ObservedState) -> Loss | None:
    """What `rollback` would discard; None if it discards nothing, or there is nothing to go back to. Raises Refused."""
    operations = world.site.history.operations
    record = unfinished_operation(operations) or last_success(operations)
    _refuse_after_upgrade(world, operations, record)
    return _loss(world, observed, operations, record) if record and record.can_be_undone else None


def _may_be_written(operations: Sequence[OperationRecord], record: OperationRecord) -> bool:
    # What a rollback starts itself, it starts on the database that was put back.
    return record.may_be_written if record.is_rollback else may_be_written(operations, record)


def _loss(
    world: World, observed: ObservedState, operations: Sequence[OperationRecord], record: OperationRecord
) -> Loss | None:
    """None if visitors could not have written to what would be set aside; also for a restore, which is refused."""
    if record.restore is not None:
        return None
    if record.is_rollback or not record.database_is_changed:
        return None
    if not record.succeeded and not visitors_were_let_in(operations, record, observed.gate):
        return None
    if not observed.group_is_on(ServiceGroup.DATABASE):
        raise Refused(
            "The database is off, so what a rollback would discard cannot be counted.",
            "Nothing was changed.",
            "Run `graasp-local apply db-only`, then try again.",
        )
    if not has_snapshot(world, record.snapshot):
        if failed_name(record.snapshot) in world.databases.sizes():
            return None  # it has already been put back, and only the record of that was lost
        raise Refused(
            f"The database from before {record.version} is no longer on the server.",
            "Nothing was changed: without it you can only go forward, or restore a backup.",
            "`graasp-local backup list` shows what can be restored.",
        )
    began = datetime.fromisoformat(record.at).timestamp() + (record.seconds or 0.0)
    since = datetime.fromtimestamp(began, UTC).strftime("%Y-%m-%d %H:%M UTC")
    try:
        rows = world.database.rows_added_since(record.snapshot)
    except NeedsYou:
        rows = None
    return Loss(record.version or "", since, max(0.0, world.clock.now() - began), rows)


def _as_now(observed: ObservedState) -> InfraState:
    """A rollback of a deployment that succeeded leaves the gate as it is now."""
    return InfraState.RUNNING if observed.gate is Gate.OPEN else InfraState.RESTRICTED


def _rolled_back_already(operations: Sequence[OperationRecord]) -> Refused:
    """There is nothing to roll back: the last deployment was rolled back already, or there was none."""
    last = next(
        (operation for operation in reversed(operations) if operation.is_deployment and operation.touched), None
    )
    if last is None or last.outcome != Outcome.ROLLED_BACK:
        return _no_rollback(None)
    has = f"the site has {last.previous_version}" if last.previous_version else "no version is deployed to the site"
    return Refused(
        f"The last deployment, of {last.version}, has already been rolled back.",
        f"Nothing was changed: {has}, as before that deployment.",
        "`graasp-local history` shows earlier deployments; `graasp-local deploy --version X` deploys another version.",
    )


def _no_rollback(record: OperationRecord | None) -> Refused:
    if record is None:
        return Refused(
            "Nothing has been deployed to this site yet, so there is nothing to go back to.",
            "Nothing was changed.",
            "`graasp-local deploy --version X` deploys a version.",
        )
    if record.is_rollback:
        return Refused(
            # Later operations may have repaired the site, or changed its state.
            f"The site was already rolled back to {record.version}, and no other version has been deployed since.",
            "Nothing was changed.",
            "Deploy the version that you want: `graasp-local deploy --version X`.",
        )
    if not record.is_first:
        return Refused(
            f"{record.operation} replaced a restore that was left unfinished, so it is not certain what to go back to.",
            "Nothing was changed.",
            "`graasp-local resume` continues it, `graasp-local restore` restores another backup.",
        )
    return Refused(
        f"{record.version} was the first deployment of this site, so there is nothing to go back to.",
        "Nothing was changed.",
        "`graasp-local deploy --version X` deploys another version.",
    )


def _ago(seconds: float) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"
