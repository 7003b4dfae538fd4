"""An upgrade of the database server: from which server to which, and the rollback of one that was left unfinished.

Decides which image and volume to use. Refuses an upgrade to the same or an older major, one on top of an unfinished
operation, and a rollback that would discard what visitors wrote. plan_upgrade.py decides the order of the steps.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from graasp_local.errors import Refused
from graasp_local.journal.records import OperationRecord, state_left, unfinished_operation, visitors_were_let_in
from graasp_local.lock import held_lock
from graasp_local.operations.steps.upgrading import check_upgrade
from graasp_local.operations.trying import tried_first
from graasp_local.planning.plan import DRAIN_SECONDS, Plan
from graasp_local.planning.plan_upgrade import UpgradeRequest, plan_upgrade, plan_upgrade_back
from graasp_local.planning.requests import UpgradeDatabase
from graasp_local.planning.server import (
    NEWEST_MAJOR,
    DatabaseServer,
    Direction,
    Upgrade,
    image_of_major,
    upgrade_volume,
)
from graasp_local.planning.states import InfraState, ObservedState, ServiceGroup, came_from, state_named
from graasp_local.ports.world import World
from graasp_local.site.prepare import refuse_if_not_ours
from graasp_local.wording import listed


def upgrade_plan(world: World, observed: ObservedState, asked: UpgradeDatabase) -> Plan:
    """The plan for `upgrade-database`, after the checks that change nothing. Raises Refused."""
    external = world.site.settings.external_database
    if external is not None:
        raise Refused(
            f"The database is external: its server at {external.where} is not one of this site's services.",
            "Nothing was changed.",
            "Have its provider upgrade it, then set DB_IMAGE in .env to the same major version: its tools are "
            "used for backups.",
        )
    if world.site.settings.swarm is not None:
        raise Refused(
            "SWARM is on, and graasp-local does not upgrade the database of a site on several machines yet.",
            "Nothing was changed.",
            "Set SWARM=off in .env, run `graasp-local apply running`, upgrade, then set SWARM=on and apply again.",
        )
    operations = world.site.history.operations
    left = unfinished_operation(operations)
    if left is not None:
        raise Refused(
            f"The operation {left.operation} was left unfinished.",
            "Nothing was changed: it is not certain yet which version the database belongs to.",
            "`graasp-local resume` continues it, `graasp-local rollback` undoes it.",
        )
    if observed.migrations:
        raise Refused(
            f"A migration is running ({listed(observed.migrations)}).",
            "Nothing was changed.",
            "Wait until it has finished, then start the upgrade again.",
        )
    upgrade = _upgrade(world, asked)
    if upgrade.target.volume in world.servers.containers.volumes():
        raise Refused(
            f"The volume {upgrade.target.volume} exists already, and may hold data.",
            "Nothing was changed: an upgrade fills a new volume only.",
            f"If it is not needed: `graasp-local remove-old-database --volume {upgrade.target.volume}`.",
        )
    return _forward(world, observed, upgrade, state_of(came_from(observed, state_left(operations))), asked.drain_limit)


def upgrade_again_plan(world: World, observed: ObservedState, record: OperationRecord) -> Plan:
    """The plan for `resume` of an upgrade, or of the rollback of one. Raises Refused."""
    upgrade = _of(record)
    if upgrade.way is Direction.BACK:
        return _back(world, observed, record)
    limit = record.asked.drain_limit if isinstance(record.asked, UpgradeDatabase) else DRAIN_SECONDS
    return _forward(world, observed, upgrade, state_of(record.came_from), limit)


def upgrade_back_plan(world: World, observed: ObservedState, record: OperationRecord) -> Plan:
    """The plan for `rollback` of an upgrade that was left unfinished. Raises Refused."""
    upgrade = _of(record)
    operations = world.site.history.operations
    serves_from_new = world.site.database_server == upgrade.target
    if upgrade.way is Direction.THERE and serves_from_new and visitors_were_let_in(operations, record, observed.gate):
        raise Refused(
            f"The gate was already opened on Postgres {upgrade.target_major}: going back would discard what was "
            "written since.",
            "Nothing was changed.",
            "`graasp-local resume` finishes the upgrade.",
        )
    return _back(world, observed, record)


def upgrade_recovery(world: World, observed: ObservedState, upgrade: Upgrade, came_from_state: str) -> Plan:
    """The rollback of an upgrade that failed in this operation."""
    return plan_upgrade_back(observed, _request(world, upgrade, state_of(came_from_state)))


def old_volumes(world: World, named: str | None = None) -> Mapping[str, int | None]:
    """Volumes of database servers that the site does not use, with the major of their files. Raises Refused."""
    left = world.site.history.unfinished
    if left is not None and left.upgrade is not None:
        raise Refused(
            f"The operation {left.operation} was left unfinished, and undoing it needs the old volume.",
            "Nothing was removed.",
            "`graasp-local resume` continues it, `graasp-local rollback` undoes it.",
        )
    if world.site.settings.external_database is not None:
        if named is not None:
            raise Refused(
                "The database is external, so the site has no database volume.",
                "Nothing was removed.",
                f"If the volume is from before, and not needed: `docker volume rm {named}`.",
            )
        return {}
    selected = world.site.database_server.volume
    found = {name: major for name, major in world.servers.containers.volumes().items() if name != selected}
    if named is None:
        return found
    if named not in found:
        why = "is the volume in use" if named == selected else "is not an old volume of this site"
        raise Refused(f"{named} {why}.", "Nothing was removed.", "Leave out --volume to see all old volumes.")
    return {named: found[named]}


def kept_databases(world: World) -> tuple[str, ...]:
    """Databases of failed deployments that only a person removes; empty while the database is off."""
    if not world.observe().group_is_on(ServiceGroup.DATABASE):
        return ()
    return world.database.kept_until_removed()


def remove_old(
    world: World, volumes: Mapping[str, int | None], command: str, databases: tuple[str, ...] = ()
) -> Iterator[str]:
    """Remove volumes and kept databases, under the site's lock, and every dump that an upgrade left behind.

    Yields a line for each thing done.
    """
    refuse_if_not_ours(world.site)
    with held_lock(world.site.lock_file, command):
        for name in databases:
            world.database.remove_kept(name)
            yield f"removed the database {name}"
        for volume in sorted(old_volumes(world).keys() & volumes.keys()):
            world.servers.containers.remove_volume(volume)
            yield f"removed the volume {volume}"
        for directory in sorted(world.site.directory.glob("upgrades/postgres-*-to-*")):
            try:
                shutil.rmtree(directory)
            except OSError as error:
                yield f"the dump in {directory} could not be removed: {error.strerror or error}"
            else:
                yield f"removed the dump in {directory}"


def state_of(came_from_state: str) -> InfraState:
    """The state that an operation came from, as its journal names it; a site without containers counts as stopped."""
    if came_from_state == "absent":
        return InfraState.STOPPED
    return state_named(came_from_state) or InfraState.RESTRICTED


def _forward(
    world: World, observed: ObservedState, upgrade: Upgrade, end: InfraState, drain_limit: float = DRAIN_SECONDS
) -> Plan:
    request = _request(world, upgrade, end, drain_limit)
    if request.selected == upgrade.target:
        return tried_first(world, plan_upgrade(observed, request))
    for _ in check_upgrade(world, upgrade):
        pass
    if observed.group_is_on(ServiceGroup.DATABASE):
        request = replace(request, size_bytes=sum(world.servers.old.sizes().values()))
    return tried_first(world, plan_upgrade(observed, request))


def _back(world: World, observed: ObservedState, record: OperationRecord) -> Plan:
    return plan_upgrade_back(observed, _request(world, _of(record), state_of(record.came_from)))


def _request(world: World, upgrade: Upgrade, end: InfraState, drain_limit: float = DRAIN_SECONDS) -> UpgradeRequest:
    site = world.site
    return UpgradeRequest(
        replace(upgrade, way=Direction.THERE),
        site.database_server,
        site.selected_version,
        end,
        drain_limit=drain_limit,
    )


def _upgrade(world: World, asked: UpgradeDatabase) -> Upgrade:
    containers = world.servers.containers
    selected = world.site.database_server
    files = containers.data_major()
    if files is None:
        raise Refused(
            "This site has no database yet, so there is nothing to upgrade.",
            "Nothing was changed.",
            "Set DB_IMAGE in .env to the Postgres that you want, then deploy.",
        )
    source = _source_image(world, files)
    image = asked.image or _image_for(world, source, asked.to)
    major = asked.to or containers.image_major(image)
    if major is None:
        raise Refused(
            f"The tag of {image} does not say which major version of Postgres it is.",
            "Nothing was changed.",
            "Pass it with --to.",
        )
    if major <= files:
        what = f"The database is on Postgres {files}"
        raise Refused(
            f"{what} already." if major == files else f"{what}, and it cannot be downgraded to {major}.",
            "Nothing was changed.",
            f"The newest major version is {NEWEST_MAJOR}. For a minor version, set DB_IMAGE in .env, then run "
            "`graasp-local apply running`.",
        )
    if major > NEWEST_MAJOR:
        raise Refused(
            f"Postgres {major} is newer than this graasp-local knows: {NEWEST_MAJOR} is the newest.",
            "Nothing was changed.",
            f"Run `graasp-local upgrade-database --to {NEWEST_MAJOR}`, or use a newer graasp-local.",
        )
    target = DatabaseServer(image, upgrade_volume(world.site.settings.project, major))
    return Upgrade(DatabaseServer(source, selected.volume), files, target, major)


def _source_image(world: World, files: int) -> str:
    """The image that the old server runs on; DB_IMAGE may already name the new one."""
    containers = world.servers.containers
    for image in (world.site.database_server.image, containers.running_image()):
        if image is not None and containers.image_major(image) == files:
            return image
    raise Refused(
        f"The database's files are those of Postgres {files}, but the site knows no image of that major version.",
        "Nothing was changed: only Postgres itself can read its files.",
        f"Set DB_IMAGE in .env to Postgres {files}, run `graasp-local apply db-only`, then start the upgrade again.",
    )


def _image_for(world: World, source: str, major: int | None) -> str:
    configured = world.site.database_server.image
    if configured != source and major in (None, world.servers.containers.image_major(configured)):
        return configured
    like_the_old = None if major is None else image_of_major(source, major)
    if like_the_old is None:
        raise Refused(
            f"No image of Postgres {major} was named." if major else "No newer Postgres was named.",
            "Nothing was changed.",
            f"Run `graasp-local upgrade-database --to {major or NEWEST_MAJOR}`, with --image IMAGE if needed, or set "
            "DB_IMAGE in .env.",
        )
    return like_the_old


def _of(record: OperationRecord) -> Upgrade:
    if record.upgrade is None:
        raise ValueError("no upgrade")
    return record.upgrade
